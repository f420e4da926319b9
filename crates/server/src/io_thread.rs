//! A thread that moves the bytes of its connections.
//!
//! It decides nothing: bytes go into the [`replica::Frontend`] and come out of it. What arrived together is
//! worked off together, and what is ready for one connection leaves in one system call.
//!
//! Sockets are registered once, for reading and writing, and edge-triggered: a read that did not
//! fill the buffer has emptied the socket, unless the end of the stream was told of, so that a
//! request costs one read and one write. Of what is left in a socket the system does not tell
//! again; such connections are *held up* and read from in a later turn, without waiting for events.
//!
//! What is known of the connections ([`Clients`]) is behind a lock that the thread lets go of while it sleeps. Then
//! whoever has a few answers for them sends these by itself ([`Front::see_to_mail`]): a lone writer does not wait
//! for this thread to wake up, but is answered by the one that synced the log, or heard from the last follower.

mod clients;
mod four_letter;
mod socket;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::Duration;

use mio::{Events, Poll};

use crate::clock::Clock;
use crate::door::{Errand, Handover};
use crate::helm::Helm;

use clients::Clients;

pub(crate) use clients::Equipment;

/// Events taken from the system at once.
const EVENTS_MAX: usize = 1024;

/// One I/O thread, before it runs.
pub(crate) struct IoThread {
    poll: Poll,
    clock: Clock,
    handover: Arc<Handover>,
    clients: Arc<Mutex<Clients>>,
}

impl IoThread {
    /// One that waits for the events of this poll, in whose registry the equipment is.
    pub(crate) fn new(poll: Poll, equipment: Equipment) -> Self {
        let (clock, handover) = (equipment.clock, Arc::clone(&equipment.handover));
        let clients = Arc::new(Mutex::new(Clients::new(equipment)));
        Self { poll, clock, handover, clients }
    }

    /// The way to it.
    pub(crate) fn front(&self) -> Front {
        Front {
            handover: Arc::clone(&self.handover),
            clients: Arc::downgrade(&self.clients),
            has_post: AtomicBool::new(false),
        }
    }

    /// Moves bytes until the server stops.
    ///
    /// # Errors
    /// When the system refuses to tell of events.
    pub(crate) fn run(mut self, helm: &Helm) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut inputs = Vec::new();
        while !self.handover.letterbox.is_stopped() {
            self.wait(&mut events)?;
            let mut clients = self.clients();
            for event in &events {
                clients.on_event(event);
            }
            clients.turn();
            inputs.append(clients.inputs());
            drop(clients);
            helm.tell(&mut inputs);
        }
        self.clients().say_goodbye();
        Ok(())
    }

    /// Waits for events, unless there is mail.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let clients = self.clients();
        let until_due = self.clock.until(clients.next_deadline());
        let is_idle = self.handover.letterbox.may_sleep(|| clients.has_work());
        drop(clients);
        let timeout = if is_idle { until_due } else { Duration::ZERO };
        let result = self.poll.poll(events, Some(timeout));
        self.handover.letterbox.awake();
        match result {
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().expect(NO_PANIC)
    }
}

/// The way to an I/O thread, for who has mail for its clients.
pub(crate) struct Front {
    handover: Arc<Handover>,
    /// As long as the thread runs.
    clients: Weak<Mutex<Clients>>,
    /// There may be mail that nobody has seen to.
    has_post: AtomicBool,
}

impl Front {
    /// Lets the thread run an errand soon.
    pub(crate) fn run(&self, errand: Errand) {
        self.handover.run(errand);
    }

    /// Notes that there is mail. Whoever does that calls [`Front::see_to_mail`] when it has the time.
    pub(crate) fn note_mail(&self) {
        self.has_post.store(true, Ordering::Release);
    }

    /// Sees to it that mail is handed out, if there is some. If the thread sleeps, and there are only a few
    /// answers, they are sent here and now.
    ///
    /// # Panics
    /// If somebody panicked while it had the connections.
    pub(crate) fn see_to_mail(&self) {
        let letterbox = &self.handover.letterbox;
        if self.has_post.swap(false, Ordering::AcqRel) && letterbox.is_asleep() && !self.send_now()
        {
            letterbox.wake();
        }
    }

    /// Sends what has come by mail, if that is all there is to do. Returns whether nothing is left for the thread.
    fn send_now(&self) -> bool {
        let Some(clients) = self.clients.upgrade() else { return false };
        match clients.try_lock() {
            Ok(mut clients) => clients.send_brief_mail(),
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Poisoned(poisoned)) => panic!("{NO_PANIC}: {poisoned:?}"),
        }
    }

    /// Lets the thread end.
    pub(crate) fn stop(&self) {
        self.handover.letterbox.stop();
    }
}

const NO_PANIC: &str = "nothing panics while it has the connections of clients";
