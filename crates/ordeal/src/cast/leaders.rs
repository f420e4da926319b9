//! Recipes that let one of many lead.

use std::convert::Infallible;
use std::time::Duration;

use reefkeeper_client::{Client, States};
use reefkeeper_recipes::{Error, FencingToken, Hold, LeaderLatch, LeaderSelector, Leadership};
use tokio::time::{sleep, timeout};

use super::Actor;
use crate::history::Share;

/// A part of the session timeout in which everybody in a program learns that the connection is lost. The
/// session lasts for a third of it at least when a client notices that its server is silent.
const MOMENT: u32 = 16;

/// A part of the session timeout for which a leader may go on without a connection.
const GRACE_SHARE: u32 = 3;

impl Actor {
    pub(super) async fn lead_for_a_while(&self) -> Result<(), Error> {
        let path = self.line();
        let mut latch = LeaderLatch::join(&self.sessions, &path, self.who.to_string());
        let token = latch.led().await?;
        let client = self.sessions.current();
        let participants = latch.participants().await?;
        if let Some(own) = participants.iter().find(|own| own.token == token) {
            let turn = self.use_turn(&path, Share::Alone, token.to_u64(), &own.path, &client);
            tokio::select! {
                biased;
                () = turn => {}
                _ = self.watch_doubts(&client, Duration::ZERO, || latch.leadership().token() == Some(token)) => {}
            }
        }
        if client.state().is_over() {
            sleep(self.timeout / MOMENT).await;
            self.require(!is_leader(&latch, token), "it is the leader without a session");
        }
        latch.leave().await
    }

    pub(super) async fn lead(&self) -> Result<(), Error> {
        let path = self.line();
        // Some ask for nearly twice as much as is given.
        let grace = if self.chance(500) { self.timeout * 6 / 10 } else { Duration::ZERO };
        let selector =
            LeaderSelector::new(&self.sessions, &path, self.who.to_string()).grace(grace);
        let led = selector.lead(async |hold: &Hold| {
            let token = hold.token().to_u64();
            let turn = self.use_turn(&path, Share::Alone, token, hold.path(), hold.client());
            tokio::select! {
                biased;
                () = turn => {}
                // Who asks that is at work.
                _ = self.watch_doubts(hold.client(), grace, || true) => {}
            }
        });
        led.await.map(drop)
    }

    /// Looks each time when the connection has been lost for that long, at most for as long as a session lasts then,
    /// and a moment more, whether this still leads for sure.
    async fn watch_doubts(
        &self,
        client: &Client,
        grace: Duration,
        leads: impl Fn() -> bool,
    ) -> Infallible {
        let grace = grace.min(client.session_timeout() / GRACE_SHARE);
        let mut states = client.states();
        loop {
            let found = async {
                while !states.current().is_connected() {
                    changed(&mut states).await;
                }
            };
            if timeout(grace + self.timeout / MOMENT, found).await.is_err() {
                self.book.open().count(match grace.is_zero() {
                    true => "leaders in doubt",
                    false => "leaders in doubt whose grace is over",
                });
                self.require(!leads(), "it leads for sure without a connection");
            }
            changed(&mut states).await;
        }
    }

    fn require(&self, is_right: bool, otherwise: &str) {
        if !is_right {
            self.book.open().late_leaders.push(format!("{}: {otherwise}", self.who));
        }
    }
}

/// Waits until the state is another; for ever when the session is over.
async fn changed(states: &mut States) {
    if states.changed().await.is_none() {
        std::future::pending::<()>().await;
    }
}

fn is_leader(latch: &LeaderLatch, token: FencingToken) -> bool {
    match latch.leadership() {
        Leadership::Leading(of) | Leadership::InDoubt(of) => of == token,
        Leadership::Standby | Leadership::Over(_) => false,
    }
}
