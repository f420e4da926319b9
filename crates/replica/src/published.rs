//! What the replica's thread and the threads of the connections share.
//!
//! There is one tree. The replica changes it in [`WriteSection`]s; the frontends read it through a
//! [`TreeReader`]. Beside the tree each frontend has a mailbox, into which the replica puts, in the
//! order in which it happened: changes that watches may wait for, replies, ends of sessions.
//!
//! **The rule that makes local reads consistent**: what a write section put into a mailbox is there
//! before the section ends. A frontend that reads the tree first takes its mail *while it holds the
//! tree*, so it has seen every change up to the state it reads: the events of a change leave a
//! connection before any reply that shows the change, and a watch set together with a read sees
//! exactly the changes after it.
//!
//! Order of locks: the tree, then a mailbox. A mailbox is held for as long as it takes to swap or
//! append two vectors.

use std::fmt;
use std::sync::Arc;

use tree::Tree;
use types::{AclList, ConnId, Instant, Read, SessionId, Xid, Zxid, mutant};

use crate::limits::SPARE_MAIL_BYTES_MAX;
use crate::session::Heartbeat;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::watch::WatchKind;

/// Which frontend: its number in the order of creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FrontId(pub usize);

/// A connection as the replica knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    /// The frontend that has it.
    pub front: FrontId,
    /// Its id there.
    pub conn: ConnId,
}

/// One thing that a frontend has to do, in the order of the mail.
#[derive(Debug)]
pub(crate) enum Mail {
    /// Send the next so many bytes of [`Outbox::frames`]: the reply to a request that was handed to
    /// the replica.
    Reply {
        conn: ConnId,
        bytes: usize,
        /// When the request arrived.
        received: Instant,
    },
    /// Fire the watches that wait for this.
    Change(Arc<PublishedChange>),
    /// Set a watch: a read that the replica answered asked for it.
    Watch { conn: ConnId, path: Box<str>, kind: WatchKind },
    /// Answer a request that concerns only the watches of its connection.
    WatchRequest(Box<WatchRequest>),
    /// The session is there: answer the handshake.
    Established(Box<Established>),
    /// The session can not be resumed: answer the handshake so, and close.
    Refused { conn: ConnId, is_read_only: bool },
    /// Close the connection after what was sent.
    Close { conn: ConnId },
}

/// A request about watches that waited for a write of its session.
#[derive(Debug)]
pub(crate) struct WatchRequest {
    pub(crate) conn: ConnId,
    pub(crate) xid: Xid,
    pub(crate) zxid: Zxid,
    pub(crate) read: Read<'static>,
    pub(crate) received: Instant,
}

/// A session that a connection now speaks for.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) conn: ConnId,
    pub(crate) session: SessionId,
    pub(crate) timeout_ms: i32,
    pub(crate) heartbeat: Heartbeat,
    /// Whether the server serves reads only.
    pub(crate) is_read_only: bool,
}

/// What happened to a znode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChangeKind {
    Created,
    Deleted,
    DataChanged,
}

/// A change for those who may watch it. The lists decide who may know; `None` is an open one.
#[derive(Debug)]
pub(crate) struct PublishedChange {
    pub(crate) zxid: Zxid,
    pub(crate) kind: ChangeKind,
    pub(crate) path: Box<str>,
    pub(crate) acl: Option<AclList>,
    pub(crate) parent_acl: Option<AclList>,
}

/// Mail, with the encoded replies it speaks of.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) mail: Vec<Mail>,
    pub(crate) frames: Vec<u8>,
    /// The state after all of it.
    pub(crate) zxid: Zxid,
}

impl Outbox {
    /// Appends a reply by letting `encode` append its frame.
    pub(crate) fn reply(
        &mut self,
        conn: ConnId,
        received: Instant,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let before = self.frames.len();
        encode(&mut self.frames);
        self.mail.push(Mail::Reply { conn, bytes: self.frames.len() - before, received });
    }

    fn append_to(&mut self, other: &mut Self) {
        if other.mail.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        other.mail.append(&mut self.mail);
        other.frames.append(&mut self.frames);
        other.zxid = self.zxid;
    }

    pub(crate) fn clear(&mut self) {
        self.mail.clear();
        self.frames.clear();
        self.frames.shrink_to(SPARE_MAIL_BYTES_MAX);
    }
}

#[derive(Debug, Default)]
struct Mailbox {
    outbox: Mutex<Outbox>,
    /// Whether there is mail, for a look without the lock.
    has_mail: AtomicBool,
    /// How many watches the frontend has. Written by the frontend, while it holds the tree.
    watches: AtomicUsize,
    /// How many watches were sent to the frontend that it has not counted yet. Without watches
    /// here and above, the replica keeps changes to itself.
    watches_sent: AtomicUsize,
}

impl Mailbox {
    fn is_watching(&self) -> bool {
        self.watches.load(Ordering::Acquire) > 0 || self.watches_sent.load(Ordering::Acquire) > 0
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().expect("nothing panics while it holds a mailbox")
    }
}

struct Shared {
    tree: RwLock<Tree>,
    mailboxes: Box<[Mailbox]>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("mailboxes", &self.mailboxes).finish_non_exhaustive()
    }
}

/// The replica's side. There is one.
#[derive(Debug)]
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    /// What was not yet put into the mailboxes.
    outboxes: Vec<Outbox>,
}

impl Publisher {
    pub(crate) fn new(tree: Tree, fronts: usize) -> Self {
        let mailboxes = (0..fronts).map(|_| Mailbox::default()).collect();
        let shared = Arc::new(Shared { tree: RwLock::new(tree), mailboxes });
        Self { shared, outboxes: (0..fronts).map(|_| Outbox::default()).collect() }
    }

    /// The reading end for one frontend.
    pub(crate) fn reader(&self, front: FrontId) -> TreeReader {
        TreeReader { shared: Arc::clone(&self.shared), front }
    }

    /// The tree without a mailbox.
    pub(crate) fn access(&self) -> TreeAccess {
        TreeAccess(Arc::clone(&self.shared))
    }

    /// The tree, to change.
    pub(crate) fn write(&mut self) -> WriteSection<'_> {
        let tree = self.shared.tree.write().expect(NO_PANIC);
        WriteSection { mailboxes: &self.shared.mailboxes, outboxes: &mut self.outboxes, tree }
    }

    /// The tree to look at, and mail that has nothing to do with a change of it. The mail leaves
    /// with the next write section or [`Publisher::post`].
    pub(crate) fn read(&mut self) -> (RwLockReadGuard<'_, Tree>, Post<'_>) {
        let tree = self.shared.tree.read().expect(NO_PANIC);
        (tree, Post { mailboxes: &self.shared.mailboxes, outboxes: &mut self.outboxes })
    }

    /// Posts the mail that is left, and names the frontends that have some.
    pub(crate) fn post(&mut self, mut wake: impl FnMut(FrontId)) {
        if self.outboxes.iter().any(|outbox| !outbox.mail.is_empty()) {
            let zxid = self.shared.tree.read().expect(NO_PANIC).last_applied();
            post(&self.shared.mailboxes, &mut self.outboxes, zxid);
        }
        for (number, mailbox) in self.shared.mailboxes.iter().enumerate() {
            if mailbox.has_mail.load(Ordering::Acquire) {
                wake(FrontId(number));
            }
        }
    }
}

const NO_PANIC: &str = "nothing panics while it holds the tree";

fn post(mailboxes: &[Mailbox], outboxes: &mut [Outbox], zxid: Zxid) {
    for (mailbox, outbox) in mailboxes.iter().zip(outboxes) {
        if outbox.mail.is_empty() {
            continue;
        }
        outbox.zxid = zxid;
        outbox.append_to(&mut mailbox.lock());
        mailbox.has_mail.store(true, Ordering::Release);
    }
}

/// A change of the tree together with the mail about it; both become visible when it is dropped.
pub(crate) struct WriteSection<'a> {
    mailboxes: &'a [Mailbox],
    outboxes: &'a mut [Outbox],
    tree: RwLockWriteGuard<'a, Tree>,
}

impl WriteSection<'_> {
    /// The tree, and the mail to go with its changes.
    pub(crate) fn parts(&mut self) -> (&mut Tree, Post<'_>) {
        (&mut self.tree, Post { mailboxes: self.mailboxes, outboxes: self.outboxes })
    }
}

impl Drop for WriteSection<'_> {
    /// Puts the mail into the mailboxes while the tree is still held; see the module's rule.
    fn drop(&mut self) {
        post(self.mailboxes, self.outboxes, self.tree.last_applied());
    }
}

/// The mail that gathers beside the tree.
#[derive(Debug)]
pub(crate) struct Post<'a> {
    mailboxes: &'a [Mailbox],
    outboxes: &'a mut [Outbox],
}

impl Post<'_> {
    pub(crate) fn outbox(&mut self, front: FrontId) -> &mut Outbox {
        &mut self.outboxes[front.0]
    }

    /// Whether any frontend has a watch.
    pub(crate) fn is_watched(&self) -> bool {
        self.mailboxes.iter().any(Mailbox::is_watching)
    }

    /// Tells the frontends that have watches of a change.
    pub(crate) fn publish(&mut self, change: &Arc<PublishedChange>) {
        for (mailbox, outbox) in self.mailboxes.iter().zip(&mut *self.outboxes) {
            if mailbox.is_watching() {
                outbox.mail.push(Mail::Change(Arc::clone(change)));
            }
        }
    }

    /// Sets a watch at a frontend; changes are published to it from here on.
    pub(crate) fn watch(&mut self, address: Address, path: &str, kind: WatchKind) {
        if !mutant::active(53) {
            self.mailboxes[address.front.0].watches_sent.fetch_add(1, Ordering::AcqRel);
        }
        let mail = Mail::Watch { conn: address.conn, path: path.into(), kind };
        self.outbox(address.front).mail.push(mail);
    }

    /// Hands a request about watches to the frontend; it may set one.
    pub(crate) fn watch_request(&mut self, front: FrontId, request: WatchRequest) {
        self.mailboxes[front.0].watches_sent.fetch_add(1, Ordering::AcqRel);
        self.outbox(front).mail.push(Mail::WatchRequest(Box::new(request)));
    }
}

/// The tree without a mailbox, for those who look at it as operators do.
#[derive(Clone, Debug)]
pub(crate) struct TreeAccess(Arc<Shared>);

impl TreeAccess {
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, Tree> {
        self.0.tree.read().expect(NO_PANIC)
    }
}

/// How the thread of some connections reads the tree. See the module for the rule it keeps.
#[derive(Debug)]
pub struct TreeReader {
    shared: Arc<Shared>,
    front: FrontId,
}

impl TreeReader {
    /// Which frontend it belongs to.
    pub fn front(&self) -> FrontId {
        self.front
    }

    /// Holds the tree as it is. The caller takes its mail before it looks.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, Tree> {
        self.shared.tree.read().expect(NO_PANIC)
    }

    /// Whether there is mail.
    pub fn has_mail(&self) -> bool {
        self.mailbox().has_mail.load(Ordering::Acquire)
    }

    /// Whether the mail that has come is answers, and at most so many.
    pub(crate) fn has_only_replies(&self, count_max: usize) -> bool {
        let outbox = self.mailbox().lock();
        let mail = &outbox.mail;
        mail.len() <= count_max && mail.iter().all(|mail| matches!(mail, Mail::Reply { .. }))
    }

    /// Swaps the mail that has come for an empty outbox; `false` if there is none.
    pub(crate) fn take_mail(&self, empty: &mut Outbox) -> bool {
        if !self.has_mail() {
            return false;
        }
        let mut outbox = self.mailbox().lock();
        self.mailbox().has_mail.store(false, Ordering::Release);
        std::mem::swap(&mut *outbox, empty);
        true
    }

    /// Tells the replica how many watches there are, and how many that it sent are among them or
    /// gone again. Only while the tree is held: a change that comes next finds the right number.
    pub(crate) fn count_watches(&self, watches: usize, received: usize) {
        // In this order, so that there is no moment at which a watch is in neither number.
        self.mailbox().watches.store(watches, Ordering::Release);
        self.mailbox().watches_sent.fetch_sub(received, Ordering::AcqRel);
    }

    fn mailbox(&self) -> &Mailbox {
        &self.shared.mailboxes[self.front.0]
    }
}

#[cfg(test)]
mod tests {
    use types::ExtendedTypes;

    use super::*;

    const FRONT: FrontId = FrontId(0);
    const CONN: ConnId = ConnId(7);

    #[test]
    fn a_few_answers_are_told_from_other_mail() {
        let options =
            tree::Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: 1 };
        let mut publisher = Publisher::new(Tree::new(options), 1);
        let reader = publisher.reader(FRONT);
        let mut post = |fill: &dyn Fn(&mut Outbox)| {
            fill(publisher.read().1.outbox(FRONT));
            publisher.post(|_| {});
        };
        let answer =
            |outbox: &mut Outbox| outbox.reply(CONN, Instant::default(), |out| out.push(1));
        assert!(reader.has_only_replies(0), "there is none");
        post(&answer);
        post(&answer);
        assert!(reader.has_only_replies(2));
        assert!(!reader.has_only_replies(1), "they are more");
        post(&|outbox| outbox.mail.push(Mail::Close { conn: CONN }));
        assert!(!reader.has_only_replies(9), "something else is among them");
        assert!(reader.take_mail(&mut Outbox::default()));
        assert!(reader.has_only_replies(0));
    }
}
