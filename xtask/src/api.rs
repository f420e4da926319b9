//! The public API of the published crates, a line for each thing that a program can name or rely on.
//!
//! It is read from the sources as `rustfmt` leaves them, so no compiler has to be of a certain kind. What
//! is `pub` can be reached, for the lint `unreachable_pub` refuses everything else. `docs/api/` has what
//! was promised last; `tidy` tells when the sources differ from it, and `cargo xtask api` writes it.

mod items;

use std::collections::BTreeSet;
use std::io;

use self::items::{Item, items};
use crate::repository::Repository;

/// Each published crate: its name, and the folder of its sources.
pub(crate) const CRATES: [(&str, &str); 2] =
    [("reefkeeper-client", "crates/client/src/"), ("reefkeeper-recipes", "crates/recipes/src/")];

/// Where the types are that these crates hand on.
const TYPES: &str = "crates/types/src/";

/// Where the listing of a crate is kept.
pub(crate) fn path(name: &str) -> String {
    format!("docs/api/{name}.txt")
}

/// Writes the listings of all crates.
pub(crate) fn write(repository: &Repository) -> io::Result<()> {
    for (name, sources) in CRATES {
        let path = repository.root.join(path(name));
        std::fs::create_dir_all(path.parent().unwrap_or(&repository.root))?;
        std::fs::write(path, listing(repository, sources))?;
    }
    Ok(())
}

/// What a crate with these sources promises.
pub(crate) fn listing(repository: &Repository, sources: &str) -> String {
    let mut lines = BTreeSet::new();
    let mut handed_on = BTreeSet::new();
    for (module, item) in read(repository, sources) {
        if item.text.starts_with("pub use types::") {
            handed_on.extend(used_names(&item.text).map(str::to_owned));
        }
        lines.insert(format!("{module}{item}"));
    }
    for (_, item) in read(repository, TYPES) {
        if handed_on.contains(&item.owner) {
            lines.insert(item.to_string());
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The names that a crate hands on and that are defined nowhere, as far as this reader sees: it does not
/// expand macros, so that what they define would be missing from the listing without a word.
pub(crate) fn undefined(repository: &Repository, sources: &str) -> Vec<String> {
    let own = read(repository, sources);
    let others = read(repository, TYPES);
    let definitions = own.iter().chain(&others).filter(|(_, item)| item.is_definition);
    let defined: BTreeSet<_> = definitions.map(|(_, item)| item.owner.as_str()).collect();
    let uses = own.iter().filter(|(_, item)| item.text.starts_with("pub use "));
    let names = uses.flat_map(|(_, item)| used_names(&item.text));
    names.filter(|name| !defined.contains(name)).map(str::to_owned).collect()
}

/// What `pub use path::{A, B}` or `pub use path::A` makes public.
fn used_names(text: &str) -> impl Iterator<Item = &str> {
    let names = text.rsplit("::").next().unwrap_or_default();
    names.trim_matches(['{', '}']).split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// What is public below a folder, with the public module that it is in: others are no part of a name.
fn read(repository: &Repository, sources: &str) -> Vec<(String, Item)> {
    let root = repository.files.iter().find(|file| file.path == format!("{sources}lib.rs"));
    let root = root.map_or("", |file| file.text.as_str());
    let mut found = Vec::new();
    for file in &repository.files {
        let Some(place) = file.path.strip_prefix(sources) else { continue };
        if !file.path.ends_with(".rs") || file.is_test() {
            continue;
        }
        let module = place.split(['/', '.']).next().unwrap_or_default();
        let is_public = root.lines().any(|line| line == format!("pub mod {module};"));
        let prefix = if is_public { format!("{module}::") } else { String::new() };
        found.extend(items(file).into_iter().map(|item| (prefix.clone(), item)));
    }
    let definitions = found.iter().filter(|(_, item)| item.is_definition);
    let defined: BTreeSet<_> = definitions.map(|(_, item)| item.owner.clone()).collect();
    found.retain(|(_, item)| {
        item.is_definition || item.owner.is_empty() || defined.contains(&item.owner)
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let path = "crates/client/src/lib.rs".to_owned();
        let file = crate::repository::File { path, text: text.to_owned() };
        let repository = Repository { root: std::path::PathBuf::new(), files: vec![file] };
        let listing = listing(&repository, CRATES[0].1);
        assert_eq!(listing.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn methods_are_on_one_line_without_their_bodies() {
        check(
            "/// A door.\n#[derive(Clone, Debug)]\npub struct Door {\n    /// How wide.\n    pub width: u8,\n    \
             lock: Lock,\n}\n\nimpl Door {\n    /// Opens it.\n    pub async fn open(\n        &self,\n        \
             key: Key,\n    ) -> Result<(), Error> {\n        self.pub_key()\n    }\n\n    fn creak(&self) {}\n}\n",
            &[
                "Door: #[derive(Clone, Debug)] pub struct Door",
                "Door: pub async fn open(&self, key: Key) -> Result<(), Error>",
                "Door: pub width: u8",
            ],
        );
    }

    #[test]
    fn values_of_several_lines_are_left_out() {
        check(
            "pub struct Key;\n\nimpl Key {\n    /// All.\n    pub const ALL: &'static [Self] = &[\n        Self,\n        \
             Self,\n    ];\n\n    pub const NONE: [u8; 0] = [];\n}\n",
            &[
                "Key: pub const ALL: &'static [Self]",
                "Key: pub const NONE: [u8; 0] = []",
                "Key: pub struct Key",
            ],
        );
    }

    #[test]
    fn variants_are_listed_with_their_fields() {
        check(
            "pub enum Change {\n    /// None.\n    Nothing,\n    Moved {\n        /// Where.\n        to: Place,\n    \
             },\n    Gone(Reason),\n}\n",
            &[
                "Change: Gone(Reason)",
                "Change: Moved { to: Place }",
                "Change: Nothing",
                "Change: pub enum Change",
            ],
        );
    }

    #[test]
    fn what_others_can_not_name_is_left_out() {
        check("pub struct Door(Lock);\n", &["Door: pub struct Door(..)"]);
        check(
            "pub(crate) struct Inner;\n\nimpl Clone for Inner {\n    fn clone(&self) -> Self {\n    }\n}\n\n\
             struct Own(u8);\n\nfn own() {}\n",
            &[],
        );
    }

    #[test]
    fn traits_are_listed_with_what_they_ask_for_and_who_has_them() {
        check(
            "pub trait Opens: Send {\n    /// Does.\n    fn open(&mut self) -> bool;\n}\n\npub struct Key(pub u8);\n\n\
             impl<'a> From<&'a str> for Key {\n    fn from(text: &'a str) -> Self {\n    }\n}\n",
            &[
                "Key: impl<'a> From<&'a str> for Key",
                "Key: pub struct Key(pub u8)",
                "Opens: fn open(&mut self) -> bool",
                "Opens: pub trait Opens: Send",
            ],
        );
    }

    #[test]
    fn what_is_hidden_is_promised_to_nobody() {
        check(
            "#[doc(hidden)]\npub mod inner;\n\n/// A.\n#[doc(hidden)]\n#[derive(Debug)]\npub struct Bolt;\n\n\
             impl Bolt {\n    pub fn slide(&self) {}\n}\n\npub struct Door;\n\nimpl Door {\n    /// B.\n    \
             #[doc(hidden)]\n    #[must_use]\n    pub fn unhinge(self) {\n    }\n\n    fn own(&self) {}\n\n    \
             pub fn open(&self) {}\n}\n",
            &["Door: pub fn open(&self)", "Door: pub struct Door"],
        );
    }

    #[test]
    fn names_that_are_handed_on_without_a_definition_are_found() {
        let file = |path: &str, text: &str| crate::repository::File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let files = vec![
            file(
                "crates/client/src/lib.rs",
                "mod door;\n\npub use types::lock::Key;\npub use types::{\n    Bolt, Hinge,\n};\n\n\
                 pub use self::door::{Door, knock};\n",
            ),
            file("crates/client/src/door.rs", "pub struct Door;\n\npub fn knock() {\n}\n"),
            file("crates/types/src/lock.rs", "pub struct Key;\n\npub struct Bolt;\n"),
            file("crates/types/src/hinge.rs", "hinges! {\n    Hinge,\n}\n"),
        ];
        let repository = Repository { root: std::path::PathBuf::new(), files };
        assert_eq!(undefined(&repository, CRATES[0].1), ["Hinge"]);
    }

    #[test]
    fn public_modules_are_a_part_of_names() {
        let file = |path: &str, text: &str| crate::repository::File {
            path: format!("crates/client/src/{path}"),
            text: text.to_owned(),
        };
        let files = vec![
            file("lib.rs", "mod door;\npub mod slow;\n"),
            file("door.rs", "pub struct Door;\npub const WIDTH: u8 = 7;\n"),
            file("slow.rs", "pub struct Door;\n"),
            file("slow/lock.rs", "pub const fn lock() {\n}\n"),
        ];
        let listing = listing(&Repository { root: std::path::PathBuf::new(), files }, CRATES[0].1);
        let expected = [
            "Door: pub struct Door",
            "WIDTH: pub const WIDTH: u8 = 7",
            "pub mod slow",
            "slow::Door: pub struct Door",
            "slow::lock: pub const fn lock()",
        ];
        assert_eq!(listing.lines().collect::<Vec<_>>(), expected);
    }
}
