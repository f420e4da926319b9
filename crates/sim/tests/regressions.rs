//! The tapes of `regressions/`: runs that broke a promise once and break none any more.
//!
//! A tape that names a planted bug breaks something with that bug only: such tapes stand for bugs of
//! others that this server never had. They are also run with it when the feature `mutants` is on:
//!
//! ```text
//! cargo test --release -p sim --features mutants --test regressions
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use sim::tape::Script;
use sim::world::{self, Trace};

/// All tapes, by the names of their files.
fn tapes() -> Vec<(PathBuf, Script)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let files = fs::read_dir(dir).expect("the folder is part of the crate");
    let mut paths: Vec<PathBuf> =
        files.map(|file| file.expect("the folder can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tape"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("tapes are text");
        let script =
            Script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, script)
    };
    paths.into_iter().map(read).collect()
}

/// One test, since a planted bug is planted for the whole process.
#[test]
fn what_was_broken_once_stays_whole() {
    let tapes = tapes();
    assert!(!tapes.is_empty());
    for (path, script) in &tapes {
        assert!(!script.prose.is_empty(), "{} does not say what was wrong", path.display());
        let report = world::run(script.tape(), Trace::Off);
        assert_eq!(report.violation, None, "{}", path.display());
    }
    #[cfg(feature = "mutants")]
    tapes.iter().for_each(|(path, script)| require_breach(path, script));
}

/// The name of a file begins with the promise that its run breaks with its planted bug.
#[cfg(feature = "mutants")]
fn require_breach(path: &Path, script: &Script) {
    let Some(mutant) = script.mutant else { return };
    let name = path.file_stem().expect("tapes have names").to_string_lossy().into_owned();
    types::mutant::choose(mutant);
    let report = world::run(script.tape(), Trace::Off);
    types::mutant::choose(0);
    let broken = report.violation.map(|violation| violation.promise.to_string().to_lowercase());
    assert_eq!(broken.as_deref(), name.split('-').next(), "{}", path.display());
}
