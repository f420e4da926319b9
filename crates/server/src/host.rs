//! What the system says about the host and this process.

use std::fs;
use std::path::Path;

use admin::EnvironmentView;

/// File descriptors of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Descriptors {
    /// In use.
    pub(crate) open: u64,
    /// Allowed.
    pub(crate) max: u64,
}

/// How many descriptors there are; zero where the system does not tell.
pub(crate) fn descriptors() -> Descriptors {
    let open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    Descriptors { open, max: open_files_max(&limits).unwrap_or_default() }
}

/// Bytes of all files in a directory and below. Files that come and go meanwhile may be missed.
pub(crate) fn bytes_in(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let bytes_of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes_of).sum()
}

/// Where the server runs.
pub(crate) fn environment() -> EnvironmentView {
    let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim_end().to_owned();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let user = user_id(&status).and_then(|id| user(&passwd, id));
    let (user_name, user_home) = user.unwrap_or_else(|| (variable("USER"), variable("HOME")));
    EnvironmentView {
        host_name: line("/proc/sys/kernel/hostname"),
        os_name: java_os_name(std::env::consts::OS).to_owned(),
        os_arch: java_arch(std::env::consts::ARCH).to_owned(),
        os_version: line("/proc/sys/kernel/osrelease"),
        user_name,
        user_home,
        user_dir: std::env::current_dir()
            .map_or_else(|_| String::new(), |it| it.display().to_string()),
    }
}

/// The soft limit out of `/proc/self/limits`.
fn open_files_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

/// The effective user out of `/proc/self/status`.
fn user_id(status: &str) -> Option<&str> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)
}

/// Name and home of a user out of `/etc/passwd`.
fn user(passwd: &str, id: &str) -> Option<(String, String)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let home = (fields.nth(1)? == id).then(|| fields.nth(2)).flatten()?;
        Some((name.to_owned(), home.to_owned()))
    })
}

fn java_os_name(os: &str) -> &str {
    match os {
        "linux" => "Linux",
        "macos" => "Mac OS X",
        other => other,
    }
}

fn java_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_the_soft_one() {
        let limits = "Limit      Soft Limit  Hard Limit  Units\n\
                      Max processes  99  99  processes\n\
                      Max open files  1024  524288  files\n";
        assert_eq!(open_files_max(limits), Some(1024));
        assert_eq!(open_files_max("Max open files  unlimited unlimited files"), Some(u64::MAX));
        assert_eq!(open_files_max(""), None);
    }

    #[test]
    fn the_user_is_the_effective_one() {
        let status = "Name:\treefkeeper\nUid:\t0\t107\t0\t0\n";
        let passwd = "root:x:0:0:root:/root:/bin/sh\nkeeper:x:107:99:K,,:/srv/keeper:/bin/sh\n";
        assert_eq!(user_id(status), Some("107"));
        let keeper = ("keeper".to_owned(), "/srv/keeper".to_owned());
        assert_eq!(user(passwd, "107"), Some(keeper));
        assert_eq!(user(passwd, "108"), None);
    }

    #[test]
    fn sizes_are_of_everything_below() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("below")).expect("created");
        fs::write(dir.path().join("one"), [0; 10]).expect("written");
        fs::write(dir.path().join("below/two"), [0; 7]).expect("written");
        assert_eq!(bytes_in(dir.path()), 17);
        assert_eq!(bytes_in(&dir.path().join("missing")), 0);
    }

    #[test]
    fn this_process_has_descriptors() {
        let Descriptors { open, max } = descriptors();
        assert!(open >= 3 && max >= open, "{open} of {max}");
    }
}
