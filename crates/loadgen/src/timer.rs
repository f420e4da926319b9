//! Wakes the loop at a nanosecond of its choice; a poll's own timeout counts milliseconds.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timer that makes a poll return.
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Makes `poll` return an event with `token` when the time has come.
    pub(crate) fn register(&self, poll: &Poll, token: Token) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)
    }

    /// Sets it to a moment, at once if that is past; both are on the same clock. Costs nothing
    /// without a moment.
    pub(crate) fn set(&self, due_ns: Option<u64>, now_ns: u64) -> io::Result<()> {
        let Some(due_ns) = due_ns else { return Ok(()) };
        // Zero would switch it off.
        let wait_ns = due_ns.saturating_sub(now_ns).max(1);
        let wait = Timespec {
            tv_sec: i64::try_from(wait_ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(wait_ns % 1_000_000_000).unwrap_or_default(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: wait };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
