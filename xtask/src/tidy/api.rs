//! The public API of the published crates is what `docs/api/` says, and all of it is there.

use super::Finding;
use crate::api::{CRATES, listing, path, undefined};
use crate::repository::Repository;

/// Where a listing and the sources part, and what no listing would have.
pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let unread = CRATES.iter().flat_map(|(_, sources)| {
        let names = undefined(repository, sources).into_iter();
        names.map(move |name| {
            let problem = format!(
                "`{name}` is handed on, and no line defines it: what a macro makes is not in the listing"
            );
            Finding::new(&format!("{sources}lib.rs"), 1, problem)
        })
    });
    let compared =
        CRATES.iter().filter_map(|(name, sources)| compare(repository, &path(name), sources));
    unread.chain(compared).collect()
}

fn compare(repository: &Repository, path: &str, sources: &str) -> Option<Finding> {
    let actual = listing(repository, sources);
    let promised = repository.files.iter().find(|file| file.path == path);
    let promised = promised.map_or("", |file| file.text.as_str());
    let (mut old, mut new) = (promised.lines(), actual.lines());
    for line in 1.. {
        let problem = match (old.next(), new.next()) {
            (None, None) => return None,
            (old, new) if old == new => continue,
            (_, Some(new)) => format!("the public API has or had more before `{new}`"),
            (Some(old), None) => format!("the public API has no `{old}` anymore"),
        };
        let advice = "`cargo xtask api` writes it down; CONTRIBUTING.md says what it means";
        return Some(Finding::new(path, line, format!("{problem}: {advice}")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{repository, shown};
    use super::*;

    #[track_caller]
    fn check_listing(promised: &str, expected: &[usize]) {
        let source = "pub struct Door;\n\npub struct Key;\n";
        let files =
            [("crates/client/src/lib.rs", source), ("docs/api/reefkeeper-client.txt", promised)];
        let findings = check(&repository(&files));
        let lines: Vec<_> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{}", shown(&findings));
    }

    #[test]
    fn what_is_handed_on_is_defined_somewhere() {
        let source = "pub use types::Door;\n";
        let listing = "pub use types::Door\n";
        let files =
            [("crates/client/src/lib.rs", source), ("docs/api/reefkeeper-client.txt", listing)];
        let findings = check(&repository(&files));
        assert!(shown(&findings).contains("`Door` is handed on"), "{}", shown(&findings));
        let defined = ("crates/types/src/door.rs", "pub struct Door;\n");
        let listing = "Door: pub struct Door\npub use types::Door\n";
        let files = [files[0], ("docs/api/reefkeeper-client.txt", listing), defined];
        assert_eq!(shown(&check(&repository(&files))), "");
    }

    #[test]
    fn what_is_written_down_is_what_there_is() {
        let listing = "Door: pub struct Door\nKey: pub struct Key\n";
        check_listing(listing, &[]);
        check_listing("Door: pub struct Door\n", &[2]);
        check_listing("", &[1]);
        check_listing(&format!("{listing}Lock: pub struct Lock\n"), &[3]);
        check_listing("Door: pub struct Door\nGate: pub struct Gate\nKey: pub struct Key\n", &[2]);
    }
}
