//! Words of the command line.

use std::collections::VecDeque;

use crate::terminal::Stop;

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
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Stop> {
        let Some(at) = self.0.iter().position(|word| word == name) else { return Ok(None) };
        self.0.remove(at);
        self.0.remove(at).map(Some).ok_or(Stop::Usage)
    }

    /// The number after an option.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Stop> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|_| Stop::Usage)).transpose()
    }

    /// The numbers after an option, separated by commas; none if it is not there.
    pub(crate) fn numbers(&mut self, name: &str) -> Result<Vec<u64>, Stop> {
        let text = self.text(name)?.unwrap_or_default();
        let numbers = text.split(',').filter(|number| !number.is_empty());
        numbers.map(|number| number.parse().map_err(|_| Stop::Usage)).collect()
    }

    /// All words were understood.
    pub(crate) fn finish(self) -> Result<(), Stop> {
        if self.0.is_empty() { Ok(()) } else { Err(Stop::Usage) }
    }
}
