//! What has become durable, given out: applied, told to those who watch, acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;
use tree::{Change, Tree};
use types::{AclList, ErrorCode, Now, SessionId, Txn, Zxid, mutant};
use wire::reply::{Body, Reply};

use super::{Core, Speaker};
use crate::ensemble::Standing;
use crate::published::{
    Address, ChangeKind, Established, Mail, Post, PublishedChange, WatchRequest,
};
use crate::read::{self, Asker};
use crate::reply;
use crate::request::{Origin, Proposal, Question, Waiting};
use crate::session::Owner;

impl Core {
    /// Applies a transaction and does everything that waited for it.
    pub(super) fn deliver(
        &mut self,
        now: Now,
        tree: &mut Tree,
        post: &mut Post<'_>,
        proposal: Proposal,
    ) {
        let Proposal { header, content, digest, origin, behind } = proposal;
        let zxid = header.zxid;
        let applied = if post.is_watched() {
            content.apply(tree, &header, &mut |change| post.publish(&published(zxid, change)))
        } else {
            content.apply(tree, &header, &mut |_| {})
        };
        self.pending.applied(zxid);
        if self.digests.differ(digest, tree.digest()) {
            if self.stats.digest_mismatches.value() == 0 {
                error!(%zxid, "digest of the tree differs from the leader's");
            }
            self.stats.digest_mismatches.add(1);
        }
        self.digests.applied(zxid, tree.digest());
        self.stats.commits.add(1);
        let is_learner = self.ensemble.standing != Standing::Leading;
        self.stats.commits_learned.add(u64::from(is_learner));
        let (mut origin, mut behind) = (origin, behind);
        let txn = content.txn();
        let ends = matches!(txn, Some(Txn::CloseSession { .. }));
        if let Some(asked) = self.ensemble.asked.decided(header.session, header.cxid, ends) {
            origin = asked.0;
            behind.extend(asked.1);
        }
        if mutant::active(51) {
            for waiting in behind.drain(..) {
                self.answer(tree, post, waiting);
            }
        }
        match (txn, origin) {
            (Some(Txn::CreateSession { timeout_ms }), Origin::Handshake(address)) => {
                self.establish(now, post, header.session, *timeout_ms, address);
            }
            (Some(Txn::Error { code }), Origin::Request { address, .. })
                if *code == ErrorCode::SessionMoved.raw() =>
            {
                // The leader believes that the client is elsewhere, where it may have knocked and gone
                // before it came here. With a new connection it says where it is.
                self.speakers.remove(&address);
                behind.retain(|waiting| waiting.address != address);
                post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
            }
            (_, Origin::Request { address, xid, received }) => {
                post.outbox(address.front).reply(address.conn, received, |out| {
                    reply::to_write(xid, zxid, txn, &applied, out);
                });
            }
            (_, Origin::Handshake(_) | Origin::Server | Origin::Learner) => {}
        }
        if ends {
            self.ensemble.ended.note(now.instant, header.session);
            self.end(post, header.session);
        }
        for waiting in behind {
            self.answer(tree, post, waiting);
        }
    }

    fn establish(
        &mut self,
        now: Now,
        post: &mut Post<'_>,
        id: SessionId,
        timeout_ms: i32,
        address: Address,
    ) {
        self.track(now, id, timeout_ms);
        self.give(post, id, timeout_ms, address);
    }

    /// Lets a connection speak for a new session.
    pub(super) fn give(
        &mut self,
        post: &mut Post<'_>,
        id: SessionId,
        timeout_ms: i32,
        address: Address,
    ) {
        let Some(session) = self.sessions.find_mut(id) else { return };
        session.address = Some(address);
        session.owner = Some(Owner::Here);
        let established = Established {
            conn: address.conn,
            session: id,
            timeout_ms,
            heartbeat: session.heartbeat.clone(),
            is_read_only: self.ensemble.standing == Standing::ReadOnly,
        };
        let mail = Mail::Established(Box::new(established));
        post.outbox(address.front).mail.push(mail);
        self.speakers.insert(address, Speaker { session: id, last: None });
    }

    /// Tracks a session from now on.
    pub(super) fn track(&mut self, now: Now, id: SessionId, timeout_ms: i32) {
        let timeout = Duration::from_millis(u64::from(timeout_ms.unsigned_abs()));
        self.sessions.track(now.instant, id, timeout);
    }

    /// Tracks all sessions that there are.
    pub(super) fn track_all(&mut self, now: Now, tree: &Tree) {
        for (id, timeout_ms) in tree.sessions() {
            self.track(now, id, timeout_ms);
        }
    }

    /// The session is over: its connection, if there is one, is closed after what it was sent.
    pub(super) fn end(&mut self, post: &mut Post<'_>, id: SessionId) {
        self.ensemble.asked.forget(id);
        let Some(session) = self.sessions.forget(id) else { return };
        if let Some(address) = session.address {
            self.speakers.remove(&address);
            post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
        }
    }

    /// Answers what is no longer behind anything.
    pub(super) fn answer(&mut self, tree: &Tree, post: &mut Post<'_>, waiting: Waiting) {
        let Waiting { address, session, xid, received, identities, question } = waiting;
        let Address { front, conn } = address;
        let zxid = tree.last_applied();
        match question {
            Question::Sync { path } => post.outbox(front).reply(conn, received, |out| {
                Reply { xid, zxid, result: Ok(Body::Path(&path)) }.encode(out);
            }),
            Question::Refused(code) => post.outbox(front).reply(conn, received, |out| {
                Reply { xid, zxid, result: Err(code) }.encode(out);
            }),
            Question::End => {
                post.outbox(front).reply(conn, received, |out| {
                    Reply { xid, zxid, result: Ok(Body::Empty) }.encode(out);
                });
                self.end(post, session);
            }
            // Waits only behind syncs, which go on with it themselves.
            Question::Ask(_) => {}
            Question::Resume(established) => {
                post.outbox(front).mail.push(Mail::Established(established));
            }
            Question::Read(read) if read::concerns_watches_only(&read) => {
                post.watch_request(front, WatchRequest { conn, xid, zxid, read, received });
            }
            Question::Read(read) => {
                let asker =
                    Asker { access: &self.options.access, identities: &identities, session };
                let mut watches = Vec::new();
                post.outbox(front).reply(conn, received, |out| {
                    read::answer(tree, asker, xid, &read, out, &mut |path, kind| {
                        watches.push((path.to_owned(), kind));
                    });
                });
                for (path, kind) in watches {
                    post.watch(address, &path, kind);
                }
            }
        }
    }
}

/// A change as the watchers of all frontends are told of it.
fn published(zxid: Zxid, change: Change<'_>) -> Arc<PublishedChange> {
    let restricted = |acl: &AclList| (*acl != AclList::open()).then(|| acl.clone());
    let (kind, path, acl, parent_acl) = match change {
        Change::Created { path, acl, parent_acl } => {
            (ChangeKind::Created, path, acl, restricted(parent_acl))
        }
        Change::Deleted { path, acl, parent_acl } => {
            (ChangeKind::Deleted, path, acl, restricted(parent_acl))
        }
        Change::DataChanged { path, acl } => (ChangeKind::DataChanged, path, acl, None),
    };
    Arc::new(PublishedChange { zxid, kind, path: path.into(), acl: restricted(acl), parent_acl })
}
