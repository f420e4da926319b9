//! A file has one subject, a name that says which, and is not too long.

use crate::repository::Repository;
use crate::tidy::Finding;

/// Lines of a source file without the tests at its end.
const LINES_MAX: usize = 800;

/// Names that say nothing about what is inside.
const NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "misc", "manager"];

/// Each is a few lines around a function whose documentation tells more.
const FUZZ_TARGETS: &str = "fuzz/fuzz_targets/";

/// Lines of documentation at the top of a crate.
const DOC_LINES_MIN: usize = 3;

pub(crate) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository.ending(".rs").filter(|file| !file.is_test()) {
        let mut find = |line, problem: String| {
            findings.push(Finding::new(&file.path, line, problem));
        };
        let mut parts = file.path.rsplit('/');
        let stem = parts.next().map_or("", |name| name.trim_end_matches(".rs"));
        if NAMES.contains(&stem) || parts.any(|part| NAMES.contains(&part)) {
            find(1, "a name that says nothing; split it by meaning".to_owned());
        }
        let lines = file.code().count();
        if lines > LINES_MAX {
            find(LINES_MAX, format!("{lines} lines without tests, more than {LINES_MAX}"));
        }
        let docs = file.text.lines().take_while(|line| line.starts_with("//!")).count();
        let is_crate = file.path.starts_with("crates/") && file.path.ends_with("/src/lib.rs");
        if is_crate && docs < DOC_LINES_MIN {
            find(
                1,
                format!("a crate begins with at least {DOC_LINES_MIN} lines that tell what it is"),
            );
        } else if docs == 0 && !file.path.starts_with(FUZZ_TARGETS) {
            find(1, "a module begins with a line that tells what it is".to_owned());
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{repository, shown};

    fn check_file(path: &str, text: &str, expected: &str) {
        assert_eq!(shown(&check(&repository(&[(path, text)]))), expected);
    }

    #[test]
    fn names_must_say_something() {
        let problem = "a name that says nothing; split it by meaning";
        check_file(
            "crates/a/src/utils.rs",
            "//! A.\n",
            &format!("crates/a/src/utils.rs:1: {problem}\n"),
        );
        check_file("a/common/b.rs", "//! A.\n", &format!("a/common/b.rs:1: {problem}\n"));
        check_file("a/commonplace.rs", "//! A.\n", "");
    }

    #[test]
    fn long_files_are_found_but_tests_do_not_count() {
        let code = format!("//! A.\n{}", "x\n".repeat(799));
        check_file("a.rs", &format!("{code}#[cfg(test)]\n{}", "y\n".repeat(500)), "");
        check_file(
            "a.rs",
            &format!("{code}x\n"),
            "a.rs:800: 801 lines without tests, more than 800\n",
        );
        check_file("crates/a/tests/a.rs", &format!("{code}x\n"), "");
    }

    #[test]
    fn modules_and_crates_tell_what_they_are() {
        check_file(
            "a.rs",
            "use b;\n",
            "a.rs:1: a module begins with a line that tells what it is\n",
        );
        let problem = "a crate begins with at least 3 lines that tell what it is";
        check_file(
            "crates/a/src/lib.rs",
            "//! A.\n",
            &format!("crates/a/src/lib.rs:1: {problem}\n"),
        );
        check_file("crates/a/src/lib.rs", "//! A.\n//!\n//! B.\n", "");
    }
}
