//! `ARCHITECTURE.md` is short, and what it names exists.
//!
//! A name is what stands in backticks and looks like one: a path (it has a slash or ends like a
//! file), or an item (it begins with a capital, or has `::` or `()` in it), of which the last part
//! must be defined somewhere in the sources.

use std::collections::BTreeSet;

use crate::repository::Repository;
use crate::tidy::Finding;

const DOCUMENT: &str = "ARCHITECTURE.md";
const LINES_MAX: usize = 400;

pub(crate) fn check(repository: &Repository) -> Vec<Finding> {
    let Some(document) = repository.files.iter().find(|file| file.path == DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, 1, "there is none")];
    };
    let mut findings = Vec::new();
    let lines = document.text.lines().count();
    if lines > LINES_MAX {
        let problem = format!("{lines} lines, more than {LINES_MAX}");
        findings.push(Finding::new(DOCUMENT, LINES_MAX, problem));
    }
    let items = defined_items(repository);
    let mut is_drawing = false;
    for (line, number) in document.text.lines().zip(1..) {
        if line.starts_with("```") {
            is_drawing = !is_drawing;
        }
        if is_drawing {
            continue;
        }
        for name in line.split('`').skip(1).step_by(2) {
            let exists = match kind(name) {
                Kind::Path => exists(repository, name),
                Kind::Item(item) => items.contains(item),
                Kind::Other => true,
            };
            if !exists {
                findings.push(Finding::new(DOCUMENT, number, format!("`{name}` does not exist")));
            }
        }
    }
    findings
}

enum Kind<'a> {
    Path,
    Item(&'a str),
    Other,
}

fn kind(name: &str) -> Kind<'_> {
    let has_file_end = [".rs", ".md", ".toml"].iter().any(|end| name.ends_with(end));
    if name.contains(char::is_whitespace) || name.starts_with(['-', '/', '$']) {
        return Kind::Other;
    }
    if has_file_end || name.ends_with('/') || (name.contains('/') && !name.contains("::")) {
        return Kind::Path;
    }
    let is_item =
        name.starts_with(char::is_uppercase) || name.contains("::") || name.ends_with("()");
    let last = name.trim_end_matches("()").rsplit("::").next().unwrap_or(name);
    let is_word = last.chars().all(|c| c.is_alphanumeric() || c == '_');
    let has_small_letters = last.chars().any(char::is_lowercase);
    if is_item && is_word && has_small_letters { Kind::Item(last) } else { Kind::Other }
}

/// Whether a path exists from the root, from `crates/`, or below the sources of a crate.
fn exists(repository: &Repository, path: &str) -> bool {
    let end = format!("/{path}");
    repository.has(path)
        || repository.has(&format!("crates/{path}"))
        || repository.ending(&end).next().is_some()
}

/// The names of all modules, types, traits, functions, variants and constants.
fn defined_items(repository: &Repository) -> BTreeSet<&str> {
    let mut items = BTreeSet::new();
    for file in repository.ending(".rs") {
        for line in file.text.lines() {
            let is_variant =
                line.starts_with("    ") && line.trim_start().starts_with(char::is_uppercase);
            let words: Vec<&str> = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|w| !w.is_empty())
                .collect();
            if is_variant {
                items.extend(words.first());
            }
            let keywords =
                ["struct", "enum", "trait", "type", "fn", "mod", "const", "static", "macro_rules"];
            items.extend(words.windows(2).filter(|w| keywords.contains(&w[0])).map(|w| w[1]));
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{repository, shown};

    fn check_document(text: &str, expected: &str) {
        let source = "//! A.\npub struct Zxid(u64);\nfn apply() {}\nenum A {\n    Variant,\n}\n";
        let files = [(DOCUMENT, text), ("crates/tree/src/apply.rs", source)];
        assert_eq!(shown(&check(&repository(&files))), expected);
    }

    #[test]
    fn what_is_named_must_exist() {
        check_document(
            "`Zxid`, `tree::apply`, `apply()`, `A::Variant`, `apply.rs`, `tree/`, `crates/tree/src/apply.rs`",
            "",
        );
        check_document(
            "x\n`Epoch` and `tree/src/gone.rs`",
            "ARCHITECTURE.md:2: `Epoch` does not exist\nARCHITECTURE.md:2: `tree/src/gone.rs` does not exist\n",
        );
        check_document("`tree::gone`", "ARCHITECTURE.md:1: `tree::gone` does not exist\n");
    }

    #[test]
    fn other_words_and_drawings_are_left_alone() {
        check_document(
            "`zoo.cfg`, `version-2`, `kill -9`, `/zookeeper/quota`, `-D`, `fdatasync`, `ACK`",
            "",
        );
        check_document("```text\n `Gone`\n```\n", "");
    }

    #[test]
    fn the_document_is_there_and_short() {
        assert_eq!(shown(&check(&repository(&[]))), "ARCHITECTURE.md:1: there is none\n");
        check_document(&"x\n".repeat(401), "ARCHITECTURE.md:400: 401 lines, more than 400\n");
    }
}
