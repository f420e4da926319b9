//! Servers for the tests inside this crate.

use std::time::Duration;

use config::{CommandLine, Config};
use tempfile::TempDir;

/// Nothing here takes so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory, and the configuration of a server that keeps its data there.
pub(crate) struct Site {
    pub(crate) config: Config,
    _directory: TempDir,
}

impl Site {
    /// One with an empty directory; its server gets a free port.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_str().expect("a name").to_owned();
        let words =
            ["0".to_owned(), path, "--set".to_owned(), "clientPortAddress=127.0.0.1".to_owned()];
        let command_line = CommandLine::from_words(words).expect("words");
        let config = config::load(&command_line, []).expect("a configuration").config;
        Self { config, _directory: directory }
    }
}
