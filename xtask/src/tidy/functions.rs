//! A function fits a screen.
//!
//! This relies on rustfmt: a function begins on a line with `fn` in it, and ends on the first later
//! line that closes a brace at the same depth.

use crate::repository::Repository;
use crate::tidy::Finding;

/// Lines of a function, from its signature to its closing brace.
const LINES_MAX: usize = 70;

pub(crate) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository.ending(".rs").filter(|file| !file.is_test()) {
        let mut open: Vec<(usize, usize, &str)> = Vec::new();
        for (number, line) in file.code() {
            let depth = line.len() - line.trim_start().len();
            if let Some(name) = function(line) {
                open.push((depth, number, name));
            }
            let ends = line.trim_start().starts_with('}') || line.ends_with(['}', ';']);
            let is_end = |open: &(usize, usize, &str)| open.0 == depth && ends;
            // A function without a block ends on its first line, or on the last of its signature.
            if !open.last().is_some_and(is_end) {
                continue;
            }
            let Some((_, start, name)) = open.pop() else { continue };
            let lines = number - start + 1;
            if lines > LINES_MAX {
                let problem = format!("fn {name} has {lines} lines, more than {LINES_MAX}");
                findings.push(Finding::new(&file.path, start, problem));
            }
        }
    }
    findings
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    let modifiers = ["const", "async", "unsafe", "extern"];
    let is_modifier = |word: &str| modifiers.contains(&word) || word.starts_with("pub");
    let word = words.by_ref().find(|word| !is_modifier(word) && *word != "\"C\"")?;
    if word != "fn" {
        return None;
    }
    words.next()?.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{repository, shown};

    fn check_lines(source: &str, expected: &str) {
        assert_eq!(shown(&check(&repository(&[("a.rs", source)]))), expected);
    }

    #[test]
    fn long_functions_are_found() {
        let body = |lines| "    call();\n".repeat(lines);
        check_lines(&format!("fn fits() {{\n{}}}\n", body(68)), "");
        check_lines(
            &format!("/// Doc.\npub(crate) async fn long<T>(\n    a: T,\n) {{\n{}}}\n", body(67)),
            "a.rs:2: fn long has 71 lines, more than 70\n",
        );
        check_lines(
            &format!(
                "impl A {{\n    fn one(&self) {{}}\n    const fn two() {{\n{}    }}\n}}\n",
                "        x;\n".repeat(70)
            ),
            "a.rs:3: fn two has 72 lines, more than 70\n",
        );
    }

    #[test]
    fn declarations_and_short_bodies_end_at_once() {
        let trait_ =
            "trait A {\n    fn one(&self);\n    fn two(\n        &self,\n    ) -> u8;\n}\n";
        check_lines(&format!("{trait_}{}", "const A: u8 = 0;\n".repeat(80)), "");
    }

    #[test]
    fn tests_may_be_long() {
        let long = format!("fn long() {{\n{}}}\n", "    call();\n".repeat(80));
        check_lines(&format!("#[cfg(test)]\n{long}"), "");
        assert_eq!(check(&repository(&[("crates/a/tests/b.rs", &long)])), []);
    }
}
