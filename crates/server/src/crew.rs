//! The threads of a server: they start one by one and end together.
//!
//! Whatever ends one of them before its time ends the server: a failure that it reports, or a panic
//! in a build that unwinds. What a panic left half done is behind a poisoned lock, and whoever finds
//! it poisoned panics too, so nobody goes on with it. Of all the reasons the server gives the
//! cause.

use std::any::Any;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::server::{Ended, Failure, Reason, Shared};

/// The threads of a server that run. Dropping it ends the server and waits for them.
#[derive(Debug)]
pub(crate) struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// One without threads.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, threads: Vec::new() }
    }

    /// Starts a thread whose failure ends the server.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn spawn(
        &mut self,
        name: impl Into<String>,
        run: impl FnOnce(&Shared) -> Result<(), Failure> + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let name = name.into();
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            // The thread shares nothing but what is behind locks, which a panic poisons.
            match panic::catch_unwind(AssertUnwindSafe(|| run(&shared))) {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => shared.end(Reason::Failure(failure)),
                Err(payload) => shared.end(panicked(&name, &*payload)),
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends the server, unless it has ended, and waits for its threads; tells why it ended.
    pub(crate) fn dismiss(&mut self) -> Ended {
        self.shared.end(Reason::Told);
        for thread in self.threads.drain(..) {
            if let Err(payload) = thread.join() {
                self.shared.end(panicked("of the server", &*payload));
            }
        }
        self.shared.wait()
    }

    /// What the threads have in common.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// What a panic of a thread means for the server.
fn panicked(thread: &str, payload: &(dyn Any + Send)) -> Reason {
    let text = payload.downcast_ref::<&str>().copied();
    let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("without a message");
    let last_words = format!("the thread {thread} panicked, which is a defect: {message}");
    if message.contains("PoisonError") {
        Reason::Aftermath(last_words.into())
    } else {
        Reason::Failure(last_words.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::TcpStream;
    use std::sync::mpsc;

    use super::*;
    use crate::fixture::{PATIENCE, Site};
    use crate::server::Server;

    /// How the server ends by itself.
    fn end_of(server: Server) -> Ended {
        let (ended, end) = mpsc::channel();
        thread::spawn(move || ended.send(server.wait()));
        end.recv_timeout(PATIENCE).expect("the server ends")
    }

    /// A server with one thread more, how it ends, and what its clients see of that.
    #[track_caller]
    fn check(run: fn(&Shared) -> Result<(), Failure>, expected: &str) {
        let site = Site::new();
        let mut server = Server::start(&site.config).expect("a server");
        let mut client = TcpStream::connect(server.address().expect("a port")).expect("served");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        server.crew().spawn("test", run).expect("a thread");
        let heard = client.read(&mut [0]);
        let hangs = heard.is_err_and(|failure| failure.kind() == ErrorKind::WouldBlock);
        assert!(!hangs, "the connection ends");
        assert_eq!(end_of(server), Ended::Failed(expected.to_owned().into()));
        Server::start(&site.config).expect("its directory is free, and what is in it sound");
    }

    #[test]
    fn a_panic_of_a_thread_ends_the_server_with_its_message() {
        check(
            |_| panic!("a number was {}", 7),
            "the thread test panicked, which is a defect: a number was 7",
        );
        check(
            |_| panic::panic_any(7),
            "the thread test panicked, which is a defect: without a message",
        );
    }

    #[test]
    fn a_failure_of_a_thread_ends_the_server_with_its_words() {
        check(|_| Err("the disk is gone".to_owned().into()), "the disk is gone");
    }

    #[test]
    fn a_panic_at_the_helm_is_the_reason_whoever_finds_it_first() {
        check(
            |shared| shared.helm.panic_while_steering("a bug"),
            "the thread test panicked, which is a defect: a bug",
        );
    }

    #[test]
    fn a_failure_after_the_server_was_told_to_stop_is_not_hidden() {
        let site = Site::new();
        let server = Server::start(&site.config).expect("a server");
        let shared = Arc::clone(server.shared());
        shared.end(Reason::Told);
        shared.end(Reason::Aftermath("a lock was poisoned".to_owned().into()));
        shared.end(Reason::Failure("the log was not closed".to_owned().into()));
        shared.end(Reason::Failure("so much for that".to_owned().into()));
        assert_eq!(server.stop(), Ended::Failed("the log was not closed".to_owned().into()));
    }
}
