//! Values as they were given, the later layer over the earlier one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::known::{self, Fate};
use crate::properties;
use crate::setting::{self, PREFIX, Row, Setting, VARIABLE_PREFIX};
use crate::{ConfigError, Origin, Warning};

/// What was given for a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// A `server.`, `group.` or `weight.` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MembershipLine {
    pub(crate) key: String,
    pub(crate) given: Given,
}

/// Everything that was given. Layers are added in rising precedence.
#[derive(Default, Debug)]
pub(crate) struct Layers {
    given: BTreeMap<&'static str, Given>,
    pub(crate) membership: Vec<MembershipLine>,
    /// The main configuration file, if there is one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) warnings: Vec<Warning>,
}

impl Layers {
    /// Adds one value under any name it may have, or warns that the name means nothing.
    pub(crate) fn give(&mut self, name: &str, text: &str, origin: Origin) {
        if let Some(row) = setting::find(name) {
            self.set(row, text, origin);
            return;
        }
        let key = name.strip_prefix(PREFIX).unwrap_or(name);
        if is_membership(key) {
            let is_it = |line: &MembershipLine| line.key == key;
            let before =
                self.membership.iter().position(is_it).map(|at| self.membership.remove(at));
            self.warn_of_repetition(key, before.map(|line| line.given), &origin);
            let given = Given { text: text.to_owned(), origin };
            self.membership.push(MembershipLine { key: key.to_owned(), given });
        } else if let Some((manual, key)) = known::manual_name(key) {
            self.warnings.push(Warning::ManualName { manual, key, origin: origin.clone() });
            self.give(key, text, origin);
        } else {
            self.warn_of_key(key, origin);
        }
    }

    /// Adds one value of a setting.
    pub(crate) fn set(&mut self, row: &'static Row, text: &str, origin: Origin) {
        let given = Given { text: text.trim().to_owned(), origin: origin.clone() };
        let before = self.given.insert(row.key, given);
        self.warn_of_repetition(row.key, before, &origin);
    }

    /// Notes what is in force for a setting that was not given, or given without a value, since another line says
    /// it.
    pub(crate) fn imply(&mut self, row: &'static Row, text: String, origin: &Origin) {
        if self.effective(row).text.is_empty() {
            self.given.insert(row.key, Given { text, origin: origin.clone() });
        }
    }

    /// Adds the `-D` words of a variable that holds words for a Java virtual machine.
    pub(crate) fn add_jvm_flags(&mut self, variable: &'static str, words: &str) {
        for word in words.split_ascii_whitespace() {
            let definition = word
                .strip_prefix("-D")
                .map(|definition| definition.split_once('=').unwrap_or((definition, "")));
            let origin = Origin::JvmFlags(variable);
            match definition {
                Some((name, value)) if is_ours(name) => self.give(name, value, origin),
                Some(_) | None => {
                    self.warnings.push(Warning::JvmWord { word: word.to_owned(), variable });
                }
            }
        }
    }

    /// Adds the entries of the main configuration file, which has this content.
    pub(crate) fn add_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ConfigError> {
        for entry in parse_file(path, bytes)? {
            let origin = Origin::File { path: path.to_owned(), line: entry.line };
            self.give(&entry.key, &entry.value, origin);
        }
        self.file = Some(path.to_owned());
        Ok(())
    }

    /// Adds an environment variable, if it is one of ours.
    pub(crate) fn add_variable(&mut self, variable: &str, text: &str) {
        if !variable.starts_with(VARIABLE_PREFIX) {
            return;
        }
        let origin = Origin::Environment(variable.to_owned());
        match setting::find_variable(variable) {
            Some(row) => self.set(row, text, origin),
            None => self.warnings.push(Warning::UnknownKey { key: variable.to_owned(), origin }),
        }
    }

    /// Adds the `name=value` of a flag.
    pub(crate) fn add_flag(&mut self, definition: &str) -> Result<(), ConfigError> {
        let Some((name, value)) = definition.split_once('=') else {
            return Err(ConfigError::Flag {
                word: definition.to_owned(),
                expected: "a setting as name=value",
            });
        };
        self.give(name.trim(), value, Origin::Flag);
        Ok(())
    }

    /// What is in force for a setting, as text.
    pub(crate) fn effective(&self, row: &Row) -> Given {
        self.given
            .get(row.key)
            .cloned()
            .unwrap_or_else(|| Given { text: row.default.to_owned(), origin: Origin::Default })
    }

    /// Where the value in force was given.
    pub(crate) fn origin(&self, row: &Row) -> Origin {
        self.effective(row).origin
    }

    /// What is in force for a setting.
    pub(crate) fn value<T>(&mut self, setting: &Setting<T>) -> Result<T, ConfigError> {
        let row = &setting.row;
        let Given { text, origin } = self.effective(row);
        let Some(value) = (setting.form.parse)(&text) else {
            return Err(ConfigError::Value {
                origin,
                key: row.key.to_owned(),
                value: text,
                expected: row.expected.to_owned(),
            });
        };
        if (setting.form.is_odd)(&text) {
            self.warnings.push(Warning::OddSwitch {
                key: row.key,
                value: text,
                expected: row.expected,
                origin,
            });
        }
        Ok(value)
    }

    /// Warns of the given settings whose subject does not exist yet.
    pub(crate) fn warn_of_settings_not_acted_on(&mut self) {
        for (key, Given { origin, .. }) in &self.given {
            if let (Some(what), true) = (known::not_acted_on(key), *origin != Origin::Default) {
                let (key, origin) = ((*key).to_owned(), origin.clone());
                self.warnings.push(Warning::NotSupportedYet { key, what, origin });
            }
        }
    }

    /// Warns of what is given twice in one file. A later layer is meant to take the place of an earlier one.
    fn warn_of_repetition(&mut self, key: &str, before: Option<Given>, origin: &Origin) {
        if let (
            Some(Given { origin: Origin::File { path: first, line }, .. }),
            Origin::File { path, .. },
        ) = (before, origin)
            && first == *path
        {
            let (key, origin) = (key.to_owned(), origin.clone());
            self.warnings.push(Warning::GivenTwice { key, line, origin });
        }
    }

    fn warn_of_key(&mut self, key: &str, origin: Origin) {
        let key = key.to_owned();
        self.warnings.push(match known::fate(&key) {
            Some(Fate::EnsembleOnly) => return,
            Some(Fate::WithoutEffect(reason)) => Warning::WithoutEffect { key, reason, origin },
            Some(Fate::NotSupportedYet(what)) => Warning::NotSupportedYet { key, what, origin },
            None => Warning::UnknownKey { key, origin },
        });
    }
}

/// The entries of a file, or the line that makes it unreadable.
pub(crate) fn parse_file(path: &Path, bytes: &[u8]) -> Result<Vec<properties::Entry>, ConfigError> {
    properties::parse(bytes)
        .map_err(|error| ConfigError::Escape { path: path.to_owned(), line: error.line })
}

/// Whether a key belongs to the membership.
pub(crate) fn is_membership(key: &str) -> bool {
    ["server.", "group.", "weight."].iter().any(|beginning| key.starts_with(beginning))
}

/// Whether a Java property is one that ZooKeeper reads, and not one of Java's own.
fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) || setting::find(name).is_some() || known::fate(name).is_some()
}
