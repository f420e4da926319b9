//! Which crate may know which: arrows point one way, and the core stays free of input and output.
//!
//! Dependencies of tests are not looked at.

use crate::repository::{File, Repository};
use crate::tidy::Finding;

/// Each crate with the crates of the workspace it may depend on, from the bottom to the top.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("wire", &["types"]),
    ("tree", &["types"]),
    ("config", &["types"]),
    ("admin", &["types"]),
    ("zab", &["types", "wire"]),
    ("storage", &["types", "wire", "tree"]),
    ("replica", &["types", "wire", "tree", "zab"]),
    ("server", &["types", "wire", "tree", "zab", "storage", "replica", "admin", "config"]),
    ("client", &["types", "wire"]),
    ("recipes", &["types", "client"]),
    ("fixture", &["config", "server"]),
    ("shell", &["types", "client"]),
    ("tools", &["types", "wire", "tree", "storage"]),
    ("loadgen", &["types", "wire"]),
    ("reefkeeper", &["config", "server", "client", "shell", "tools", "loadgen"]),
    ("sim", &["types", "wire", "tree", "zab", "storage", "replica", "client"]),
    ("ordeal", &["client", "recipes", "sim"]),
    ("torture", &["types", "wire", "tree", "storage", "sim", "ordeal"]),
    ("interleavings", &["types", "tree"]),
];

/// Crates that do no input or output, read no clock and draw no randomness.
const CORE: [&str; 5] = ["types", "wire", "tree", "zab", "replica"];

/// What the core may use from outside: pure computations, and log events.
const CORE_MAY_USE: [&str; 11] = [
    "base64",
    "bytes",
    "crc32fast",
    "foldhash",
    "hashbrown",
    "md-5",
    "sha1",
    "sha2",
    "simd-adler32",
    "thiserror",
    "tracing",
];

/// What comes before a name in the workspace's dependencies if the crate is published.
const PUBLISHED_PREFIX: &str = "reefkeeper-";

pub(crate) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifests: Vec<(&str, &File)> = repository
        .ending("/Cargo.toml")
        .filter_map(|file| Some((folder(&file.path)?, file)))
        .collect();
    let is_ours = |name: &str| manifests.iter().any(|(folder, _)| *folder == name);
    for &(name, file) in &manifests {
        let mut find = |line, problem| findings.push(Finding::new(&file.path, line, problem));
        let Some((_, allowed)) = ARROWS.iter().find(|(folder, _)| *folder == name) else {
            find(1, format!("{name} has no place among the arrows between crates"));
            continue;
        };
        let is_core = CORE.contains(&name);
        if is_core && !repository.has(&format!("crates/{name}/clippy.toml")) {
            find(
                1,
                format!("{name} belongs to the core and has no clippy.toml that keeps it pure"),
            );
        }
        for (line, dependency) in dependencies(&file.text) {
            let folder = dependency.strip_prefix(PUBLISHED_PREFIX).unwrap_or(dependency);
            if is_ours(folder) {
                if !allowed.contains(&folder) {
                    find(line, format!("{name} must not depend on {folder}"));
                }
            } else if is_core && !CORE_MAY_USE.contains(&dependency) {
                find(line, format!("{name} belongs to the core and must not use {dependency}"));
            }
        }
    }
    findings
}

/// The folder of a crate's manifest, if it is directly below `crates/`.
fn folder(path: &str) -> Option<&str> {
    let folder = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    (!folder.contains('/')).then_some(folder)
}

/// The names below `[dependencies]`, each with its line.
fn dependencies(manifest: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_inside = false;
    manifest.lines().zip(1..).filter_map(move |(line, number)| {
        if line.starts_with('[') {
            is_inside = line == "[dependencies]";
            return None;
        }
        let name = line.split(['.', ' ', '=']).next()?;
        (is_inside && !name.is_empty() && !name.starts_with('#')).then_some((number, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{repository, shown};

    fn check_manifests(manifests: &[(&str, &str)], expected: &str) {
        assert_eq!(shown(&check(&repository(manifests))), expected);
    }

    const TYPES: (&str, &str) = ("crates/types/Cargo.toml", "[package]\n");
    const TYPES_LINTS: (&str, &str) = ("crates/types/clippy.toml", "");
    const CLIENT: (&str, &str) =
        ("crates/client/Cargo.toml", "[dependencies]\ntypes.workspace = true\n");

    #[test]
    fn arrows_point_one_way() {
        check_manifests(&[TYPES, TYPES_LINTS, CLIENT], "");
        let wrong = "[dependencies]\nthiserror = \"2\"\nreefkeeper-client = { workspace = true }\n";
        check_manifests(
            &[TYPES, TYPES_LINTS, CLIENT, ("crates/storage/Cargo.toml", wrong)],
            "crates/storage/Cargo.toml:3: storage must not depend on client\n",
        );
    }

    #[test]
    fn tests_may_know_everything() {
        let manifest =
            "[dependencies]\n\n[dev-dependencies]\nclient.workspace = true\ntokio = \"1\"\n";
        let types = ("crates/types/Cargo.toml", manifest);
        check_manifests(&[types, TYPES_LINTS, CLIENT], "");
    }

    #[test]
    fn the_core_stays_pure() {
        let types = ("crates/types/Cargo.toml", "[dependencies]\nbytes = \"1\"\ntokio = \"1\"\n");
        check_manifests(
            &[types],
            "crates/types/Cargo.toml:1: types belongs to the core and has no clippy.toml that keeps it pure\n\
             crates/types/Cargo.toml:3: types belongs to the core and must not use tokio\n",
        );
    }

    #[test]
    fn new_crates_need_a_place() {
        check_manifests(
            &[("crates/extra/Cargo.toml", "")],
            "crates/extra/Cargo.toml:1: extra has no place among the arrows between crates\n",
        );
        check_manifests(&[("crates/types/sub/Cargo.toml", "")], "");
    }
}
