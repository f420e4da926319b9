//! Waiting until what was dropped is given up.

use reefkeeper_client::Error;
use tokio::sync::mpsc;

/// Somebody who waits, before going, until all that was staked with its passes is given up.
#[derive(Debug)]
pub(crate) struct Departure {
    pass: Pass,
    failures: mpsc::Receiver<Error>,
}

/// Held by what is still to be given up.
#[derive(Clone, Debug)]
pub(crate) struct Pass(mpsc::Sender<Error>);

impl Departure {
    pub(crate) fn new() -> Self {
        // The first failure is told; there is no use in more.
        let (pass, failures) = mpsc::channel(1);
        Self { pass: Pass(pass), failures }
    }

    pub(crate) fn pass(&self) -> Pass {
        self.pass.clone()
    }

    /// Waits until nobody has a pass anymore.
    ///
    /// # Errors
    /// What made it uncertain whether something was given up.
    pub(crate) async fn complete(self) -> Result<(), Error> {
        let Self { pass, mut failures } = self;
        drop(pass);
        failures.recv().await.map_or(Ok(()), Err)
    }
}

impl Pass {
    /// Something could not be given up, for that reason.
    pub(crate) fn failed(&self, error: Error) {
        // Another was told before, or nobody waits.
        drop(self.0.try_send(error));
    }
}
