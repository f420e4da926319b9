//! Recipes for Reefkeeper and Apache ZooKeeper: what programs agree on, ready to use.
//!
//! ```
//! # fixture::example(async |ensemble| {
//! use reefkeeper_client::Client;
//! use reefkeeper_recipes::Lock;
//!
//! let client = Client::connect(ensemble).await?;
//! let hold = Lock::new(&client, "/locks/report").acquire().await?;
//! println!("nobody else writes the report; token {}", hold.token());
//! hold.release().await?;
//! # Ok(()) });
//! ```
//!
//! # Which one
//!
//! | to | use |
//! |---|---|
//! | do something alone | [`Lock`]; [`MultiLock`] for several at once |
//! | let many read or one write | [`ReadWriteLock`] |
//! | share out shards, or whatever has names | [`Partition`] |
//! | do something with a few at the same time | [`Semaphore`] |
//! | know whether one leads | [`LeaderLatch`] |
//! | do work as long as one leads | [`LeaderSelector`] |
//! | hold others up | [`Barrier`] |
//! | begin and end together | [`DoubleBarrier`] |
//! | leave word for those who come later | [`Rendezvous`] |
//! | do something all or none | [`TwoPhaseCommit`] |
//! | count, or change a value together | [`Counter`], [`AtomicValue`] |
//! | have a copy of a znode, its children or a subtree | [`Cache`] |
//! | be seen as long as one lives | [`PersistentEphemeral`]; [`PersistentTtl`] for a while longer |
//! | know who is there | [`Group`], [`GroupMember`] |
//! | know who has failed | [`FailureDetector`] |
//! | be found by callers, and find whom to call | [`Registration`], [`ServiceProvider`] |
//! | follow a configuration | [`Watched`] |
//! | give out numbers | [`IdGenerator`]; [`WorkerIds`] for small ones that come back |
//! | hand out work | [`Queue`]; [`DelayQueue`] for later; [`CuratorQueue`] with programs in Java |
//! | hand out work that has outcomes | [`Tasks`], [`Worker`] |
//!
//! # What they have in common
//!
//! - They take [`Sessions`](reefkeeper_client::Sessions), or a
//!   [`Client`](reefkeeper_client::Client) for a single session. What waits, or goes on in the
//!   background, begins anew in the next session when one expires, if there is a next one.
//! - A lost connection is waited out. What was asked when it was lost is found out, never guessed:
//!   names that are created have a GUID, so that it is known whether they were.
//! - Who holds something has a [`FencingToken`], and can see when that becomes uncertain: [`Hold`].
//! - Futures can be dropped at any time; what they have begun is given up.
//! - Directories are made as needed, as containers, which the server removes when they are empty.
//! - Where Curator or kazoo have the same recipe the znodes are named as theirs, so that programs of
//!   several languages can take part. Each says with whom it can be shared.
//!
//! Without async, run them with [`block_on`](reefkeeper_client::blocking::Client::block_on).

mod atomic;
mod barrier;
mod cache;
mod claim;
mod clock;
mod curator_queue;
mod departure;
mod discovery;
mod double_barrier;
mod error;
mod failure_detector;
mod group;
mod guid;
mod hold;
mod ids;
mod leader_latch;
mod leader_selector;
mod line;
mod lock;
mod multi_lock;
mod mutant;
mod naming;
mod partition;
mod passing;
mod persistent_ephemeral;
mod persistent_ttl;
mod protected;
mod queue;
mod read_write_lock;
mod rendezvous;
mod renewed;
#[cfg(feature = "seeded")]
mod seeded;
mod semaphore;
mod shelf;
mod tasks;
mod tree_path;
mod two_phase_commit;
mod watched;
mod worker_ids;

pub use self::atomic::{AtomicValue, Counter, Versioned};
pub use self::barrier::Barrier;
pub use self::cache::{Cache, CacheEvent, CacheEvents, Entry, Freshness};
pub use self::curator_queue::{CuratorQueue, TakenItems};
pub use self::discovery::{Registration, ServiceInstance, ServiceProvider, Strategy};
pub use self::double_barrier::{DoubleBarrier, Entered};
pub use self::error::Error;
pub use self::failure_detector::{FailureDetector, Health};
pub use self::group::{Group, GroupMember, Member};
pub use self::hold::{Certainty, Contender, FencingToken, Hold, Loss};
pub use self::ids::IdGenerator;
pub use self::leader_latch::{LeaderLatch, Leadership};
pub use self::leader_selector::{LeaderSelector, Led};
pub use self::lock::Lock;
pub use self::multi_lock::MultiLock;
#[cfg(feature = "seeded")]
#[doc(hidden)]
pub use self::mutant::choose_mutant;
pub use self::naming::Naming;
pub use self::partition::{Partition, Share};
pub use self::persistent_ephemeral::{PersistentEphemeral, Presence};
pub use self::persistent_ttl::PersistentTtl;
pub use self::queue::{DelayQueue, Priority, Queue};
pub use self::read_write_lock::ReadWriteLock;
pub use self::rendezvous::Rendezvous;
#[cfg(feature = "seeded")]
#[doc(hidden)]
pub use self::seeded::{seed_names, set_wall_clock, wall_clock};
pub use self::semaphore::Semaphore;
pub use self::shelf::Taken;
pub use self::tasks::{Task, Tasks, Worker};
pub use self::two_phase_commit::{Outcome, TwoPhaseCommit};
pub use self::watched::Watched;
pub use self::worker_ids::{WorkerId, WorkerIds};
