//! A gate that holds everybody up while it is closed.

use reefkeeper_recipes::{Barrier, Error};
use tokio::time::{sleep, timeout};

use super::Actor;
use crate::history::{AtGate, GateStep};

/// So many wishes of a participant are about the same gate: nobody knows for sure whether one is closed at which
/// somebody was lost who wanted to open it.
const WISHES_AT_A_GATE: u64 = 3;

/// How often one passes who can: where it is may know late that the gate was closed.
const PASSES: u32 = 16;

impl Actor {
    /// Closes a gate, opens it, or comes to it; in peace all of that, so that all pass in the end.
    pub(super) async fn pass_a_gate(&self, number: u64) -> Result<(), Error> {
        let is_last = self.is_peace();
        let gate =
            if is_last { "last".to_owned() } else { (number / WISHES_AT_A_GATE).to_string() };
        let barrier = Barrier::new(&self.sessions, format!("{}/gates/{gate}", self.root));
        if is_last {
            self.close(&gate, &barrier).await?;
            let opened = async {
                sleep(self.duration(self.timeout)).await;
                self.open(&gate, &barrier).await
            };
            let passed = self.pass(&gate, &barrier);
            return tokio::try_join!(passed, opened).map(drop);
        }
        let drawn = self.random.borrow_mut().index(4);
        match drawn {
            0 => self.close(&gate, &barrier).await,
            1 => self.open(&gate, &barrier).await,
            _ => {
                let passed = async {
                    for _ in 0..PASSES {
                        self.pass(&gate, &barrier).await?;
                        sleep(self.duration(self.timeout / 32)).await;
                    }
                    Ok(())
                };
                let passed = timeout(self.timeout, passed).await;
                if passed.is_err() {
                    self.book.open().count("held up at a gate");
                }
                passed.unwrap_or(Ok(()))
            }
        }
    }

    async fn close(&self, gate: &str, barrier: &Barrier) -> Result<(), Error> {
        self.is_at_gate(gate, GateStep::Closing);
        barrier.close().await?;
        self.is_at_gate(gate, GateStep::Closed);
        Ok(())
    }

    async fn open(&self, gate: &str, barrier: &Barrier) -> Result<(), Error> {
        self.is_at_gate(gate, GateStep::Opening);
        barrier.open().await?;
        self.is_at_gate(gate, GateStep::Opened);
        Ok(())
    }

    async fn pass(&self, gate: &str, barrier: &Barrier) -> Result<(), Error> {
        self.is_at_gate(gate, GateStep::Coming);
        barrier.passed().await?;
        self.is_at_gate(gate, GateStep::Passed);
        self.book.open().count("let through a gate");
        Ok(())
    }

    fn is_at_gate(&self, gate: &str, step: GateStep) {
        let at = AtGate { gate: gate.to_owned(), who: self.who, step };
        self.book.open().gates.push(at);
    }
}
