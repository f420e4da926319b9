//! Znodes that are there as long as somebody keeps them.

use std::time::Duration;

use reefkeeper_client::{Client, Error as ClientError, ErrorCode, EventKind, Stat};
use reefkeeper_recipes::{Error, PersistentEphemeral, PersistentTtl, wall_clock};
use tokio::time::{sleep, timeout};

use super::{Actor, milliseconds};
use crate::history::{End, Incarnation};

/// Places that participants want, each of which one has at a time.
const PLACES: usize = 2;

impl Actor {
    /// Keeps a znode for a while, and looks when that of another goes. In peace it stays as long as it is kept.
    pub(super) async fn keep_for_a_while(&self, number: u64) -> Result<(), Error> {
        let time_to_live = self.time_to_live();
        let path = self.keep(self.who);
        let is_last = self.is_peace();
        let mut kept = PersistentTtl::keep(&self.sessions, &path, time_to_live, "");
        if !is_last {
            drop(timeout(self.timeout, kept.present()).await);
            let other = self.random.borrow_mut().range(1, u64::from(self.play.participants) + 2);
            let other = self.keep(u32::try_from(other).unwrap_or(1));
            let end = self.watch_the_end_of(&other);
            return timeout(self.timeout * 3, end).await.unwrap_or(Ok(()));
        }
        let data = format!("{}.{number}", self.who);
        kept.present().await?;
        kept.set_data(data.clone());
        while !self.stays(&path, &data, time_to_live * 2).await? {}
        if self.chance(500) {
            kept.remove().await?;
            if self.look(&self.sessions.current(), &path).await?.is_some() {
                self.book.open().astray.push(format!("{path} is there after it was removed"));
            }
        }
        Ok(())
    }

    fn time_to_live(&self) -> Duration {
        self.timeout * 2
    }

    fn keep(&self, who: u32) -> String {
        format!("{}/keeps/{who}", self.root)
    }

    /// Whether a znode holds that, and is the same after so long.
    async fn stays(&self, path: &str, data: &str, time: Duration) -> Result<bool, Error> {
        let client = self.sessions.current();
        let before = self.look(&client, path).await?;
        sleep(time).await;
        let after = self.look(&client, path).await?;
        let is_same = match (&before, &after) {
            (Some((before, _)), Some((after, _))) => before.czxid == after.czxid,
            (_, _) => false,
        };
        Ok(is_same && after.is_some_and(|(_, held)| held == data.as_bytes()))
    }

    /// What the servers have at a path now.
    async fn look(&self, client: &Client, path: &str) -> Result<Option<(Stat, Vec<u8>)>, Error> {
        client.patiently(|| client.sync(path)).await?;
        match client.patiently(|| client.get_data(path)).await {
            Ok(data) => Ok(Some((data.stat, data.bytes().to_vec()))),
            Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the time of a znode is over, or until there is peace, in which some are removed before.
    async fn watch_the_end_of(&self, path: &str) -> Result<(), Error> {
        let (client, touch) = (self.sessions.current(), format!("{path}/touch"));
        let time_to_live_ms = u64::try_from(self.time_to_live().as_millis()).unwrap_or(u64::MAX);
        let mut touched_ms = 0;
        loop {
            for path in [path, &touch] {
                let stat = client.patiently(|| client.exists(path)).await?;
                let mtime_ms = stat.map_or(0, |stat| stat.mtime_ms.unsigned_abs());
                touched_ms = touched_ms.max(mtime_ms);
            }
            let (stat, changed) = client.patiently(|| client.exists_and_watch(path)).await?;
            if stat.is_none() {
                return Ok(());
            }
            let Ok(changed) = timeout(self.timeout / 4, changed).await else { continue };
            if changed?.kind == EventKind::NodeDeleted && !self.is_peace() {
                let mut book = self.book.open();
                book.count("times to live that were over");
                book.ends.push(End {
                    path: path.to_owned(),
                    touched_ms,
                    time_to_live_ms,
                    gone_ms: milliseconds(wall_clock()),
                });
            }
        }
    }

    /// Wants to be at a place at which others want to be, too; in peace until it was there.
    pub(super) async fn be_there(&self, number: u64) -> Result<(), Error> {
        let at = self.random.borrow_mut().index(PLACES);
        let path = format!("{}/there/{at}", self.root);
        let is_last = self.is_peace();
        let data = |change: u64| format!("{}.{number}.{change}", self.who);
        // What an earlier wish gives up in the background may be what this one has.
        let is_tidy = !self.is_untidy.replace(true);
        let mut here = PersistentEphemeral::keep(&self.sessions, &path, data(0));
        if !is_last {
            drop(timeout(self.timeout, here.present()).await);
            for change in 1..=3 {
                here.set_data(data(change));
                self.see_who_is_there(&path, is_tidy).await?;
                sleep(self.duration(self.timeout / 2)).await;
            }
        }
        if is_last {
            self.until_there(&mut here, &path, &data(1)).await?;
        }
        if self.chance(300) {
            // It is deleted in the background.
            return Ok(());
        }
        here.remove().await?;
        self.is_untidy.set(!is_tidy);
        Ok(())
    }

    /// Waits until this one is at a place, with that.
    async fn until_there(
        &self,
        here: &mut PersistentEphemeral,
        path: &str,
        data: &str,
    ) -> Result<(), Error> {
        loop {
            here.present().await?;
            here.set_data(data);
            sleep(self.timeout / 16).await;
            let there = self.look(&self.sessions.current(), path).await?;
            if there.is_some_and(|(_, held)| held == data.as_bytes()) {
                return Ok(());
            }
        }
    }

    /// Looks who is at a place, and whether this one, if it can know that, is there as long as its session and its
    /// wish.
    async fn see_who_is_there(&self, path: &str, is_tidy: bool) -> Result<(), Error> {
        let client = self.sessions.current();
        let Some(first) = self.see(&client, path).await? else { return Ok(()) };
        sleep(self.duration(self.timeout / 2)).await;
        let second = self.see(&client, path).await?;
        let own = client.ticket().map(|ticket| ticket.id.0);
        let is_own = is_tidy && first.who == self.who && own == Some(first.owner);
        if is_own && second.as_ref().is_none_or(|second| second.token != first.token) {
            let mut book = self.book.open();
            book.astray
                .push(format!("{path}: {first:?} was deleted, its session lives: {second:?}"));
        }
        Ok(())
    }

    async fn see(&self, client: &Client, path: &str) -> Result<Option<Incarnation>, Error> {
        let Some((stat, held)) = self.look(client, path).await? else { return Ok(None) };
        let text = String::from_utf8_lossy(&held);
        let who = text.split('.').next().and_then(|who| who.parse().ok()).unwrap_or(0);
        let token = stat.czxid.raw().cast_unsigned();
        let owner = stat.ephemeral_owner.0;
        let seen = Incarnation { token, owner, who, version: stat.version };
        let mut book = self.book.open();
        book.count(match who == self.who {
            true => "seen at the own place",
            false => "seen at another's place",
        });
        book.incarnations.push(seen.clone());
        Ok(Some(seen))
    }
}
