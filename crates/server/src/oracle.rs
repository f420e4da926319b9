//! The thread that reads the oracle of an ensemble of two voters.
//!
//! The file may be on a network, and reading it take long: so nobody else waits for it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use replica::Input;
use tracing::{info, warn};
use zab::Oracle;

use crate::helm::Helm;
use crate::inbox::{Inbox, Taken};

/// Reads the oracle's file whenever it is asked.
#[derive(Debug)]
pub(crate) struct OracleThread {
    path: PathBuf,
    /// Each entry asks what the file says now.
    pub(crate) questions: Arc<Inbox<()>>,
}

impl OracleThread {
    /// One for the file of this name.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, questions: Arc::default() }
    }

    /// Answers until the inbox is closed. Questions that came while the file was read get one answer.
    pub(crate) fn run(&self, helm: &Helm) {
        let (mut questions, mut before) = (Vec::new(), None);
        while self.questions.take(&mut questions, None) == Taken::Open {
            questions.clear();
            let (oracle, failure) = self.consult();
            let said = (oracle, failure.is_some());
            if before.replace(said) != Some(said) {
                let path = self.path.display();
                match failure {
                    None => info!(%path, ?oracle, "the oracle says"),
                    Some(failure) => warn!(%path, %failure, "the oracle can not be read"),
                }
            }
            helm.leave(&mut vec![Input::Peer(zab::Input::OracleSays(oracle))]);
        }
    }

    /// What the file says. One that can not be read says no.
    fn consult(&self) -> (Oracle, Option<io::Error>) {
        match first_byte(&self.path) {
            Ok(byte) => (Oracle::from_file(byte.as_slice()), None),
            Err(failure) => (Oracle::MustWait, Some(failure)),
        }
    }
}

fn first_byte(path: &Path) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let count = File::open(path)?.read(&mut byte)?;
    Ok((count > 0).then_some(byte[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_character_decides_and_a_file_that_is_not_there_says_no() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("oracle");
        let oracle = OracleThread::new(path.clone());
        assert!(matches!(oracle.consult(), (Oracle::MustWait, Some(_))));
        for (content, expected) in [
            ("1", Oracle::MayDecideAlone),
            ("1\n", Oracle::MayDecideAlone),
            ("0", Oracle::MustWait),
            ("", Oracle::MustWait),
            (" 1", Oracle::MustWait),
        ] {
            std::fs::write(&path, content).expect("written");
            assert_eq!(oracle.consult().0, expected, "{content:?}");
        }
    }
}
