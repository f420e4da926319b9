//! A file system in memory that can be made small: what has no room there gets no answer but the kernel's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;

/// There is room for whatever a run writes.
const WIDE: &str = "50%";

/// A directory in memory, until dropped. To mount it takes the rights of `root`, at least in a namespace:
/// `unshare --map-root-user --mount` gives them to everybody where that is allowed.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    directory: PathBuf,
}

impl Tmpfs {
    /// Makes a directory, and mounts one there with room for everything.
    pub(crate) fn mount(directory: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(directory).map_err(Failure::io("there is no room for a directory"))?;
        let options = format!("size={WIDE}");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory))?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Leaves room for so many blocks of 1024 bytes.
    pub(crate) fn shrink(&self, blocks: u64) -> Result<(), Failure> {
        let used = self.used_blocks()?;
        self.resize(&format!("{}k", used + blocks))
    }

    /// Has room for everything again.
    pub(crate) fn widen(&self) -> Result<(), Failure> {
        self.resize(WIDE)
    }

    fn resize(&self, size: &str) -> Result<(), Failure> {
        let options = format!("remount,size={size}");
        run(Command::new("mount").args(["-o", &options]).arg(&self.directory)).map(|_| ())
    }

    fn used_blocks(&self) -> Result<u64, Failure> {
        let told = run(Command::new("df").args(["--output=used", "-k"]).arg(&self.directory))?;
        let used = told.lines().last().and_then(|line| line.trim().parse().ok());
        used.ok_or_else(|| failed(io::Error::other(format!("df says {told:?}"))))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Without this the directory around it could not be removed. A server may still be ending.
        if let Err(failure) = run(Command::new("umount").arg("-l").arg(&self.directory)) {
            eprintln!("torture: {} stays mounted: {failure}", self.directory.display());
        }
    }
}

/// Runs a command, and returns what it says.
fn run(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(failed)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())))
        }
    }
}

fn failed(source: io::Error) -> Failure {
    Failure::io("a file system in memory can not be had")(source)
}
