//! What other threads leave for one that waits for sockets.
//!
//! Such a thread can not wait in an [`crate::inbox::Inbox`]: it sleeps where the system tells of
//! events, and has to be woken there. Waking is a system call, so it is spared while the thread is
//! awake.

use std::io;

use mio::{Registry, Token, Waker};
use tracing::warn;

use crate::sync::atomic::{AtomicBool, Ordering, fence};
use crate::sync::{Mutex, MutexGuard};

/// The token with which a thread is woken; no socket has it.
pub(crate) const WAKER: Token = Token(usize::MAX);

/// Things for one thread, in order, and the way to wake it.
#[derive(Debug)]
pub(crate) struct Letterbox<T> {
    things: Mutex<Vec<T>>,
    waker: Waker,
    /// The thread sleeps or is about to.
    is_asleep: AtomicBool,
    is_stopped: AtomicBool,
}

impl<T> Letterbox<T> {
    /// One for the thread that waits for the events of this registry.
    ///
    /// # Errors
    /// When the system has no means to wake it, or there is one already.
    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        Ok(Self {
            things: Mutex::default(),
            waker: Waker::new(registry, WAKER)?,
            is_asleep: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
        })
    }

    /// Puts in one thing, and wakes the thread if it sleeps.
    pub(crate) fn put(&self, thing: T) {
        self.lock().push(thing);
        self.wake();
    }

    /// Puts in some things that the thread finds together, and does not wake it: the caller does, or does
    /// itself what is to be done, if it sleeps. Leaves `things` empty.
    pub(crate) fn leave_all(&self, things: &mut Vec<T>) {
        if !things.is_empty() {
            self.lock().append(things);
        }
    }

    /// Whether the thread sleeps or is about to. If not, it finds what was put in before.
    pub(crate) fn is_asleep(&self) -> bool {
        // Pairs with the fence in `may_sleep`: either the thread sees what was put there for it
        // before this call, or this sees that it is about to sleep.
        fence(Ordering::SeqCst);
        self.is_asleep.load(Ordering::Acquire)
    }

    /// Wakes the thread if it sleeps.
    pub(crate) fn wake(&self) {
        if self.is_asleep()
            && self.is_asleep.swap(false, Ordering::AcqRel)
            && let Err(failure) = self.waker.wake()
        {
            warn!(%failure, "a thread that waits for sockets can not be woken");
        }
    }

    /// Announces that the thread is about to sleep; `false` if there is something to do first.
    pub(crate) fn may_sleep(&self, has_work: impl FnOnce() -> bool) -> bool {
        self.is_asleep.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        !has_work() && !self.is_stopped() && self.lock().is_empty()
    }

    /// Announces that the thread is awake.
    pub(crate) fn awake(&self) {
        self.is_asleep.store(false, Ordering::Release);
    }

    /// Lets the thread end.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the thread is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Everything that was put in.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.lock())
    }

    /// Everything that was put in, if that is what the caller can do something about.
    pub(crate) fn take_if(&self, can: impl FnOnce(&[T]) -> bool) -> Option<Vec<T>> {
        let mut things = self.lock();
        can(&things).then(|| std::mem::take(&mut *things))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.things.lock().expect("nothing panics while it holds a letterbox")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;
    use crate::fixture::PATIENCE;

    #[test]
    fn a_thread_that_sleeps_is_woken_by_what_is_put_in() {
        let mut poll = Poll::new().expect("a poll");
        let letterbox = Arc::new(Letterbox::new(poll.registry()).expect("a letterbox"));
        assert!(letterbox.may_sleep(|| false));
        let sender = Arc::clone(&letterbox);
        let bringer = thread::spawn(move || sender.put(7));
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(PATIENCE)).expect("events");
        letterbox.awake();
        assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [WAKER]);
        assert_eq!(letterbox.take(), [7]);
        bringer.join().expect("no panic");
    }

    #[test]
    fn what_is_left_is_taken_by_who_can_do_it_or_by_the_thread() {
        let mut poll = Poll::new().expect("a poll");
        let letterbox = Letterbox::new(poll.registry()).expect("a letterbox");
        assert!(!letterbox.is_asleep());
        assert!(letterbox.may_sleep(|| false));
        letterbox.leave_all(&mut vec![1, 2]);
        assert!(letterbox.is_asleep(), "leaving something wakes nobody");
        assert_eq!(letterbox.take_if(|things| things.len() == 1), None);
        assert_eq!(letterbox.take_if(|things| things.len() == 2), Some(vec![1, 2]));
        letterbox.leave_all(&mut vec![3]);
        letterbox.awake();
        assert!(!letterbox.may_sleep(|| false), "something is left");
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("events");
        assert!(events.is_empty(), "nobody was woken");
    }

    #[test]
    fn nobody_sleeps_on_work_or_is_woken_awake() {
        let mut poll = Poll::new().expect("a poll");
        let letterbox = Letterbox::new(poll.registry()).expect("a letterbox");
        assert!(!letterbox.may_sleep(|| true), "there is work");
        letterbox.awake();
        letterbox.put(1);
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("events");
        assert!(events.is_empty(), "who is awake is not woken");
        assert!(!letterbox.may_sleep(|| false), "something is there");
        assert_eq!(letterbox.take(), [1]);
        letterbox.stop();
        assert!(letterbox.is_stopped() && !letterbox.may_sleep(|| false), "it is to end");
    }
}
