//! Resources that the members of a group share out among themselves.
//!
//! ```text
//! <path>/members/<id>        who takes part, ephemeral
//! <path>/locks/<resource>    the lock of a resource
//! ```
//!
//! Each member reckons from the list of members which resources are due to it. Two that have seen different
//! lists may both think so of the same one: that is why it has a lock, which decides.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use reefkeeper_client::{Error as ClientError, Sessions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::debug;

use crate::departure::Departure;
use crate::error::Error;
use crate::group::{Group, GroupMember};
use crate::hold::Hold;
use crate::lock::Lock;
use crate::mutant;
use crate::tree_path::child;

/// Where the members are.
const MEMBERS: &str = "members";
/// Where the locks are.
const LOCKS: &str = "locks";

/// A member's part in sharing out resources, each of which one member has at a time: shards, tenants,
/// whatever has a name.
///
/// Each member has as many as the others, or one more, and all are shared out anew when members come or
/// go; most of them stay where they are then. A resource that another member should have is recalled,
/// and the program gives it up when it has finished with it; the other waits for that.
///
/// Tasks of its own take part, so that this must be made inside of a tokio runtime.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Partition;
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let mut partition = Partition::join(&sessions, "/index", "host-7", ["a-m", "n-z"]);
/// for _ in 0..2 {
///     let share = partition.next().await?;
///     tokio::spawn(async move {
///         println!("serving {} with token {}", share.resource(), share.hold().token());
///         tokio::select! {
///             () = share.recalled() => println!("another member should have it"),
///             () = share.hold().in_doubt() => println!("not certainly ours anymore"),
///         }
///         share.release().await
///     });
/// }
/// partition.leave().await?;
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *A member is lost*: the others get what it had once its session has expired.
/// - *The connection is lost*: the program keeps what it has, and each [`Share::hold`] is in doubt. If a
///   server is found in time it is as if nothing had happened.
/// - *The session expires*: others may have what it had, whether this one knows it or not; see
///   [`FencingToken`](crate::FencingToken). With [`Sessions`] that are renewed it joins again, otherwise its part is over.
/// - *Members have seen different lists of members*: for a moment a resource may be had by a member to
///   which it is not due, or by none, but never by two.
/// - *A program does not give up what is recalled*: nobody else gets it. It stays with the program.
/// - *Somebody deletes the znode of a lock*: its holder is told by [`Share::recalled`], and asks again.
/// - *This is dropped*: the member leaves in the background. What the program has is recalled.
///
/// All members should be given the same resources: what only some know is had by those, if it is due to
/// them. Made of a [`Group`] and a [`Lock`] for each resource. As kazoo's
/// `SetPartitioner`, with which it can not be shared, since that reckons differently.
#[derive(Debug)]
pub struct Partition {
    member: GroupMember,
    shares: mpsc::Receiver<Result<Share, Error>>,
    /// One that follows the list of members, and one for each resource.
    tasks: JoinSet<()>,
    /// Of what the program has not taken.
    departure: Departure,
}

impl Partition {
    /// Joins those at that path under a name that no other member has, to share out resources whose
    /// names could be those of znodes.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn join<R>(
        sessions: impl Into<Sessions>,
        path: impl AsRef<str>,
        id: impl Into<String>,
        resources: impl IntoIterator<Item = R>,
    ) -> Self
    where
        R: Into<String>,
    {
        let (sessions, path, id) = (sessions.into(), path.as_ref(), id.into());
        let resources: BTreeSet<String> = resources.into_iter().map(Into::into).collect();
        let (members, locks) = (child(path, MEMBERS), child(path, LOCKS));
        // What waits to be taken by the program can still be given up.
        let (offers, shares) = mpsc::channel(1);
        let departure = Departure::new();
        let mut tasks = JoinSet::new();
        let mut sharing = Sharing { id: id.clone(), resources: Vec::new() };
        for resource in resources {
            let (due, is_due) = watch::channel(false);
            let lock = match mutant::active(41) {
                true => child(&locks, &format!("{resource}-{id}")),
                false => child(&locks, &resource),
            };
            let lock = Lock::new(&sessions, lock).label(id.as_str()).with_pass(departure.pass());
            sharing.resources.push((resource.clone(), due));
            tasks.spawn(Contest { resource, lock, is_due, offers: offers.clone() }.run());
        }
        tasks.spawn(sharing.run(Group::of(&sessions, &members), offers));
        let member = GroupMember::join(sessions, members, id, "");
        Self { member, shares, tasks, departure }
    }

    /// Waits for a resource that this member has from now on; also again, after it was given up. A program
    /// should wait here for as long as it takes part: what it does not take from here is had in vain.
    ///
    /// # Errors
    /// What ended its part: the end of the session, and those of every create and read.
    pub async fn next(&mut self) -> Result<Share, Error> {
        let mut next = tokio::select! {
            biased;
            next = self.shares.recv() => next.unwrap_or_else(|| Err(ClientError::Closed.into())),
            error = self.member.over() => Err(error),
        };
        match &mut next {
            // It is for the program to give it up from now on.
            Ok(share) => share.hold.forget_pass(),
            Err(_) => self.tasks.abort_all(),
        }
        next
    }

    /// Leaves, and waits until that is done: the member is gone, and so are its places in lines. What the program
    /// still has is recalled, and its own to give up.
    ///
    /// # Errors
    /// What made that uncertain, or ended its part before.
    pub async fn leave(self) -> Result<(), Error> {
        let Self { member, shares, mut tasks, departure } = self;
        tasks.shutdown().await;
        // What was offered and not taken is given up, too.
        drop(shares);
        let left = member.leave().await;
        departure.complete().await?;
        left
    }
}

/// A resource that this member of a [`Partition`] has. Dropping it gives it up in the background.
#[derive(Debug)]
#[must_use = "it is given up when it is dropped"]
pub struct Share {
    resource: String,
    hold: Hold,
    is_due: watch::Receiver<bool>,
    /// Dropped when the hold is given up, to let this member ask for the resource again.
    _end: oneshot::Sender<()>,
}

impl Share {
    /// The name of the resource.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The right to it: how certain that is, and the token that is higher than those of all who had it
    /// before.
    pub const fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Waits until it is to be given up: another member should have it, this one has left, or it is
    /// certain that it is not had anymore.
    pub async fn recalled(&self) {
        let mut is_due = self.is_due.clone();
        tokio::select! {
            // When the partition is over, nothing is due anymore.
            _ = is_due.wait_for(|is_due| !is_due) => {}
            _ = self.hold.lost() => {}
        }
    }

    /// Gives it up, and waits until that is done.
    ///
    /// # Errors
    /// As [`Hold::release`].
    pub async fn release(self) -> Result<(), Error> {
        let Self { hold, _end, .. } = self;
        hold.release().await
    }
}

/// The task that knows what is due to this member.
struct Sharing {
    id: String,
    /// In the order of their names, and whether they are due.
    resources: Vec<(String, watch::Sender<bool>)>,
}

impl Sharing {
    async fn run(self, group: Group, offers: mpsc::Sender<Result<Share, Error>>) {
        let mut events = group.events();
        let error = loop {
            // A list that is being read again is not complete.
            if let Err(error) = group.synced().await {
                break error;
            }
            let members: Vec<_> = group.members().into_iter().map(|member| member.id).collect();
            self.tell(&members);
            // The end of the events is the end of the group, which says why.
            events.next().await;
        };
        self.tell(&[]);
        // Who does not listen anymore has left.
        drop(offers.send(Err(error)).await);
    }

    fn tell(&self, members: &[String]) {
        let names: Vec<_> = self.resources.iter().map(|(name, _)| name.as_str()).collect();
        let owners = owners(&names, members);
        for (number, (_, due)) in self.resources.iter().enumerate() {
            let now = owners.get(number).is_some_and(|owner| **owner == self.id)
                || mutant::active(42) && *due.borrow();
            due.send_if_modified(|is_due| std::mem::replace(is_due, now) != now);
        }
    }
}

/// The task that gets a resource as often as it is due to this member.
struct Contest {
    resource: String,
    lock: Lock,
    is_due: watch::Receiver<bool>,
    offers: mpsc::Sender<Result<Share, Error>>,
}

impl Contest {
    async fn run(mut self) {
        // Fails when nothing will be due anymore.
        while self.is_due.wait_for(|is_due| *is_due).await.is_ok() {
            let mut is_due = self.is_due.clone();
            let offered = tokio::select! {
                biased;
                // Gives up the place in line, or what the program has not taken yet.
                _ = is_due.wait_for(|is_due| !is_due) => continue,
                offered = self.offer() => offered,
            };
            match offered {
                // Sent never; it ends when the share does.
                Ok(end) => drop(end.await),
                Err(Error::Removed { path }) => debug!(%path, "asks again"),
                Err(error) => {
                    drop(self.offers.send(Err(error)).await);
                    return;
                }
            }
        }
    }

    /// Waits for the resource and then for the program; returns what tells that it was given up.
    async fn offer(&self) -> Result<oneshot::Receiver<()>, Error> {
        let hold = self.lock.acquire().await?;
        let (end, ended) = oneshot::channel();
        let (resource, is_due) = (self.resource.clone(), self.is_due.clone());
        let share = Share { resource, hold, is_due, _end: end };
        // Who does not listen anymore has left, and the share is given up with the offer.
        drop(self.offers.send(Ok(share)).await);
        Ok(ended)
    }
}

/// To whom each resource is due; empty without members. Everybody reckons the same from the same names.
///
/// Each resource has its own order of the members, and goes to the first of them that has not its fill:
/// the same number for all, and one more for as many as there are resources left over. So each member has
/// its fill in the end, and little moves when the members change.
fn owners<'m>(resources: &[&str], members: &'m [String]) -> Vec<&'m String> {
    if members.is_empty() {
        return Vec::new();
    }
    let fill = resources.len() / members.len();
    let mut left_over = resources.len() % members.len();
    let mut counts = vec![0; members.len()];
    let mut owners = Vec::with_capacity(resources.len());
    for resource in resources {
        let open = |count: usize| count < fill || count == fill && left_over > 0;
        let of_these = (0..members.len()).filter(|&number| open(counts[number]));
        let owner = of_these
            .max_by_key(|&number| (weight(&members[number], resource), Reverse(number)))
            .expect("there are as many places as resources");
        if counts[owner] == fill {
            left_over -= 1;
        }
        counts[owner] += 1;
        owners.push(&members[owner]);
    }
    owners
}

/// A number that looks random and is the same in every program: FNV-1a of the two names, and the last step
/// of `SplitMix64`, since that alone spreads names badly that differ at their ends.
fn weight(member: &str, resource: &str) -> u64 {
    let bytes = member.bytes().chain([0]).chain(resource.bytes());
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str, count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{prefix}-{number:02}")).collect()
    }

    fn shared_out(resources: &[String], members: &[String]) -> Vec<String> {
        let resources: Vec<_> = resources.iter().map(String::as_str).collect();
        owners(&resources, members).into_iter().cloned().collect()
    }

    #[test]
    fn each_has_as_many_or_one_more() {
        for resource_count in 0..20 {
            for member_count in 1..8 {
                let members = names("host", member_count);
                let owners = shared_out(&names("shard", resource_count), &members);
                assert_eq!(owners.len(), resource_count);
                for member in &members {
                    let count = owners.iter().filter(|owner| *owner == member).count();
                    let fill = resource_count / member_count;
                    assert!((fill..=fill + 1).contains(&count), "{count} of {resource_count}");
                }
            }
        }
        assert!(shared_out(&names("shard", 3), &[]).is_empty());
    }

    #[test]
    fn little_moves_when_one_comes_or_goes() {
        let resources = names("shard", 100);
        let ten = shared_out(&resources, &names("host", 10));
        let eleven = shared_out(&resources, &names("host", 11));
        let moved = ten.iter().zip(&eleven).filter(|(before, after)| before != after).count();
        // Nine have to; ninety would if each member had every tenth and then every eleventh.
        assert_eq!(moved, 16);
    }

    #[test]
    fn programs_of_all_times_reckon_the_same() {
        let owners = shared_out(&names("shard", 5), &names("host", 2));
        assert_eq!(owners, ["host-00", "host-01", "host-01", "host-01", "host-00"]);
        assert_eq!(weight("host-00", "shard-00"), 9_654_922_302_725_022_465);
    }
}
