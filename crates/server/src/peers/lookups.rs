//! Names that are looked up, each by a short-lived thread.
//!
//! Looking up may take as long as the system likes, and can not be interrupted. So there is one thread
//! at most for each asker, however often it asks meanwhile, and an attempt does not wait for longer
//! than its own time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};

use tracing::{error, info};
use types::membership::HostPort;

use super::errand::{Asker, Errand};
use super::limits::{END_OF_LOOKUPS, LOOKUPS_MAX};
use super::options::{Resolve, numeric};
use crate::letterbox::Letterbox;

/// The threads that look up names.
#[derive(Debug)]
pub(super) struct Lookups {
    resolve: Resolve,
    letterbox: Arc<Letterbox<Errand>>,
    running: BTreeMap<Asker, JoinHandle<()>>,
    /// Each thread holds a clone until it ends; nothing is ever sent.
    alive: mpsc::Sender<Infallible>,
    ends: mpsc::Receiver<Infallible>,
}

/// What comes of asking.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Lookup {
    /// They are numbers: here they are.
    Found(Vec<SocketAddr>),
    /// [`Errand::LookedUp`] is going to tell, perhaps first of what was asked before.
    Begun,
    /// There is no thread for it, for this reason.
    Failed(String),
}

impl Lookups {
    pub(super) fn new(resolve: Resolve, letterbox: Arc<Letterbox<Errand>>) -> Self {
        let (alive, ends) = mpsc::channel();
        Self { resolve, letterbox, running: BTreeMap::new(), alive, ends }
    }

    /// Looks up where these are, in a thread if they are names.
    pub(super) fn begin(&mut self, asker: Asker, places: &[HostPort]) -> Lookup {
        if let Some(addresses) = places.iter().map(numeric).collect() {
            return Lookup::Found(addresses);
        }
        if self.running.contains_key(&asker) {
            return Lookup::Begun;
        }
        if self.running.len() >= LOOKUPS_MAX {
            return Lookup::Failed("too many names are being looked up".to_owned());
        }
        let (resolve, letterbox) = (self.resolve.clone(), Arc::clone(&self.letterbox));
        let (places, alive) = (places.to_vec(), self.alive.clone());
        let thread = thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            let addresses = resolve.all(&places);
            letterbox.put(Errand::LookedUp { asker, places, addresses });
            drop(alive);
        });
        match thread {
            Ok(thread) => {
                self.running.insert(asker, thread);
                Lookup::Begun
            }
            Err(failure) => Lookup::Failed(format!("no thread to look up its name: {failure}")),
        }
    }

    /// Lets go of the thread that has told. It has nothing left to do, so this does not wait.
    pub(super) fn ended(&mut self, asker: Asker) {
        if let Some(thread) = self.running.remove(&asker) {
            join(thread);
        }
    }

    /// Those that there are; none is left.
    pub(super) fn take(&mut self) -> Self {
        let none = Self::new(self.resolve.clone(), Arc::clone(&self.letterbox));
        std::mem::replace(self, none)
    }

    /// Waits for the threads, but not for long.
    pub(super) fn close(self) {
        let Self { running, alive, ends, .. } = self;
        drop(alive);
        match ends.recv_timeout(END_OF_LOOKUPS) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Disconnected) => running.into_values().for_each(join),
            Err(RecvTimeoutError::Timeout) => {
                let count = running.values().filter(|thread| !thread.is_finished()).count();
                info!(count, "names are still being looked up, which nobody waits for");
            }
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        error!("looking up a name panicked, which is a defect");
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Barrier;
    use std::time::Duration;

    use mio::{Events, Poll};
    use types::Sid;
    use types::membership::Host;

    use super::*;
    use crate::fixture::PATIENCE;
    use crate::peers::errand::Goal;

    const ASKER: Asker = Asker::Goal(Goal::Call(Sid(1)));

    fn place(host: &str) -> HostPort {
        HostPort { host: Host::parse(host).expect("a host"), port: 1 }
    }

    fn lookups(
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> (Poll, Lookups) {
        let poll = Poll::new().expect("a poll");
        let letterbox = Arc::new(Letterbox::new(poll.registry()).expect("a letterbox"));
        (poll, Lookups::new(Resolve::new(resolve), letterbox))
    }

    fn answer(poll: &mut Poll, lookups: &mut Lookups) -> (Asker, Vec<HostPort>) {
        let mut events = Events::with_capacity(1);
        loop {
            if let Some(errand) = lookups.letterbox.take().pop() {
                let Errand::LookedUp { asker, places, .. } = errand else { panic!("{errand:?}") };
                lookups.ended(asker);
                return (asker, places);
            }
            if lookups.letterbox.may_sleep(|| false) {
                poll.poll(&mut events, Some(PATIENCE)).expect("events");
            }
            lookups.letterbox.awake();
        }
    }

    #[test]
    fn who_asks_again_meanwhile_gets_no_second_thread() {
        let gate = Arc::new(Barrier::new(2));
        let passed = Arc::clone(&gate);
        let (mut poll, mut lookups) = lookups(move |_, _| {
            passed.wait();
            Ok(Vec::new())
        });
        assert_eq!(lookups.begin(ASKER, &[place("first")]), Lookup::Begun);
        for _ in 0..1000 {
            assert_eq!(lookups.begin(ASKER, &[place("second")]), Lookup::Begun);
        }
        assert_eq!(lookups.count(), 1);
        gate.wait();
        assert_eq!(answer(&mut poll, &mut lookups), (ASKER, vec![place("first")]));
        assert_eq!(lookups.count(), 0);
        lookups.close();
    }

    #[test]
    fn askers_have_a_bound_and_numbers_need_no_thread() {
        let gate = Arc::new(Barrier::new(LOOKUPS_MAX + 1));
        let passed = Arc::clone(&gate);
        let (_poll, mut lookups) = lookups(move |_, _| {
            passed.wait();
            Ok(Vec::new())
        });
        for number in 0..LOOKUPS_MAX {
            assert_eq!(lookups.begin(Asker::Door(number), &[place("h")]), Lookup::Begun);
        }
        assert!(matches!(lookups.begin(ASKER, &[place("h")]), Lookup::Failed(_)));
        let found = Lookup::Found(vec!["10.0.0.1:1".parse().expect("an address")]);
        assert_eq!(lookups.begin(ASKER, &[place("10.0.0.1")]), found);
        gate.wait();
        lookups.close();
    }

    #[test]
    fn nobody_waits_long_for_a_lookup_at_the_end() {
        let (release, gate) = mpsc::channel::<()>();
        let gate = std::sync::Mutex::new(gate);
        let (_poll, mut lookups) = lookups(move |_, _| {
            let gate = gate.lock().expect("one thread");
            assert!(gate.recv().is_err(), "released by the end of the test");
            Ok(Vec::new())
        });
        assert_eq!(lookups.begin(ASKER, &[place("h")]), Lookup::Begun);
        let start = std::time::Instant::now();
        lookups.close();
        assert!(start.elapsed() < END_OF_LOOKUPS + Duration::from_secs(10));
        drop(release);
    }
}
