//! What `docs/trust.md` names as a guard exists: it would be worse than no claim otherwise.
//!
//! In backticks, `storage/tests/log.rs::name` is a function of a file below `crates/`, and what ends like a
//! source, a script or a tape is such a file. A word `M12` is a planted bug.

use std::collections::BTreeSet;

use crate::repository::{File, Repository};
use crate::tidy::Finding;

const DOCUMENT: &str = "docs/trust.md";
const MUTANTS: &str = "crates/sim/src/mutants.rs";

pub(crate) fn check(repository: &Repository) -> Vec<Finding> {
    let find = |path: &str| repository.files.iter().find(|file| file.path == path);
    let Some(document) = find(DOCUMENT) else { return Vec::new() };
    let mutants = find(MUTANTS).map(mutants).unwrap_or_default();
    let mut findings = Vec::new();
    for (line, number) in document.text.lines().zip(1..) {
        let names = line.split('`').skip(1).step_by(2).filter(|name| !exists(repository, name));
        let bugs = line
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| mutant(word).is_some_and(|mutant| !mutants.contains(&mutant)));
        findings.extend(
            names
                .chain(bugs)
                .map(|name| Finding::new(DOCUMENT, number, format!("`{name}` does not exist"))),
        );
    }
    findings
}

/// Whether what is named exists, or is no name of this kind.
fn exists(repository: &Repository, name: &str) -> bool {
    if let Some((path, function)) = name.split_once(".rs::") {
        let path = format!("crates/{path}.rs");
        let definition = format!("fn {function}(");
        let is_there = |file: &File| file.path == path && file.text.contains(&definition);
        return repository.files.iter().any(is_there);
    }
    let is_file = [".rs", ".txt", ".tape"].iter().any(|end| name.ends_with(end));
    !is_file || repository.has(name) || repository.ending(&format!("/{name}")).next().is_some()
}

/// The number of a planted bug, if this is what a word names.
fn mutant(word: &str) -> Option<u32> {
    word.strip_prefix('M')?.parse().ok()
}

/// The numbers in the list of planted bugs: each is the first word of a call.
fn mutants(list: &File) -> BTreeSet<u32> {
    let calls = list.text.split('(').skip(1);
    calls.filter_map(|call| call.split_once(',')?.0.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{repository, shown};

    fn check_document(text: &str, expected: &str) {
        let files = [
            (DOCUMENT, text),
            (MUTANTS, "    mutant(7, \"x\", &[]),\n    of_nobody(\n        14,\n"),
            ("crates/storage/tests/log.rs", "#[test]\nfn a_gap() {}\n"),
            ("crates/zab/tests/scripts/protocol/a_cut.txt", "# A.\n"),
        ];
        let mut findings = check(&repository(&files));
        findings.sort();
        assert_eq!(shown(&findings), expected);
    }

    #[test]
    fn tests_scripts_and_planted_bugs_are_there() {
        check_document(
            "`storage/tests/log.rs::a_gap`, `protocol/a_cut.txt`, M7 and M14; `zoo.cfg`",
            "",
        );
        check_document(
            "x\n`storage/tests/log.rs::a_hole`, `protocol/a_cat.txt`; M8",
            "docs/trust.md:2: `M8` does not exist\n\
             docs/trust.md:2: `protocol/a_cat.txt` does not exist\n\
             docs/trust.md:2: `storage/tests/log.rs::a_hole` does not exist\n",
        );
    }
}
