//! Recipes that give turns: who has one does what only it may do.

use std::collections::BTreeSet;
use std::convert::Infallible;

use reefkeeper_recipes::{Error, FencingToken, Lock, MultiLock, Naming, ReadWriteLock, Semaphore};
use tokio::time::sleep;

use super::Actor;
use crate::history::Share;

/// Permits of the semaphore.
const PERMITS: usize = 2;
/// Locks of the multiple lock.
const LOCKS: usize = 3;

impl Actor {
    pub(super) async fn lock(&self) -> Result<(), Error> {
        let path = self.line();
        let lock = Lock::new(&self.sessions, &path);
        let hold = match self.chance(200) && !self.is_peace() {
            true => lock.try_acquire().await?,
            false => Some(lock.acquire().await?),
        };
        match hold {
            Some(hold) => self.use_hold(&path, Share::Alone, hold).await,
            None => Ok(()),
        }
    }

    pub(super) async fn read_or_write(&self) -> Result<(), Error> {
        let path = self.line();
        let lock = ReadWriteLock::new(&self.sessions, &path);
        if self.chance(500) {
            self.use_hold(&path, Share::Reading, lock.read().await?).await
        } else {
            self.use_hold(&path, Share::Alone, lock.write().await?).await
        }
    }

    pub(super) async fn hold_with_others(&self) -> Result<(), Error> {
        let path = self.line();
        let semaphore = Semaphore::new(&self.sessions, &path, PERMITS);
        self.use_hold(&path, Share::Among(PERMITS), semaphore.acquire().await?).await
    }

    pub(super) async fn hold_several(&self) -> Result<(), Error> {
        let mut paths: Vec<_> = (0..LOCKS).map(|at| format!("{}-{at}", self.line())).collect();
        if self.chance(500) {
            paths.reverse();
        }
        paths.remove(self.random.borrow_mut().index(LOCKS));
        let locks = paths.iter().map(|path| Lock::new(&self.sessions, path));
        let holds = MultiLock::new(locks).acquire().await?;
        for hold in &holds {
            let line = parent(hold.path());
            self.use_turn(line, Share::Alone, hold.token().to_u64(), hold.path(), hold.client())
                .await;
        }
        for hold in holds {
            hold.release().await?;
        }
        Ok(())
    }

    /// Holds a lock until others ask for it, or nobody else wants it; who wants it asks once.
    pub(super) async fn hold_until_asked(&self) -> Result<(), Error> {
        let path = self.line();
        let naming = if self.who.is_multiple_of(2) { Naming::Kazoo } else { Naming::Curator };
        let lock = Lock::new(&self.sessions, &path).naming(naming).label(self.who.to_string());
        let hold = tokio::select! {
            biased;
            hold = lock.acquire() => hold?,
            never = self.ask_for(&lock) => match never {},
        };
        self.use_turn(&path, Share::Alone, hold.token().to_u64(), hold.path(), hold.client()).await;
        let is_last = self.is_peace();
        tokio::select! {
            biased;
            asked = hold.asked_to_give_way() => {
                asked?;
                self.book.open().count("holders asked to give way");
            }
            () = self.is_alone(&lock) => {}
            // Others may be held up, and can not ask.
            () = sleep(self.timeout), if !is_last => {}
        }
        hold.release().await
    }

    /// Asks each who is the first in line, once.
    async fn ask_for(&self, lock: &Lock) -> Infallible {
        let mut asked: BTreeSet<FencingToken> = BTreeSet::new();
        loop {
            // Who waits for the lock meanwhile sees what ends the session.
            if let Ok(contenders) = lock.contenders().await
                && let Some(first) = contenders.first()
                && *first.label != *self.who.to_string().as_bytes()
                && !asked.contains(&first.token)
                && lock.revoke(first).await.is_ok()
            {
                asked.insert(first.token);
            }
            sleep(self.timeout / 8).await;
        }
    }

    /// Waits until nobody else is in line.
    async fn is_alone(&self, lock: &Lock) {
        while !lock.contenders().await.is_ok_and(|contenders| contenders.len() <= 1) {
            sleep(self.timeout / 8).await;
        }
    }
}

/// The directory of a znode.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
