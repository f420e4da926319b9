//! Words of the command line.

use std::collections::VecDeque;

/// The words make no command.
#[derive(Debug)]
pub(crate) struct Usage;

/// Words not yet understood.
#[derive(Debug)]
pub(crate) struct Arguments(VecDeque<String>);

impl Arguments {
    pub(crate) fn of_process() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// The first word.
    pub(crate) fn command(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// The next word that is no option, if it comes first.
    pub(crate) fn value(&mut self) -> Option<String> {
        if self.0.front()?.starts_with("--") { None } else { self.0.pop_front() }
    }

    /// Whether a word is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|word| word == name);
        at.is_some_and(|at| self.0.remove(at).is_some())
    }

    /// The word after an option.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Usage> {
        let Some(at) = self.0.iter().position(|word| word == name) else { return Ok(None) };
        self.0.remove(at);
        self.0.remove(at).map(Some).ok_or(Usage)
    }

    /// The number after an option.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Usage> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|_| Usage)).transpose()
    }

    /// All words were understood.
    pub(crate) fn finish(self) -> Result<(), Usage> {
        if self.0.is_empty() { Ok(()) } else { Err(Usage) }
    }
}
