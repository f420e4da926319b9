//! A place where a thread waits for the system, as far as `letterbox.rs` needs it of `mio`.

use std::io;

use shuttle::sync::{Arc, Condvar, Mutex};

/// Where a thread sleeps until it is woken.
#[derive(Debug)]
pub struct Registry(Arc<Bell>);

/// What names a source of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token(
    /// The name.
    pub usize,
);

/// The way to wake a thread. A call is kept for a thread that does not sleep yet.
#[derive(Debug)]
pub struct Waker(Arc<Bell>);

#[derive(Debug)]
struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Default, Debug)]
struct State {
    is_rung: bool,
    is_over: bool,
}

/// Why a thread no longer sleeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    /// Somebody has woken it.
    Called,
    /// Nobody has, nor will.
    Over,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Bell { state: Mutex::new(State::default()), rung: Condvar::new() }))
    }

    /// Another way to the same.
    pub(crate) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Sleeps until somebody calls, or everything is over.
    pub(crate) fn sleep(&self) -> Woken {
        let mut state = self.0.state.lock().expect("no panic");
        while !state.is_rung && !state.is_over {
            state = self.0.rung.wait(state).expect("no panic");
        }
        match std::mem::take(&mut state.is_rung) {
            true => Woken::Called,
            false => Woken::Over,
        }
    }

    /// From now on nobody calls: who sleeps, sleeps for good.
    pub(crate) fn end(&self) {
        self.0.state.lock().expect("no panic").is_over = true;
        self.0.rung.notify_all();
    }
}

impl Waker {
    /// The way to who sleeps there.
    ///
    /// # Errors
    /// Never.
    pub fn new(registry: &Registry, _token: Token) -> io::Result<Self> {
        Ok(Self(Arc::clone(&registry.0)))
    }

    /// Wakes it.
    ///
    /// # Errors
    /// Never.
    pub fn wake(&self) -> io::Result<()> {
        self.0.state.lock().expect("no panic").is_rung = true;
        self.0.rung.notify_one();
        Ok(())
    }
}
