//! The words behind `reefkeeper shell`.

use std::time::Duration;

use thiserror::Error;

/// How the shell was started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Options {
    /// `host:port,host:port/chroot`.
    pub(crate) server: String,
    /// The session timeout to ask for.
    pub(crate) timeout: Duration,
    /// Whether a server without a quorum will do.
    pub(crate) read_only: bool,
    /// Whether to wait for a server before the first command.
    pub(crate) wait_for_connection: bool,
    /// A command to run instead of asking for commands; empty if none was given.
    pub(crate) command: Vec<String>,
}

/// What is wrong with the words.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(crate) enum OptionError {
    /// An option stands last that needs a value.
    #[error("Error: no argument found for option {0}")]
    NoArgument(String),
    /// The timeout is no number of milliseconds.
    #[error("Error: {0:?} is not a number of milliseconds")]
    Timeout(String),
    /// Not a mistake: how to start a shell was asked for.
    #[error("help")]
    Help,
    /// There is no such option.
    #[error("Error: unknown option {0}")]
    Unknown(String),
}

impl Options {
    /// Reads options, with one dash as zkCli has them or with two, up to the first word of a
    /// command.
    ///
    /// # Errors
    /// When a word makes no sense.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, OptionError> {
        let mut options = Self {
            server: "localhost:2181".to_owned(),
            timeout: Duration::from_secs(30),
            read_only: false,
            wait_for_connection: false,
            command: Vec::new(),
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix('-') else {
                options.command.push(word);
                options.command.extend(words);
                break;
            };
            let mut value = || words.next().ok_or_else(|| OptionError::NoArgument(word.clone()));
            match name.strip_prefix('-').unwrap_or(name) {
                "server" => options.server = value()?,
                "timeout" => {
                    let text = value()?;
                    let Ok(timeout_ms) = text.parse() else {
                        return Err(OptionError::Timeout(text));
                    };
                    options.timeout = Duration::from_millis(timeout_ms);
                }
                "h" | "help" => return Err(OptionError::Help),
                "r" | "read-only" => options.read_only = true,
                "waitforconnection" => options.wait_for_connection = true,
                _ => return Err(OptionError::Unknown(word)),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, OptionError> {
        Options::parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_options_with_one_dash_or_two() {
        let expected = Options {
            server: "a:1,b:2/x".to_owned(),
            timeout: Duration::from_millis(5000),
            read_only: true,
            wait_for_connection: true,
            command: vec!["ls".to_owned(), "-s".to_owned(), "/".to_owned()],
        };
        let one = "-server a:1,b:2/x -timeout 5000 -r -waitforconnection ls -s /";
        let two = "--server a:1,b:2/x --timeout 5000 --read-only --waitforconnection ls -s /";
        assert_eq!(parse(one), Ok(expected.clone()));
        assert_eq!(parse(two), Ok(expected));
    }

    #[test]
    fn needs_no_words() {
        let options = parse("").expect("defaults");
        assert_eq!(options.server, "localhost:2181");
        assert_eq!(options.timeout, Duration::from_secs(30));
        assert_eq!(options.command, Vec::<String>::new());
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(parse("-server"), Err(OptionError::NoArgument("-server".to_owned())));
        assert_eq!(parse("-timeout soon ls"), Err(OptionError::Timeout("soon".to_owned())));
        assert_eq!(parse("-nonsense ls"), Err(OptionError::Unknown("-nonsense".to_owned())));
    }
}
