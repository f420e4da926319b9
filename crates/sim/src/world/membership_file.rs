//! Where a server keeps its memberships: two files beside its data, written in the order in which
//! `config::MembershipFiles` writes those of a real server, which stand in the directory of its
//! configuration.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::{Action, Disk, DiskFile, SimulatedDisk};
use types::Sid;
use types::membership::{ConfigVersion, Membership};
use zab::Memberships;

/// The one in force.
const COMMITTED: &str = "/conf/members";
/// The one that is proposed.
const PENDING: &str = "/conf/members.next";
/// What a file is called before it is whole.
const UNFINISHED: &str = "/conf/members.tmp";

/// Writes by hand what a server is to be started with.
pub(super) fn plant(disk: &SimulatedDisk, membership: &Membership) {
    disk.plant(Path::new(COMMITTED), membership.to_string().as_bytes());
}

/// Whether there was a server on this disk.
pub(super) fn is_there(disk: &SimulatedDisk) -> bool {
    disk.contents(Path::new(COMMITTED)).is_ok()
}

/// What a start finds.
pub(super) fn load(disk: &SimulatedDisk) -> Memberships {
    let read = |path: &str| {
        let bytes = disk.contents(Path::new(path)).ok()?;
        Membership::parse(&String::from_utf8(bytes).ok()?).ok().map(Arc::new)
    };
    let committed = read(COMMITTED).expect("it is replaced as a whole");
    Memberships::new(committed, read(PENDING))
}

/// Makes memberships durable. Who was never in the ensemble, and still is not, goes on with what was
/// written by hand, with which it can start again; but it keeps a proposal that makes it a member.
pub(super) fn store(
    disk: &SimulatedDisk,
    sid: Sid,
    memberships: &Memberships,
) -> Result<(), storage::Error> {
    let (stored, new) = (load(disk).committed.version(), &memberships.committed);
    let is_stranger = stored == ConfigVersion::default() && new.find(sid).is_none();
    if new.version() > stored && !is_stranger {
        replace(disk, COMMITTED, new)?;
    }
    let is_kept = |pending: &&Arc<Membership>| !is_stranger || pending.find(sid).is_some();
    match memberships.pending().filter(is_kept) {
        Some(pending) => replace(disk, PENDING, pending),
        None => remove(disk, PENDING),
    }
}

fn replace(disk: &SimulatedDisk, path: &str, content: &Membership) -> Result<(), storage::Error> {
    let (unfinished, path) = (Path::new(UNFINISHED), Path::new(path));
    disk.create_dir_all(directory(path)).map_err(failed(Action::CreateDirectory, path))?;
    let file = disk.create(unfinished).map_err(failed(Action::Create, unfinished))?;
    let text = content.to_string();
    file.write_all_at(text.as_bytes(), 0).map_err(failed(Action::Write, unfinished))?;
    file.sync_data().map_err(failed(Action::Sync, unfinished))?;
    disk.rename(unfinished, path).map_err(failed(Action::Rename, path))?;
    disk.sync_dir(directory(path)).map_err(failed(Action::SyncDirectory, path))
}

fn remove(disk: &SimulatedDisk, path: &str) -> Result<(), storage::Error> {
    let path = Path::new(path);
    match disk.unlink(path) {
        Ok(()) => disk.sync_dir(directory(path)).map_err(failed(Action::SyncDirectory, path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(Action::Remove, path)(error)),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn failed(action: Action, path: &Path) -> impl Fn(io::Error) -> storage::Error + use<> {
    let path: PathBuf = path.to_owned();
    move |source| storage::Error::Io { action, path: path.clone(), source }
}
