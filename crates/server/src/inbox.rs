//! What one thread leaves for another.
//!
//! There is one between each two threads, so that nothing overtakes. It has no bound of its own:
//! what is put in is bounded where it comes from, by what the connections may have under way.

use std::time::Duration;

use crate::sync::{Condvar, Mutex, MutexGuard};

/// Things for one thread, in order.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    available: Condvar,
}

#[derive(Debug)]
struct State<T> {
    things: Vec<T>,
    is_closed: bool,
    /// Whether the reader sleeps; waking is a system call, so it is spared when not.
    is_waiting: bool,
}

/// Why [`Inbox::take`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// There may be more later.
    Open,
    /// Nothing was left, and nothing comes any more.
    Closed,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        let state = State { things: Vec::new(), is_closed: false, is_waiting: false };
        Self { state: Mutex::new(state), available: Condvar::new() }
    }
}

impl<T> Inbox<T> {
    /// Puts in one thing.
    pub(crate) fn put(&self, thing: T) {
        let mut state = self.lock();
        state.things.push(thing);
        self.wake(state);
    }

    /// Lets the reader end when it has taken everything.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.wake(state);
    }

    /// Moves everything that is there to the empty `into`; waits for something, but not longer than
    /// `timeout`.
    pub(crate) fn take(&self, into: &mut Vec<T>, timeout: Option<Duration>) -> Taken {
        let mut state = self.lock();
        let may_wait = timeout != Some(Duration::ZERO);
        if may_wait && state.things.is_empty() && !state.is_closed {
            state.is_waiting = true;
            state = match timeout {
                Some(timeout) => {
                    let waited = self.available.wait_timeout(state, timeout);
                    waited.expect(NO_PANIC).0
                }
                None => self.available.wait(state).expect(NO_PANIC),
            };
            state.is_waiting = false;
        }
        std::mem::swap(&mut state.things, into);
        if into.is_empty() && state.is_closed { Taken::Closed } else { Taken::Open }
    }

    /// Whether nothing is there now.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().things.is_empty()
    }

    fn wake(&self, state: MutexGuard<'_, State<T>>) {
        let is_waiting = state.is_waiting;
        drop(state);
        if is_waiting {
            self.available.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect(NO_PANIC)
    }
}

const NO_PANIC: &str = "nothing panics while it holds an inbox";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_everything_in_order_and_then_ends() {
        let inbox = Inbox::default();
        inbox.put(1);
        inbox.put(2);
        inbox.put(3);
        inbox.close();
        let mut things = Vec::new();
        assert_eq!(inbox.take(&mut things, None), Taken::Open);
        assert_eq!(things, [1, 2, 3]);
        things.clear();
        assert_eq!(inbox.take(&mut things, None), Taken::Closed);
    }

    #[test]
    fn waits_for_what_another_thread_puts_in() {
        let inbox = Inbox::default();
        let mut things = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| inbox.put(7));
            while things.is_empty() {
                assert_eq!(inbox.take(&mut things, None), Taken::Open);
            }
        });
        assert_eq!(things, [7]);
    }
}
