//! `cargo xtask fuzz`: builds the fuzz targets with a stable compiler and runs them for a while.
//!
//! The coverage that libFuzzer needs comes from a pass of LLVM that a stable compiler has too. The
//! address sanitizer, which needs a nightly one, would look for what code without `unsafe` can not
//! do.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// What `cargo fuzz` passes, without the sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cdebug-assertions -Ccodegen-units=1";

/// A named platform keeps the flags away from build scripts.
const PLATFORM: &str = env!("XTASK_PLATFORM");

/// Runs one target, or all, for so many seconds each. Returns the names of those that found
/// something, or could not run.
///
/// # Errors
/// The targets can not be built or listed.
pub(crate) fn run(root: &Path, wanted: Option<&str>, seconds: u32) -> io::Result<Vec<String>> {
    let folder = root.join("fuzz");
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--release", "--bins", "--target", PLATFORM]);
    check(build.env("RUSTFLAGS", FLAGS).current_dir(&folder).status()?)?;
    let mut failed = Vec::new();
    for name in targets(&folder)? {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let corpus = folder.join("corpus").join(&name);
        let artifacts = folder.join("artifacts").join(&name);
        std::fs::create_dir_all(&corpus)?;
        std::fs::create_dir_all(&artifacts)?;
        let program = folder.join("target").join(PLATFORM).join("release").join(&name);
        let output = Command::new(program)
            .arg(format!("-max_total_time={seconds}"))
            .arg("-verbosity=0")
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(corpus)
            .arg(folder.join("seeds").join(&name))
            .output()?;
        if !output.status.success() {
            // What broke it is in the artifacts; this is what libFuzzer and the target said of it.
            eprintln!("{name}:\n{}", String::from_utf8_lossy(&output.stderr));
            failed.push(name);
        }
    }
    Ok(failed)
}

/// The names of the targets, in order.
pub(crate) fn targets(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets"))? {
        let path: PathBuf = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn check(status: ExitStatus) -> io::Result<()> {
    if status.success() { Ok(()) } else { Err(io::Error::other("the fuzz targets do not build")) }
}
