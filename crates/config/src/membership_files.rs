//! The files that keep a membership which changes while a server runs.
//!
//! ```text
//! zoo.cfg                      names the second one: dynamicConfigFile=<its absolute path>
//! zoo.cfg.dynamic.<version>    the membership in force, without its version; older ones stay
//! zoo.cfg.dynamic.next         one that is proposed, with its version, as long as it is
//! zoo.cfg.bak                  zoo.cfg as it was while it had the membership itself
//! ```
//!
//! They are those of Apache's servers (`QuorumPeerConfig`, `QuorumPeer`), which go on from them, as this
//! server does from theirs. Comments and the order of lines in `zoo.cfg` are kept; there they are lost.
//!
//! Each file is replaced as a whole and durably, in the order in which a start that comes between
//! finds what it needs: the dynamic file, the one that names it, then the end of the proposal.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use types::Sid;
use types::membership::{ConfigVersion, Membership};

use crate::properties;

/// What is behind the name of the main file in that of the file with the membership that was proposed
/// last.
pub(crate) const PENDING_SUFFIX: &str = ".dynamic.next";

/// The files of one server. See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MembershipFiles {
    /// The main one.
    main: PathBuf,
    /// Whose they are.
    sid: Sid,
    /// The version of the membership that the main file names or has.
    stored: ConfigVersion,
}

/// Why a membership is not kept.
#[derive(thiserror::Error, Debug)]
pub enum MembershipFilesError {
    /// A file can not be read or written.
    #[error("can not keep the membership in {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The main file is not what it was at the start.
    #[error("can not keep the membership: {path} can not be read any longer, see line {line}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

impl MembershipFiles {
    /// The files of a server whose main file names, or has, a membership of this version.
    pub(crate) const fn new(main: PathBuf, sid: Sid, stored: ConfigVersion) -> Self {
        Self { main, sid, stored }
    }

    /// Keeps the membership in force, and the one that is proposed, if there is one.
    ///
    /// A server that was never part of the ensemble, and is not in the membership either, goes on with what
    /// was written by hand, with which it can start again; but it keeps a proposal that makes it a
    /// member, since whoever has acknowledged that is needed to decide over it.
    ///
    /// # Errors
    /// Names the file that could not be read or written. Those before it are as they should be.
    pub fn store(
        &mut self,
        committed: &Membership,
        pending: Option<&Membership>,
    ) -> Result<(), MembershipFilesError> {
        let is_in = |membership: &Membership| membership.find(self.sid).is_some();
        let is_stranger = self.stored == ConfigVersion::default() && !is_in(committed);
        let pending = pending.filter(|pending| !is_stranger || is_in(pending));
        if committed.version() > self.stored && !is_stranger {
            self.store_committed(committed)?;
        }
        let next = self.beside(PENDING_SUFFIX);
        match pending {
            Some(pending) => {
                let text = with_sorted_lines(&pending.to_string());
                replace(&self.main, &next, text.as_bytes())
            }
            None => remove(&next),
        }
    }

    fn store_committed(&mut self, membership: &Membership) -> Result<(), MembershipFilesError> {
        let version = membership.version();
        let dynamic = self.beside(&format!(".dynamic.{version}"));
        let text = with_sorted_lines(&membership.to_string());
        let (lines, _) = text.rsplit_once('\n').unwrap_or_default();
        replace(&self.main, &dynamic, lines.as_bytes())?;

        let old = fs::read(&self.main).map_err(|source| io_error(&self.main, source))?;
        let malformed = |problem: properties::MalformedEscape| MembershipFilesError::Malformed {
            path: self.main.clone(),
            line: problem.line,
        };
        let entries = properties::parse(&old).map_err(malformed)?;
        if !entries.iter().any(|entry| entry.key == POINTER) {
            replace(&self.main, &self.beside(".bak"), &old)?;
        }
        let member = membership.find(self.sid);
        let has_client = member.is_some_and(|member| member.client.is_some());
        let has_secure_client = member.is_some_and(|member| member.secure_client.is_some());
        let is_obsolete = |key: &str| {
            let is_client = matches!(key, "clientPort" | "clientPortAddress");
            let is_secure_client = matches!(key, "secureClientPort" | "secureClientPortAddress");
            ["server.", "group.", "weight."].iter().any(|prefix| key.starts_with(prefix))
                || matches!(key, POINTER | "peerType")
                || has_client && is_client
                || has_secure_client && is_secure_client
        };
        let mut new = properties::without(&old, is_obsolete).map_err(malformed)?;
        let dynamic = fs::canonicalize(&dynamic).map_err(|source| io_error(&dynamic, source))?;
        new.extend_from_slice(POINTER.as_bytes());
        new.push(b'=');
        new.extend_from_slice(dynamic.as_os_str().as_encoded_bytes());
        new.push(b'\n');
        replace(&self.main, &self.main, &new)?;
        self.stored = version;
        Ok(())
    }

    /// The file with this behind the name of the main one.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.main.clone().into_os_string();
        path.push(suffix);
        path.into()
    }
}

/// The key that names the dynamic file.
const POINTER: &str = "dynamicConfigFile";

/// Apache's servers sort the lines as texts; the one with the version is the last one anyhow.
fn with_sorted_lines(membership: &str) -> String {
    let mut lines: Vec<&str> = membership.lines().collect();
    lines.sort_unstable();
    let version = lines.iter().position(|line| line.starts_with("version="));
    if let Some(version) = version {
        let version = lines.remove(version);
        lines.push(version);
    }
    lines.join("\n")
}

/// Writes a file in place of another, so that a crash leaves one of them whole. Who may read the main
/// file, in which secrets may be, may read this one, and nobody else.
fn replace(main: &Path, path: &Path, content: &[u8]) -> Result<(), MembershipFilesError> {
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let written = File::create(&temporary).and_then(|mut file| {
        file.set_permissions(fs::metadata(main)?.permissions())?;
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|source| io_error(&temporary, source))?;
    fs::rename(&temporary, path)
        .and_then(|()| sync_directory_of(path))
        .map_err(|source| io_error(path, source))
}

/// Removes a file if it is there.
fn remove(path: &Path) -> Result<(), MembershipFilesError> {
    match fs::remove_file(path).and_then(|()| sync_directory_of(path)) {
        Err(failure) if failure.kind() != io::ErrorKind::NotFound => Err(io_error(path, failure)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn io_error(path: &Path, source: io::Error) -> MembershipFilesError {
    MembershipFilesError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const STATIC: &str = "# a comment\ntickTime=500\nserver.1=a:1:2\nserver.2=b:1:2\nclientPort=7\npeerType=participant\nclientPortListenBacklog=9\n";
    const MEMBERS: &str =
        "server.1=a:1:2:participant;0.0.0.0:7\nserver.2=b:1:2:participant;0.0.0.0:7";

    struct Site {
        directory: tempfile::TempDir,
        files: MembershipFiles,
    }

    impl Site {
        fn new(sid: i64, stored: i64) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let main = directory.path().join("zoo.cfg");
            fs::write(&main, STATIC).unwrap();
            let files = MembershipFiles::new(main, Sid(sid), ConfigVersion(stored));
            Self { directory, files }
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.directory.path().join(name)).ok()
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.directory.path()).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    fn membership(text: &str, version: i64) -> Membership {
        Membership::parse(text).unwrap().with_version(ConfigVersion(version))
    }

    #[test]
    fn a_membership_moves_into_a_file_of_its_own() {
        let mut site = Site::new(1, 0);
        site.files.store(&membership(MEMBERS, 0x1_0000_0000), None).unwrap();
        assert_eq!(site.names(), ["zoo.cfg", "zoo.cfg.bak", "zoo.cfg.dynamic.100000000"]);
        assert_eq!(site.read("zoo.cfg.bak").unwrap(), STATIC);
        assert_eq!(site.read("zoo.cfg.dynamic.100000000").unwrap(), MEMBERS);
        let dynamic =
            site.directory.path().canonicalize().unwrap().join("zoo.cfg.dynamic.100000000");
        let expected = format!(
            "# a comment\ntickTime=500\nclientPortListenBacklog=9\ndynamicConfigFile={}\n",
            dynamic.display()
        );
        assert_eq!(site.read("zoo.cfg").unwrap(), expected);
    }

    #[test]
    fn a_client_port_that_the_membership_lacks_stays() {
        let mut site = Site::new(1, 0);
        site.files.store(&membership("server.1=a:1:2\nserver.2=b:1:2;7", 1), None).unwrap();
        let main = site.read("zoo.cfg").unwrap();
        assert!(main.contains("\nclientPort=7\n"), "{main}");
    }

    #[test]
    fn a_proposal_is_kept_until_it_is_committed() {
        let mut site = Site::new(1, 5);
        let (old, new) = (membership(MEMBERS, 5), membership("server.10=a:1:2\nserver.9=b:1:2", 6));
        site.files.store(&old, Some(&new)).unwrap();
        assert_eq!(site.names(), ["zoo.cfg", "zoo.cfg.dynamic.next"]);
        let expected = "server.10=a:1:2:participant\nserver.9=b:1:2:participant\nversion=6";
        assert_eq!(site.read("zoo.cfg.dynamic.next").unwrap(), expected);
        site.files.store(&new, None).unwrap();
        assert_eq!(site.names(), ["zoo.cfg", "zoo.cfg.bak", "zoo.cfg.dynamic.6"]);
        site.files.store(&new, None).unwrap();
    }

    #[test]
    fn the_file_as_it_was_written_by_hand_is_kept_whatever_follows() {
        let mut site = Site::new(1, 0);
        for version in 1..4 {
            site.files.store(&membership(MEMBERS, version), None).unwrap();
        }
        assert_eq!(site.read("zoo.cfg.bak").unwrap(), STATIC);
        let main = site.read("zoo.cfg").unwrap();
        assert_eq!(main.matches("dynamicConfigFile").count(), 1, "{main}");
        assert!(main.trim_end().ends_with("zoo.cfg.dynamic.3"), "{main}");
        assert!(site.read("zoo.cfg.dynamic.1").is_some());
    }

    #[test]
    fn who_is_about_to_join_keeps_what_it_started_with() {
        let mut stranger = Site::new(3, 0);
        stranger.files.store(&membership(MEMBERS, 5), Some(&membership(MEMBERS, 6))).unwrap();
        assert_eq!(stranger.names(), ["zoo.cfg"]);
        assert_eq!(stranger.read("zoo.cfg").unwrap(), STATIC);

        let with_it = format!("{MEMBERS}\nserver.3=c:1:2:participant;0.0.0.0:7");
        stranger.files.store(&membership(MEMBERS, 5), Some(&membership(&with_it, 6))).unwrap();
        assert_eq!(stranger.names(), ["zoo.cfg", "zoo.cfg.dynamic.next"]);
        assert_eq!(stranger.read("zoo.cfg").unwrap(), STATIC);

        stranger.files.store(&membership(MEMBERS, 5), None).unwrap();
        assert_eq!(stranger.names(), ["zoo.cfg"]);
        let mut removed = Site::new(3, 5);
        removed.files.store(&membership(MEMBERS, 6), None).unwrap();
        assert!(removed.read("zoo.cfg.dynamic.6").is_some(), "who was a member must not forget");
    }

    #[test]
    fn what_only_the_owner_may_read_stays_so() {
        let mut site = Site::new(1, 0);
        let main = site.directory.path().join("zoo.cfg");
        fs::set_permissions(&main, Permissions::from_mode(0o600)).unwrap();
        site.files.store(&membership(MEMBERS, 1), Some(&membership(MEMBERS, 2))).unwrap();
        let expected = ["zoo.cfg", "zoo.cfg.bak", "zoo.cfg.dynamic.1", "zoo.cfg.dynamic.next"];
        assert_eq!(site.names(), expected);
        for name in expected {
            let metadata = fs::metadata(site.directory.path().join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn what_can_not_be_written_is_named() {
        let mut site = Site::new(1, 0);
        site.files.main = site.directory.path().join("missing/zoo.cfg");
        let failure = site.files.store(&membership(MEMBERS, 1), None).unwrap_err();
        assert!(failure.to_string().ends_with("missing/zoo.cfg.dynamic.1.tmp"), "{failure}");
    }
}
