//! Directories that Apache's server left, see `golden/README.md`.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use common::recover;
use flate2::read::GzDecoder;
use storage::{Origin, RealDisk, Recovered};
use tempfile::TempDir;
use types::SessionId;

const DIRECTORIES: [&str; 6] = [
    "apache-3.8.0-plain",
    "apache-3.8.0-gz",
    "apache-3.8.0-snappy",
    "apache-3.9.5-plain",
    "apache-3.9.5-gz",
    "apache-3.9.5-snappy",
];

/// Puts the files of a golden directory where a server would look for them; returns the znodes too.
fn unpack(name: &str) -> (TempDir, String) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("version-2")).unwrap();
    let mut znodes = String::new();
    for entry in fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        let mut content = Vec::new();
        GzDecoder::new(fs::File::open(&path).unwrap()).read_to_end(&mut content).unwrap();
        match path.file_stem().unwrap().to_str().unwrap() {
            "znodes.tsv" => znodes = String::from_utf8(content).unwrap(),
            file => fs::write(dir.path().join("version-2").join(file), content).unwrap(),
        }
    }
    (dir, znodes)
}

/// The tree in the form of `znodes.tsv`.
fn show(recovered: &Recovered) -> String {
    let mut lines: Vec<String> = recovered
        .tree
        .nodes()
        .map(|node| {
            let (path, stat) = (node.path(), node.stat());
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let data = node.data().map_or_else(|| "null".to_owned(), hex);
            let acl: Vec<_> = node
                .acl()
                .iter()
                .map(|acl| format!("{}:{}:{}", acl.id.scheme, acl.id.id, acl.perms.0))
                .collect();
            let numbers = [
                stat.czxid.raw(),
                stat.mzxid.raw(),
                stat.pzxid.raw(),
                stat.ctime_ms,
                stat.mtime_ms,
                stat.version.into(),
                stat.cversion.into(),
                stat.aversion.into(),
                stat.ephemeral_owner.0,
                stat.num_children.into(),
            ];
            let numbers = numbers.map(|number| number.to_string()).join("\t");
            format!("{path}\t{data}\t{numbers}\t{}\n", acl.join(","))
        })
        .collect();
    lines.sort();
    lines.concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn snapshots(dir: &TempDir) -> Vec<PathBuf> {
    let mut snapshots: Vec<_> = fs::read_dir(dir.path().join("version-2"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snapshot"))
        .collect();
    let zxid = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        i64::from_str_radix(name.split('.').nth(1).unwrap(), 16).unwrap()
    };
    snapshots.sort_by_key(zxid);
    snapshots
}

#[test]
fn everything_that_apache_showed_is_there_from_whichever_snapshot() {
    for name in DIRECTORIES {
        let (dir, znodes) = unpack(name);
        let mut from_snapshots = 0;
        while let Some(newest) = snapshots(&dir).pop() {
            let recovered = recover(&RealDisk, dir.path()).unwrap();
            assert_eq!(recovered.digest_mismatches, 0, "{name} from {newest:?}");
            assert!(matches!(recovered.origin, Origin::Snapshot(_)), "{name}");
            assert!(recovered.unreadable_snapshots.is_empty(), "{name} from {newest:?}");
            assert_eq!(show(&recovered), znodes, "{name} from {newest:?}");
            assert_eq!(recovered.tree.recomputed_digest(), recovered.tree.digest().unwrap());
            fs::remove_file(newest).unwrap();
            from_snapshots += 1;
        }
        assert!(from_snapshots >= 3, "{name}: snapshots taken under load");
    }
}

#[test]
fn sessions_that_were_open_are_open_and_own_their_znodes() {
    for name in DIRECTORIES {
        let (dir, _) = unpack(name);
        let recovered = recover(&RealDisk, dir.path()).unwrap();
        let tree = &recovered.tree;
        let owner = tree.find("/golden/kinds/ephemeral").unwrap().stat().ephemeral_owner;
        assert_ne!(owner, SessionId::NONE);
        assert_eq!(tree.session_timeout(owner), Some(40_000));
        assert!(tree.find("/golden/gone").is_none(), "its session was closed");
        assert_eq!(tree.dead_ephemeral_owners().count(), 0);
    }
}

#[test]
fn recovery_of_apaches_files_changes_none_of_them() {
    for name in DIRECTORIES {
        let (dir, _) = unpack(name);
        let read = || {
            let mut files: Vec<_> = fs::read_dir(dir.path().join("version-2"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| !path.ends_with("lock"))
                .map(|path| (path.clone(), fs::read(&path).unwrap()))
                .collect();
            files.sort();
            files
        };
        let before = read();
        recover(&RealDisk, dir.path()).unwrap();
        assert_eq!(read(), before, "{name}");
    }
}
