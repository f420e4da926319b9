//! What to ask: an endless sequence of steps that follows from a seed alone.
//!
//! Names, versions and lists are drawn from small sets, so that most requests meet a znode that is
//! there, a watch that is set, a version that is right; the rest fail in every way there is. A plan
//! knows nothing of the answers: a znode may or may not be there when its turn comes.

mod odd;

use std::borrow::Cow;

use types::{
    Acl, AclList, AuthPacket, Create, CreateCall, CreateMode, Id, MultiOp, MultiReadOp, Op, Perms,
    Read, ReconfigRequest, SetWatches, WatchMode, WatcherKind, Write, Xid, Zxid,
};

use crate::ask::{Ask, Manner, Numbered, Step};
use crate::random::Random;

/// How many sessions a plan keeps open.
pub const SESSIONS: usize = 4;
/// The timeout that sessions ask for at first: longer than a run, so that none expires.
pub const SESSION_TIMEOUT_MS: i32 = 600_000;
/// The most requests that are sent in one piece.
const BURST_MAX: usize = 48;
/// The most operations in a multi.
const MULTI_MAX: usize = 6;
/// Data that is much larger than a packet.
const LARGE_BYTES: usize = 70_000;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "é"];
/// The users of the digest scheme. The last is the super user of servers that are set up for it.
const CREDENTIALS: [&str; 4] = ["kim:secret", "lee:word", "nocolon", "super:test"];
/// The identities that the first three users get, and one that nobody has.
const DIGESTS: [&str; 3] =
    ["kim:6f+g7hYczr/AZpGvOugOc8w3yg4=", "lee:bkP3W7LpYqnJsLmkuSeXUVbCSxc=", "x:y"];

/// A plan.
#[derive(Debug)]
pub struct Plan {
    random: Random,
    /// Below which all of it happens.
    base: String,
    /// The number of the last request of each session.
    xids: [i32; SESSIONS],
}

impl Plan {
    /// The plan that follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            base: format!("/differential-{seed}"),
            xids: [0; SESSIONS],
        }
    }

    /// The request that creates the znode below which all of it happens.
    pub fn first_step(&mut self) -> Step {
        let create = Create {
            call: CreateCall::Create,
            path: self.base.clone().into(),
            data: None,
            acl: AclList::open(),
            mode: CreateMode::Persistent,
        };
        let ask = Ask::Op(Op::Write(Write::Create(create)));
        Step::Burst { session: 0, requests: vec![self.numbered(0, ask)] }
    }

    /// A number for a request that the tool makes on its own account.
    pub fn next_xid(&mut self, session: usize) -> Xid {
        self.xids[session] += 1;
        Xid(self.xids[session])
    }

    /// Returns the next step.
    pub fn next_step(&mut self) -> Step {
        let session = self.random.below(SESSIONS);
        match self.random.weighted(&[900, 30, 40, 10, 20, 15, 10, 6, 4, 90]) {
            0 => self.burst(session),
            1 => self.burst_of_one(session, Self::odd_ask),
            2 => self.burst_of_one(session, Self::set_acl),
            3 => Step::Aside { session, request: self.numbered(session, Ask::Op(Op::Ping)) },
            4 => self.authentication(session),
            5 => Step::Reconnect { session, manner: self.manner() },
            6 => self.renewal(session),
            7 => Step::Last { session, request: self.last_request(session) },
            8 => {
                let (what, bytes) = odd::broken_frame(&mut self.random);
                Step::Break { session, what, bytes }
            }
            _ => {
                let ask = self.watches_again();
                Step::CatchUp { session, request: self.numbered(session, ask) }
            }
        }
    }

    fn burst(&mut self, session: usize) -> Step {
        let count = if self.random.chance(20) { 1 } else { 1 + self.random.below(BURST_MAX) };
        let requests = (0..count)
            .map(|_| {
                let ask = self.ask();
                self.numbered(session, ask)
            })
            .collect();
        Step::Burst { session, requests }
    }

    /// A request that is sent alone. Behind a change of an access list it is a matter of timing, in
    /// Java servers, whether the next write is checked by the new one.
    fn burst_of_one(&mut self, session: usize, ask: impl Fn(&mut Self) -> Ask) -> Step {
        let ask = ask(self);
        Step::Burst { session, requests: vec![self.numbered(session, ask)] }
    }

    fn set_acl(&mut self) -> Ask {
        Ask::Op(Op::Write(Write::SetAcl {
            path: self.inner_path().into(),
            acl: self.acl(),
            version: self.version(),
        }))
    }

    fn odd_ask(&mut self) -> Ask {
        odd::ask(&mut self.random, &self.base)
    }

    fn authentication(&mut self, session: usize) -> Step {
        let credentials = self.random.pick(&CREDENTIALS);
        let scheme = if self.random.chance(15) { "ip" } else { "digest" };
        let auth = Some(Cow::Borrowed(credentials.as_bytes()));
        let packet = AuthPacket { scheme: scheme.into(), auth };
        let request = Numbered { xid: Xid::AUTH, ask: Ask::Op(Op::Auth(packet)) };
        Step::Aside { session, request }
    }

    fn manner(&mut self) -> Manner {
        let manners = [
            Manner::Proper,
            Manner::WithoutReadOnly,
            Manner::WrongPassword,
            Manner::UnknownSession,
            Manner::FromTheFuture,
        ];
        manners[self.random.weighted(&[70, 10, 10, 5, 5])]
    }

    fn renewal(&mut self, session: usize) -> Step {
        let timeouts = [SESSION_TIMEOUT_MS, i32::MAX, SESSION_TIMEOUT_MS + 1];
        Step::Renew { session, timeout_ms: self.random.pick(&timeouts) }
    }

    fn last_request(&mut self, session: usize) -> Numbered {
        let ask = if self.random.chance(40) {
            let auth = Some(Cow::Borrowed(&b"x:y"[..]));
            Ask::Op(Op::Auth(AuthPacket { scheme: "nothing".into(), auth }))
        } else {
            odd::unknown_operation(&mut self.random)
        };
        self.numbered(session, ask)
    }

    fn numbered(&mut self, session: usize, ask: Ask) -> Numbered {
        let xid = match (&ask, self.random.below(200)) {
            (Ask::Op(Op::Ping), _) => Xid::PING,
            (Ask::SetWatches { .. }, _) => Xid::SET_WATCHES,
            // Unusual, but nothing forbids them.
            (_, 0) => self.random.pick(&[Xid(0), Xid(-3), Xid(i32::MAX), Xid(1)]),
            _ => self.next_xid(session),
        };
        Numbered { xid, ask }
    }

    fn ask(&mut self) -> Ask {
        match self.random.weighted(&[400, 380, 20]) {
            0 => Ask::Op(Op::Write(self.write())),
            1 => Ask::Op(Op::Read(self.read())),
            _ => Ask::Op(Op::Sync { path: self.path().into() }),
        }
    }

    // ---- writes -------------------------------------------------------------------------------

    fn write(&mut self) -> Write<'static> {
        match self.random.weighted(&[300, 160, 170, 130, 15, 10, 3]) {
            0 => Write::Create(self.create()),
            1 => Write::Delete { path: self.path().into(), version: self.version() },
            2 => Write::SetData {
                path: self.path().into(),
                data: self.data(),
                version: self.version(),
            },
            3 => Write::Multi(self.multi()),
            4 => Write::DeleteContainer { path: self.path().into() },
            5 => self.quota(),
            _ => Write::Reconfig(Box::new(ReconfigRequest {
                joining: Some("server.9=localhost:1:2;3".into()),
                leaving: None,
                new_members: None,
                based_on: None,
            })),
        }
    }

    fn create(&mut self) -> Create<'static> {
        let ttl_ms = self.random.pick(&[1, 3_600_000, 0xff_ffff_ffff, 0, -1, 0x100_0000_0000]);
        let (call, mode) = match self.random.weighted(&[34, 20, 12, 8, 8, 6, 10, 6, 3]) {
            0 => (self.create_call(), CreateMode::Persistent),
            1 => (self.create_call(), CreateMode::Ephemeral),
            2 => (self.create_call(), CreateMode::PersistentSequential),
            3 => (self.create_call(), CreateMode::EphemeralSequential),
            4 => (CreateCall::Container, CreateMode::Container),
            5 => (CreateCall::Ttl, CreateMode::PersistentSequentialWithTtl(ttl_ms)),
            6 => (CreateCall::Ttl, CreateMode::PersistentWithTtl(ttl_ms)),
            7 => (self.create_call(), CreateMode::Container),
            _ => (CreateCall::Container, CreateMode::Persistent),
        };
        let acl = if self.random.chance(85) { AclList::open() } else { self.acl() };
        Create { call, path: self.path().into(), data: self.data(), acl, mode }
    }

    fn create_call(&mut self) -> CreateCall {
        if self.random.chance(50) { CreateCall::Create } else { CreateCall::Create2 }
    }

    fn multi(&mut self) -> Vec<MultiOp<'static>> {
        let count = self.random.below(MULTI_MAX + 1);
        // A check that holds is rare by chance; most multis go without one.
        let weights = if self.random.chance(70) { [40, 15, 45, 0] } else { [30, 20, 30, 20] };
        (0..count)
            .map(|_| match self.random.weighted(&weights) {
                0 => MultiOp::Create(self.create()),
                1 => MultiOp::Delete { path: self.path().into(), version: self.version() },
                2 => MultiOp::SetData {
                    path: self.path().into(),
                    data: self.data(),
                    version: self.version(),
                },
                _ => MultiOp::Check { path: self.path().into(), version: self.version() },
            })
            .collect()
    }

    /// Makes, changes or removes the znodes by which a quota is set and accounted.
    fn quota(&mut self) -> Write<'static> {
        let path = odd::quota_path(&mut self.random, &self.base);
        // As clients write them: usage without limits. Java servers keep what else they find there.
        let limits: &[u8] = b"count=9,bytes=99=;byteHardLimit=100;countHardLimit=-1";
        let text = if path.ends_with("limits") { limits } else { b"count=3,bytes=-1" };
        let data = Some(Cow::Borrowed(text));
        match self.random.below(4) {
            0 => Write::Delete { path: path.into(), version: None },
            1 => Write::SetData { path: path.into(), data, version: None },
            _ => Write::Create(Create {
                call: CreateCall::Create,
                path: path.into(),
                data,
                acl: AclList::open(),
                mode: CreateMode::Persistent,
            }),
        }
    }

    // ---- reads --------------------------------------------------------------------------------

    fn read(&mut self) -> Read<'static> {
        let watch = self.random.chance(30);
        let path = if self.random.chance(2) {
            Cow::Owned(odd::quota_path(&mut self.random, &self.base))
        } else {
            Cow::Owned(self.path())
        };
        match self.random.weighted(&[80, 80, 30, 40, 40, 10, 12, 8, 25, 30, 25, 25]) {
            0 => Read::Exists { path, watch },
            1 => Read::GetData { path, watch },
            2 => Read::GetAcl { path },
            3 => Read::GetChildren { path, watch },
            4 => Read::GetChildren2 { path, watch },
            // Java counts the root twice below its second name, the empty path.
            5 if path.is_empty() => Read::GetAllChildrenNumber { path: "/".into() },
            5 => Read::GetAllChildrenNumber { path },
            6 => Read::GetEphemerals { prefix: self.prefix() },
            7 => Read::WhoAmI,
            8 => Read::MultiRead(self.multi_read()),
            9 => Read::AddWatch { path, mode: self.watch_mode() },
            10 => Read::CheckWatches { path, kind: self.watcher_kind() },
            _ => Read::RemoveWatches { path, kind: self.watcher_kind() },
        }
    }

    fn prefix(&mut self) -> Option<Cow<'static, str>> {
        match self.random.below(5) {
            0 => None,
            1 => Some("/".into()),
            2 => Some(" ".into()),
            _ => Some(self.path().into()),
        }
    }

    fn multi_read(&mut self) -> Vec<MultiReadOp<'static>> {
        let count = self.random.below(MULTI_MAX);
        (0..count)
            .map(|_| {
                let path = Cow::Owned(self.path());
                if self.random.chance(50) {
                    MultiReadOp::GetData { path }
                } else {
                    MultiReadOp::GetChildren { path }
                }
            })
            .collect()
    }

    fn watch_mode(&mut self) -> WatchMode {
        self.random.pick(&[WatchMode::Persistent, WatchMode::PersistentRecursive])
    }

    fn watcher_kind(&mut self) -> WatcherKind {
        self.random.pick(&[
            WatcherKind::Children,
            WatcherKind::Data,
            WatcherKind::Any,
            WatcherKind::Persistent,
            WatcherKind::PersistentRecursive,
        ])
    }

    fn watches_again(&mut self) -> Ask {
        let mut some = |percent| -> Vec<Cow<'static, str>> {
            let count = if self.random.chance(percent) { self.random.below(4) } else { 0 };
            (0..count).map(|_| Cow::Owned(self.path())).collect()
        };
        let watches = SetWatches {
            relative_zxid: Zxid::ZERO,
            data: some(80),
            exist: some(80),
            child: some(80),
            persistent: some(30),
            persistent_recursive: some(30),
        };
        let behind = self.random.pick(&[0, 0, 1, 10, 100]);
        Ask::SetWatches { behind, watches }
    }

    // ---- arguments ----------------------------------------------------------------------------

    /// A path; now and then one outside of the base, or one that is invalid.
    fn path(&mut self) -> String {
        match self.random.weighted(&[940, 15, 25, 20]) {
            0 => self.inner_path(),
            1 => self.base.clone(),
            2 => odd::invalid_path(&mut self.random, &self.base),
            _ => odd::outer_path(&mut self.random),
        }
    }

    /// A path below the base.
    fn inner_path(&mut self) -> String {
        let mut path = self.base.clone();
        for _ in 0..1 + self.random.weighted(&[30, 40, 30]) {
            path.push('/');
            path.push_str(self.random.pick(&NAMES));
        }
        if self.random.chance(5) {
            // What a sequential create may have appended.
            path.push_str(&format!("{:010}", self.random.below(40)));
        }
        path
    }

    fn version(&mut self) -> Option<i32> {
        match self.random.below(10) {
            0..=5 => None,
            6 => Some(self.random.pick(&[-2, i32::MIN, i32::MAX, 1000])),
            _ => i32::try_from(self.random.below(4)).ok(),
        }
    }

    fn data(&mut self) -> Option<Cow<'static, [u8]>> {
        let bytes = match self.random.weighted(&[10, 10, 70, 9, 1]) {
            0 => return None,
            1 => 0,
            2 => 1 + self.random.below(20),
            3 => self.random.below(2000),
            _ => LARGE_BYTES,
        };
        let byte = b'a' + u8::try_from(self.random.below(26)).expect("below 26");
        Some(Cow::Owned(vec![byte; bytes]))
    }

    fn acl(&mut self) -> AclList {
        let count = self.random.weighted(&[5, 70, 20, 5]);
        let mut entries: Vec<Acl> = (0..count).map(|_| self.acl_entry()).collect();
        if self.random.chance(10)
            && let Some(first) = entries.first().cloned()
        {
            entries.push(first);
        }
        AclList::from(entries)
    }

    fn acl_entry(&mut self) -> Acl {
        let perms = self.random.pick(&[31, 31, 31, 31, 31, 1, 3, 23, 15, 0, 64]);
        let id = match self.random.weighted(&[50, 15, 15, 10, 10]) {
            0 => Id::new("world", "anyone"),
            1 => Id::new("auth", ""),
            2 => Id::new("digest", self.random.pick(&DIGESTS)),
            3 => Id::new("ip", self.random.pick(&["127.0.0.1", "127.0.0.0/8", "10.0.0.0/24"])),
            _ => odd::id(&mut self.random),
        };
        Acl { perms: Perms(perms), id }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn steps(seed: u64, count: usize) -> Vec<Step> {
        let mut plan = Plan::new(seed);
        (0..count).map(|_| plan.next_step()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        assert_eq!(format!("{:?}", steps(9, 200)), format!("{:?}", steps(9, 200)));
        assert_ne!(format!("{:?}", steps(9, 200)), format!("{:?}", steps(10, 200)));
    }

    #[test]
    fn a_plan_asks_for_every_operation_of_ordinary_clients() {
        use wire::opcode::OpCode;
        let requests = steps(3, 2000).into_iter().flat_map(|step| match step {
            Step::Burst { requests, .. } => requests,
            Step::Aside { request, .. } | Step::CatchUp { request, .. } => vec![request],
            _ => Vec::new(),
        });
        let asked: BTreeSet<OpCode> = requests.filter_map(|request| request.ask.opcode()).collect();
        // Closing is a step of its own; the other two need what these servers have not.
        let aside = [OpCode::CloseSession, OpCode::CreateSession, OpCode::Sasl];
        let missing: Vec<_> = OpCode::ALL
            .iter()
            .filter(|code| !asked.contains(code) && !aside.contains(code))
            .collect();
        assert!(missing.is_empty(), "never asked for: {missing:?}");
    }
}
