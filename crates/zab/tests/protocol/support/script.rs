//! Scripts: commands, and what they are known to print.
//!
//! ```text
//! # What the script shows. Every script begins with that.
//! command key=value; another command
//! a third command
//! ---
//! what the three print
//!
//! a command of the next paragraph
//! ---
//! what it prints
//! ```
//!
//! A paragraph that prints nothing says `ok`. `UPDATE_EXPECT=1 cargo test -p zab` writes down what
//! is printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A line of a script, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// The words before the first `key=value`.
    pub(crate) words: Vec<String>,
    pairs: BTreeMap<String, String>,
}

impl Command {
    fn parse(text: &str) -> Self {
        let (mut words, mut pairs) = (Vec::new(), BTreeMap::new());
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => {
                    pairs.insert(key.to_owned(), value.to_owned());
                }
                None => words.push(word.to_owned()),
            }
        }
        Self { words, pairs }
    }

    /// The words, to be matched.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// The value of a key.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(String::as_str)
    }
}

/// Runs every script of a folder, each in a world of its own, and compares what is printed.
pub(crate) fn check<W>(
    folder: &str,
    world: impl Fn() -> W,
    run: impl Fn(&mut W, &Command) -> String,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(folder);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", folder.display());
    let mut failures = String::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(text.starts_with("# "), "{name}: a script begins with what it shows");
        let printed = play(&text, &mut world(), &run);
        if printed == text {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, printed).unwrap();
        } else {
            writeln!(failures, "{name}: expected\n\n{text}\nprinted\n\n{printed}").unwrap();
        }
    }
    assert!(failures.is_empty(), "UPDATE_EXPECT=1 accepts what is printed\n\n{failures}");
}

/// The script with what it prints now.
fn play<W>(text: &str, world: &mut W, run: impl Fn(&mut W, &Command) -> String) -> String {
    let mut out = Vec::new();
    for paragraph in text.split("\n\n") {
        let commands = paragraph.split("\n---").next().unwrap().trim_matches('\n');
        let mut printed = String::new();
        for line in commands.lines().filter(|line| !line.starts_with('#')) {
            for command in line.split(';') {
                printed.push_str(&run(world, &Command::parse(command)));
            }
        }
        let has_commands = commands.lines().any(|line| !line.starts_with('#'));
        out.push(match (has_commands, printed.is_empty()) {
            (false, _) => commands.to_owned(),
            (true, true) => format!("{commands}\n---\nok"),
            (true, false) => format!("{commands}\n---\n{}", printed.trim_end_matches('\n')),
        });
    }
    out.join("\n\n") + "\n"
}
