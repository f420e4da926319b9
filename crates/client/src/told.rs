//! What a session was told: its servers and its credentials, for the session that follows it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::address::Host;
use crate::credentials::Secret;

/// What a session was told, first by its builder and then by its program.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// The last list of servers, at least one.
    pub(crate) hosts: Vec<Host>,
    /// Scheme and proof of each of the credentials, in the order in which they were presented.
    pub(crate) credentials: Vec<(String, Secret)>,
}

/// [`Words`] that several may add to.
#[derive(Debug)]
pub(crate) struct Told(Mutex<Words>);

impl Told {
    pub(crate) const fn new(words: Words) -> Self {
        Self(Mutex::new(words))
    }

    /// Everything until now.
    pub(crate) fn words(&self) -> Words {
        self.lock().clone()
    }

    /// These are the servers now.
    pub(crate) fn hosts(&self, hosts: &[Host]) {
        self.lock().hosts = hosts.to_vec();
    }

    /// These are credentials, too. A program may present the same ones to each session; they are kept once.
    pub(crate) fn credential(&self, scheme: &str, auth: &[u8]) {
        let mut words = self.lock();
        let is_same = |(known, Secret(proof)): &(String, Secret)| known == scheme && proof == auth;
        if !words.credentials.iter().any(is_same) {
            words.credentials.push((scheme.to_owned(), Secret(auth.to_vec())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Words> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
