//! The files of the repository.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where this program was built from.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Every text file that is under version control or about to be.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// Where it is checked out; empty in tests.
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<File>,
}

/// A file and its text.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Repository {
    /// Reads the repository that this program was built from. Files that are no UTF-8 are left out.
    pub(crate) fn read() -> io::Result<Self> {
        let root = root();
        let output = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&root)
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let mut files = Vec::new();
        for path in output.stdout.split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
            let path = String::from_utf8_lossy(path).into_owned();
            // What can not be read is deleted without the deletion being staged, or a link to a
            // directory.
            let Ok(bytes) = std::fs::read(root.join(&path)) else { continue };
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path, text });
            }
        }
        Ok(Self { root, files })
    }

    /// Files whose path ends so.
    pub(crate) fn ending(&self, end: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.path.ends_with(end))
    }

    /// Whether there is such a file or directory.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files.iter().any(|file| {
            file.path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl File {
    /// Whether all of it is a test.
    pub(crate) fn is_test(&self) -> bool {
        let is_tests = |part: &str| matches!(part, "tests" | "tests.rs" | "benches");
        self.path.split('/').any(is_tests)
    }

    /// Its lines, counted from 1, up to the tests at its end.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().zip(1..).map(|(line, number)| (number, line));
        lines.take_while(|(_, line)| *line != "#[cfg(test)]")
    }
}
