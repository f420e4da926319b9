//! The commands, their options and their words.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::failure::Failure;

/// Which command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    AddAuth,
    AddWatch,
    Close,
    Config,
    Connect,
    Create,
    Delete,
    DeleteAll,
    DelQuota,
    Get,
    GetAcl,
    GetAllChildrenNumber,
    GetEphemerals,
    Help,
    History,
    ListQuota,
    Ls,
    PrintWatches,
    Quit,
    Reconfig,
    Redo,
    RemoveWatches,
    Set,
    SetAcl,
    SetQuota,
    Stat,
    Sync,
    Version,
    Watch,
    WhoAmI,
}

/// A command that can be typed.
#[derive(Debug)]
pub(crate) struct Command {
    /// Which.
    pub(crate) kind: Kind,
    /// Its first word.
    pub(crate) name: &'static str,
    /// Options and words for people.
    pub(crate) syntax: &'static str,
    /// Options without a value, one letter each.
    flags: &'static str,
    /// Options with a value: a letter, or a word that shares its dash with no other.
    values: &'static [&'static str],
    /// How many words follow beside the options.
    words: RangeInclusive<usize>,
}

/// Every command, sorted by name as zkCli sorts.
pub(crate) const COMMANDS: &[Command] = &[
    command(Kind::AddWatch, "addWatch", "[-m mode] path", "", &["m"], 1..=1),
    command(Kind::AddAuth, "addauth", "scheme auth", "", &[], 1..=2),
    command(Kind::Close, "close", "", "", &[], 0..=0),
    command(Kind::Config, "config", "[-c] [-w] [-s]", "cws", &[], 0..=0),
    command(Kind::Connect, "connect", "host:port", "", &[], 0..=1),
    command(
        Kind::Create,
        "create",
        "[-s] [-e] [-c] [-t ttl] path [data] [acl]",
        "sec",
        &["t"],
        1..=3,
    ),
    command(Kind::Delete, "delete", "[-v version] path", "", &["v"], 1..=2),
    command(Kind::DeleteAll, "deleteall", "path [-b batch size]", "", &["b"], 1..=1),
    command(Kind::DelQuota, "delquota", "[-n|-b|-N|-B] path", "nbNB", &[], 1..=1),
    command(Kind::Quit, "exit", "", "", &[], 0..=0),
    command(Kind::Get, "get", "[-s] [-w] [-b] [-x] path", "swbx", &[], 1..=2),
    command(Kind::GetAcl, "getAcl", "[-s] path", "s", &[], 1..=1),
    command(Kind::GetAllChildrenNumber, "getAllChildrenNumber", "path", "", &[], 1..=1),
    command(Kind::GetEphemerals, "getEphemerals", "path", "", &[], 0..=1),
    command(Kind::Help, "help", "[command]", "", &[], 0..=1),
    command(Kind::History, "history", "", "", &[], 0..=0),
    command(Kind::ListQuota, "listquota", "path", "", &[], 1..=1),
    command(Kind::Ls, "ls", "[-s] [-w] [-R] path", "swR", &[], 1..=2),
    command(Kind::PrintWatches, "printwatches", "on|off", "", &[], 0..=1),
    command(Kind::Quit, "quit", "", "", &[], 0..=0),
    command(
        Kind::Reconfig,
        "reconfig",
        "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | \
         [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
        "s",
        &["v", "file", "members", "add", "remove"],
        0..=0,
    ),
    command(Kind::Redo, "redo", "cmdno", "", &[], 1..=1),
    command(Kind::RemoveWatches, "removewatches", "path [-c|-d|-p|-r|-a]", "cdpra", &[], 1..=1),
    command(Kind::Set, "set", "path data [-s] [-v version] [-b]", "sb", &["v"], 2..=3),
    command(Kind::SetAcl, "setAcl", "[-s] [-v version] [-R] path acl", "sR", &["v"], 2..=2),
    command(Kind::SetQuota, "setquota", "-n|-b|-N|-B val path", "nbNB", &[], 1..=2),
    command(Kind::Stat, "stat", "[-w] path", "w", &[], 1..=2),
    command(Kind::Sync, "sync", "path", "", &[], 1..=1),
    command(Kind::Version, "version", "", "", &[], 0..=0),
    command(Kind::Watch, "watch", "[-n count] path", "", &["n"], 1..=1),
    command(Kind::WhoAmI, "whoami", "", "", &[], 0..=0),
];

const fn command(
    kind: Kind,
    name: &'static str,
    syntax: &'static str,
    flags: &'static str,
    values: &'static [&'static str],
    words: RangeInclusive<usize>,
) -> Command {
    Command { kind, name, syntax, flags, values, words }
}

impl Command {
    /// The command with that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        COMMANDS.iter().find(|command| command.name == name)
    }

    /// How it is typed.
    pub(crate) fn usage(&self) -> String {
        format!("{} {}", self.name, self.syntax)
    }

    /// Tells options from words; options may stand anywhere, and `--` ends them.
    ///
    /// # Errors
    /// When there is no such option, a value is missing, or there are too few or too many words.
    pub(crate) fn parse(
        &'static self,
        typed: impl IntoIterator<Item = String>,
    ) -> Result<Arguments, Failure> {
        let mut arguments = Arguments::default();
        let mut typed = typed.into_iter();
        while let Some(word) = typed.next() {
            if word == "--" {
                arguments.words.extend(typed);
                break;
            }
            match word.strip_prefix('-') {
                // A lone dash, and a negative number, are words.
                Some(letters) if !letters.is_empty() && letters.parse::<u64>().is_err() => {
                    self.parse_option(&word, letters, &mut typed, &mut arguments)?;
                }
                Some(_) | None => arguments.words.push(word),
            }
        }
        if self.words.contains(&arguments.words.len()) {
            Ok(arguments)
        } else {
            Err(Failure::Usage(self))
        }
    }

    /// Several letters may share a dash.
    fn parse_option(
        &self,
        word: &str,
        letters: &str,
        typed: &mut impl Iterator<Item = String>,
        arguments: &mut Arguments,
    ) -> Result<(), Failure> {
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            let is_named = |option: &&&'static str| rest.starts_with(**option);
            if self.flags.contains(letter) {
                arguments.flags.push(letter);
                rest = &rest[letter.len_utf8()..];
            } else if let Some(option) = self.values.iter().filter(is_named).max_by_key(|o| o.len())
            {
                let attached = &rest[option.len()..];
                let value = if attached.is_empty() { typed.next() } else { Some(attached.into()) };
                let value = value.ok_or(Failure::NoOptionValue(option))?;
                arguments.add_value(option, &value);
                break;
            } else {
                return Err(Failure::UnknownOption(word.to_owned()));
            }
        }
        Ok(())
    }
}

/// What was typed behind a command.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Arguments {
    flags: Vec<char>,
    values: BTreeMap<&'static str, String>,
    /// What is no option.
    pub(crate) words: Vec<String>,
}

impl Arguments {
    /// Whether an option was given.
    pub(crate) fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    /// The value of an option.
    pub(crate) fn value(&self, option: &str) -> Option<&str> {
        self.values.get(option).map(String::as_str)
    }

    /// The value of an option as a number.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn number<N: std::str::FromStr>(&self, option: &str) -> Result<Option<N>, Failure> {
        self.value(option).map(number).transpose()
    }

    /// Values of an option that is given several times belong to one list.
    fn add_value(&mut self, option: &'static str, value: &str) {
        let list = self.values.entry(option).or_default();
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(value);
    }

    /// The word at a position.
    pub(crate) fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(String::as_str)
    }
}

/// A word as a number.
///
/// # Errors
/// If it is none.
pub(crate) fn number<N: std::str::FromStr>(word: &str) -> Result<N, Failure> {
    word.parse().map_err(|_| Failure::NotANumber(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, Failure> {
        let mut words = crate::words::split(line).into_iter();
        let name = words.next().expect("a command");
        Command::named(&name).expect("known").parse(words)
    }

    #[test]
    fn options_may_stand_anywhere() {
        for line in ["set -s -v 3 /a x", "set /a x -v 3 -s", "set /a -sv3 x", "set -v3 /a -s x"] {
            let arguments = parse(line).expect(line);
            assert_eq!(arguments.words, ["/a", "x"], "{line}");
            assert!(arguments.has('s') && !arguments.has('b'), "{line}");
            assert_eq!(arguments.number("v").expect(line), Some(3), "{line}");
        }
    }

    #[test]
    fn options_may_be_words_and_lists() {
        let arguments = parse("reconfig -s -add a -remove 1,2 -add b -v 1f").expect("options");
        assert_eq!(arguments.value("add"), Some("a,b"));
        assert_eq!(arguments.value("remove"), Some("1,2"));
        assert_eq!(arguments.value("v"), Some("1f"));
        assert!(arguments.has('s'));
    }

    #[test]
    fn dashes_can_be_data() {
        assert_eq!(parse("set /a -- -s").expect("data").words, ["/a", "-s"]);
        assert_eq!(parse("set /a -").expect("data").words, ["/a", "-"]);
        assert_eq!(parse("set /a -5").expect("data").words, ["/a", "-5"]);
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |line: &str, expected: &str| {
            assert_eq!(parse(line).expect_err(line).to_string(), expected);
        };
        check("ls", "ls [-s] [-w] [-R] path");
        check("get a b c", "get [-s] [-w] [-b] [-x] path");
        check("ls -z /", "Unrecognized option: -z");
        check("set /a x -v", "Missing argument for option: v");
        let arguments = parse("set /a x -v abc").expect("words");
        let failure = arguments.number::<i32>("v").expect_err("no number");
        assert_eq!(failure.to_string(), "not a number: abc");
    }

    #[test]
    fn commands_are_sorted() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
    }
}
