//! What is checked. Each check takes a [`Repository`] and returns findings, so that its tests are
//! small invented repositories.

mod api;
mod architecture;
mod arrows;
mod files;
mod functions;
mod texts;
mod trust;

use std::fmt;

use crate::repository::Repository;

/// Something to mend.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) problem: String,
}

impl Finding {
    fn new(path: &str, line: usize, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, problem: problem.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.problem)
    }
}

/// Everything that there is to mend, by file and line.
pub(crate) fn check(repository: &Repository) -> Vec<Finding> {
    let checks: [fn(&Repository) -> Vec<Finding>; 7] = [
        functions::check,
        files::check,
        arrows::check,
        architecture::check,
        texts::check,
        trust::check,
        api::check,
    ];
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check(repository)).collect();
    findings.sort();
    findings
}

/// An invented repository.
#[cfg(test)]
fn repository(files: &[(&str, &str)]) -> Repository {
    let file = |&(path, text): &(&str, &str)| crate::repository::File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    Repository { root: std::path::PathBuf::new(), files: files.iter().map(file).collect() }
}

/// The findings in one text.
#[cfg(test)]
fn shown(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}
