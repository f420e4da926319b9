//! The words after `reefkeeper server`.

use std::path::PathBuf;

use crate::ConfigError;

/// What a server was started with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandLine {
    /// The file, or what stands in for it.
    pub base: Base,
    /// The `name=value` of each `-Dname=value` or `--set name=value`, in order.
    pub settings: Vec<String>,
}

/// What the settings start from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Base {
    /// Nothing was given: port 2181 and a data directory in the current one, to try it.
    #[default]
    Trial,
    /// A `zoo.cfg`.
    File(PathBuf),
    /// `<port> <dataDir> [<tickTime> [<maxClientCnxns>]]`, as Apache's server takes them.
    Arguments {
        /// The port for clients.
        port: String,
        /// The data directory.
        data_dir: String,
        /// The tick in milliseconds.
        tick_time: Option<String>,
        /// Connections from one address.
        max_client_cnxns: Option<String>,
    },
}

impl CommandLine {
    /// Understands the words in either of Apache's two forms, with flags anywhere between them.
    ///
    /// # Errors
    /// A word is too many, a port is without a directory, or a flag is not `-Dname=value`, `--set name=value` or
    /// `--set=name=value`.
    pub fn from_words(words: impl IntoIterator<Item = String>) -> Result<Self, ConfigError> {
        let mut words = words.into_iter();
        let (mut positional, mut settings) = (Vec::new(), Vec::new());
        while let Some(word) = words.next() {
            let setting = if word == "--set" {
                words.next().unwrap_or_default()
            } else if let Some(setting) =
                word.strip_prefix("--set=").or_else(|| word.strip_prefix("-D"))
            {
                setting.to_owned()
            } else if word.starts_with('-') {
                return Err(ConfigError::Usage { word });
            } else {
                positional.push(word);
                continue;
            };
            if !setting.contains('=') {
                let expected = "-Dname=value or --set name=value";
                return Err(ConfigError::Flag { word, expected });
            }
            settings.push(setting);
        }
        Ok(Self { base: Base::from_words(positional)?, settings })
    }
}

impl Base {
    fn from_words(words: Vec<String>) -> Result<Self, ConfigError> {
        let mut words = words.into_iter();
        let base = match (words.next(), words.next()) {
            (None, _) => Self::Trial,
            (Some(word), None) if word.parse::<u16>().is_ok() => {
                return Err(ConfigError::PortAlone { word });
            }
            (Some(file), None) => Self::File(file.into()),
            (Some(port), Some(data_dir)) => Self::Arguments {
                port,
                data_dir,
                tick_time: words.next(),
                max_client_cnxns: words.next(),
            },
        };
        match words.next() {
            Some(word) => Err(ConfigError::Usage { word }),
            None => Ok(base),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(words: &str, expected: Expect) {
        let shown = match CommandLine::from_words(words.split(' ').map(str::to_owned)) {
            Ok(line) => format!("{:?} {:?}", line.base, line.settings),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn both_of_apaches_forms_are_understood() {
        assert_eq!(CommandLine::from_words([]).unwrap(), CommandLine::default());
        check("zoo.cfg", expect![[r#"File("zoo.cfg") []"#]]);
        check(
            "2181",
            expect![[
                r#""2181" is a port without a data directory; expected [<zoo.cfg>] or <port> <dataDir> [<tickTime> [<maxClientCnxns>]]"#
            ]],
        );
        check(
            "2181 /data",
            expect![[
                r#"Arguments { port: "2181", data_dir: "/data", tick_time: None, max_client_cnxns: None } []"#
            ]],
        );
        check(
            "2181 /data 2000 10",
            expect![[
                r#"Arguments { port: "2181", data_dir: "/data", tick_time: Some("2000"), max_client_cnxns: Some("10") } []"#
            ]],
        );
        check(
            "2181 /data 2000 10 x",
            expect![[
                r#"unexpected argument "x"; expected [<zoo.cfg>] or <port> <dataDir> [<tickTime> [<maxClientCnxns>]]"#
            ]],
        );
    }

    #[test]
    fn flags_stand_anywhere() {
        check(
            "-Da=1 zoo.cfg --set b=2 --set=c=3",
            expect![[r#"File("zoo.cfg") ["a=1", "b=2", "c=3"]"#]],
        );
        check("-Da", expect![[r#""-Da": expected -Dname=value or --set name=value"#]]);
        check("--set", expect![[r#""--set": expected -Dname=value or --set name=value"#]]);
        check(
            "--help",
            expect![[
                r#"unexpected argument "--help"; expected [<zoo.cfg>] or <port> <dataDir> [<tickTime> [<maxClientCnxns>]]"#
            ]],
        );
    }
}
