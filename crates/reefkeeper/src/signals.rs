//! The signals that ask a process to end.

use std::fs;
use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Waits for these signals from now on. To be called before there are threads and processes: none of them must
/// get the signals in its own way.
///
/// # Errors
/// The system takes no handler.
pub(crate) fn that_end() -> io::Result<Signals> {
    let hangup = (!is_to_outlive_its_terminal()).then_some(SIGHUP);
    Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))
}

/// Whether `SIGHUP` is ignored, as by `nohup`. Where that can not be found out it stays as it is.
fn is_to_outlive_its_terminal() -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return true };
    ignores_hangup(&status).unwrap_or(true)
}

/// What the list of ignored signals says, a hexadecimal number in which the lowest bit is the first signal.
fn ignores_hangup(status: &str) -> Option<bool> {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    Some(ignored >> (SIGHUP - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_whether_a_hangup_is_ignored() {
        let status =
            |ignored: &str| format!("Name:\treefkeeper\nSigIgn:\t{ignored}\nSigCgt:\tff\n");
        assert_eq!(ignores_hangup(&status("0000000000000001")), Some(true));
        assert_eq!(ignores_hangup(&status("0000000000001000")), Some(false));
        assert_eq!(ignores_hangup("Name:\treefkeeper\n"), None);
        // Whatever it is here, Linux says it.
        let own = fs::read_to_string("/proc/self/status").expect("Linux");
        assert!(ignores_hangup(&own).is_some());
    }
}
