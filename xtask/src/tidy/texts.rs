//! What no file says: promises without an issue, and where it was written. And what scripts say
//! first.

use crate::repository::{File, Repository};
use crate::tidy::Finding;

/// Marks of unfinished work; in two parts, so that this file has none.
const MARKS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

pub(crate) fn check(repository: &Repository) -> Vec<Finding> {
    let home = std::env::var("HOME").ok().filter(|home| home.len() > 1);
    let root = repository.root.to_string_lossy().into_owned();
    let places: Vec<String> =
        [Some(root), home].into_iter().flatten().filter(|p| !p.is_empty()).collect();
    let mut findings = Vec::new();
    for file in &repository.files {
        findings.extend(marks(file));
        findings.extend(machine_paths(file, &places));
        findings.extend(script_without_comment(file));
    }
    findings
}

/// Marks that do not name an issue, as `MARK(#12)` does.
fn marks(file: &File) -> impl Iterator<Item = Finding> {
    let is_source = [".rs", ".py", ".sh", ".toml", ".md", "justfile"];
    let is_source = is_source.iter().any(|end| file.path.ends_with(end));
    let lines = file.text.lines().zip(1..).filter(move |_| is_source);
    lines.filter_map(|(line, number)| {
        let mark = MARKS.iter().find(|mark| {
            line.match_indices(**mark).any(|(at, mark)| {
                let before = line[..at].chars().next_back();
                let after = &line[at + mark.len()..];
                let is_word = |c: char| c.is_alphanumeric() || c == '_';
                !before.is_some_and(is_word)
                    && !after.starts_with(is_word)
                    && !after.starts_with("(#")
            })
        })?;
        Some(Finding::new(
            &file.path,
            number,
            format!("{mark} without an issue: write {mark}(#number)"),
        ))
    })
}

/// Paths of the machine it was written on.
fn machine_paths(file: &File, places: &[String]) -> impl Iterator<Item = Finding> {
    let lines = file.text.lines().zip(1..);
    lines.filter_map(|(line, number)| {
        let names = |place: &&String| line.contains(&format!("{place}/"));
        let place = places.iter().find(names)?;
        Some(Finding::new(&file.path, number, format!("{place} is a path of this machine")))
    })
}

/// Something that is run and does not say what it does right after its first line.
fn script_without_comment(file: &File) -> Option<Finding> {
    let mut lines = file.text.lines();
    if !lines.next()?.starts_with("#!") || file.path.ends_with(".rs") {
        return None;
    }
    let second = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let says_what = ["# ", "// ", "\"\"\""].iter().any(|start| second.starts_with(start));
    (!says_what).then(|| Finding::new(&file.path, 2, "a script begins with what it does"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{repository, shown};

    fn check_file(path: &str, text: &str, expected: &str) {
        assert_eq!(shown(&check(&repository(&[(path, text)]))), expected);
    }

    #[test]
    fn promises_name_an_issue() {
        let mark = MARKS[0];
        check_file(
            "a.rs",
            &format!("x\n// {mark}: later\n"),
            &format!("a.rs:2: {mark} without an issue: write {mark}(#number)\n"),
        );
        check_file("a.rs", &format!("// {mark}(#7): later\nlet {mark}_LIST = A{mark}S;\n"), "");
        check_file("a.bin", mark, "");
    }

    #[test]
    fn machines_are_not_named() {
        let file =
            File { path: "a.md".into(), text: "see /srv/build/x\nand /srv/builder\n".into() };
        let findings: Vec<Finding> = machine_paths(&file, &["/srv/build".into()]).collect();
        assert_eq!(shown(&findings), "a.md:1: /srv/build is a path of this machine\n");
    }

    #[test]
    fn scripts_say_what_they_do() {
        check_file("run", "#!/bin/sh\nset -e\n", "run:2: a script begins with what it does\n");
        check_file("run", "#!/bin/sh\n\n# Runs.\n", "");
        check_file("run.py", "#!/usr/bin/env python3\n\"\"\"Runs.\"\"\"\n", "");
        check_file("notes", "no script\n", "");
    }
}
