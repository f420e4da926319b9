//! What clients ask.
//!
//! Few names, so that requests get into each other's way; data that nobody else writes, so that
//! every read tells where it comes from.

use std::borrow::Cow;

use types::{
    Acl, AclList, AuthPacket, Create, CreateCall, CreateMode, ErrorCode, Id, MultiOp, MultiReadOp,
    Op, Perms, Read, ReconfigRequest, TTL_MS_MAX, WatchMode, WatcherKind, Write,
};

use super::plan::Plan;
use crate::model::Credentials;
use crate::tape::Tape;

/// Who clients can say they are, with the identities that the server must give them for it.
pub fn credentials() -> Vec<Credentials> {
    [
        ("alice:secret", "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E="),
        ("bob:secret", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="),
    ]
    .into_iter()
    .map(|(auth, id)| Credentials {
        scheme: "digest".to_owned(),
        auth: auth.as_bytes().to_vec(),
        ids: vec![Id::new("digest", id)],
    })
    .collect()
}

/// What the operator presents, who may do everything.
pub(super) const OPERATOR: &[u8] = b"super:secret";

/// Who the operator is then.
pub(super) fn superuser() -> Credentials {
    Credentials {
        scheme: "digest".to_owned(),
        auth: OPERATOR.to_vec(),
        ids: vec![Id::new("super", ""), Id::new("digest", "super:lK75jTNcA+U9vtVEw5vB51mj/w4=")],
    }
}

/// Draws requests for one client.
pub struct Author<'a> {
    /// Decides.
    pub tape: &'a mut Tape,
    /// Which kinds of requests there are, and how often.
    pub plan: &'a Plan,
    /// Which client.
    pub client: u32,
    /// How many requests it has made, for unique data.
    pub made: u64,
    /// A version that it saw, for conditions that may hold.
    pub version: i32,
    /// A name with a counter that it saw.
    pub numbered: Option<&'a str>,
}

impl Author<'_> {
    /// The next request.
    pub fn draw(&mut self) -> Op<'static> {
        match self.tape.weighted(&self.plan.workload.weights()) {
            0 => self.register(),
            1 => self.sequence(),
            2 => self.ephemeral(),
            3 => self.multi(),
            4 => self.watch(),
            5 => self.access(),
            6 => self.reaped(),
            7 => self.tree(),
            8 => self.mistake(),
            _ => Op::CloseSession,
        }
    }

    /// A request that every server must answer well.
    pub fn plain_create(&mut self, path: String) -> Op<'static> {
        let create = self.creation(path, CreateMode::Persistent);
        Op::Write(Write::Create(create))
    }

    fn register(&mut self) -> Op<'static> {
        let path = self.name("/r");
        match self.tape.weighted(&[4, 4, 1, 1, 4, 2, self.plan.workload.syncs]) {
            0 => self.plain_create(path),
            1 => self.set(path, None),
            2 => self.conditional_set(path),
            3 => self.delete(path),
            4 => read(Read::GetData { path: path.into(), watch: false }),
            5 => read(Read::Exists { path: path.into(), watch: false }),
            _ => Op::Sync { path: path.into() },
        }
    }

    fn sequence(&mut self) -> Op<'static> {
        match self.tape.weighted(&[2, 6, 3, 3, 1]) {
            0 => self.plain_create("/q".to_owned()),
            1 => {
                let mode = *self
                    .tape
                    .pick(&[CreateMode::PersistentSequential, CreateMode::EphemeralSequential]);
                let create = self.creation("/q/n-".to_owned(), mode);
                Op::Write(Write::Create(create))
            }
            2 => match self.numbered {
                Some(path) => self.delete(path.to_owned()),
                None => self.delete("/q/n-0000000000".to_owned()),
            },
            3 => read(Read::GetChildren2 { path: "/q".into(), watch: false }),
            _ => {
                let path = self.name("/q/x");
                self.plain_create(path)
            }
        }
    }

    fn ephemeral(&mut self) -> Op<'static> {
        let path = self.name("/e");
        match self.tape.weighted(&[8, 2, 2, 2, 1, 1]) {
            0 => {
                let create = self.creation(path, CreateMode::Ephemeral);
                Op::Write(Write::Create(create))
            }
            1 => self.delete(path),
            2 => read(Read::GetEphemerals { prefix: None }),
            3 => read(Read::Exists { path: path.into(), watch: false }),
            4 => self.plain_create(format!("{path}/child")),
            _ => {
                let prefix = Some(Cow::Borrowed(*self.tape.pick(&["/e", "/", "/q"])));
                read(Read::GetEphemerals { prefix })
            }
        }
    }

    fn multi(&mut self) -> Op<'static> {
        if self.tape.chance(150) {
            let parts = (0..self.tape.range(0, 4)).map(|_| {
                let path = self.any_path().into();
                if self.tape.chance(500) {
                    MultiReadOp::GetChildren { path }
                } else {
                    MultiReadOp::GetData { path }
                }
            });
            return read(Read::MultiRead(parts.collect()));
        }
        let parts = (0..self.tape.range(0, 5)).map(|_| self.part()).collect();
        Op::Write(Write::Multi(parts))
    }

    fn part(&mut self) -> MultiOp<'static> {
        let path = match self.tape.weighted(&[4, 2, 1]) {
            0 => self.name("/m"),
            1 => self.name("/r"),
            _ => "/q/n-".to_owned(),
        };
        let version = self.tape.chance(300).then_some(self.version);
        match self.tape.weighted(&[5, 3, 3, 1]) {
            0 => {
                let mode = match path.ends_with('-') {
                    true => CreateMode::PersistentSequential,
                    false if self.tape.chance(200) && path.starts_with("/m") => {
                        CreateMode::Ephemeral
                    }
                    false => CreateMode::Persistent,
                };
                MultiOp::Create(self.creation(path, mode))
            }
            1 => MultiOp::SetData { path: path.into(), data: self.data(), version },
            2 => MultiOp::Delete { path: path.into(), version },
            _ => MultiOp::Check { path: path.into(), version },
        }
    }

    fn watch(&mut self) -> Op<'static> {
        let path = Cow::Owned(self.any_path());
        let kinds = [
            WatcherKind::Any,
            WatcherKind::Data,
            WatcherKind::Children,
            WatcherKind::Persistent,
            WatcherKind::PersistentRecursive,
        ];
        read(match self.tape.weighted(&[4, 4, 3, 2, 2, 2, 1, 1]) {
            0 => Read::Exists { path, watch: true },
            1 => Read::GetData { path, watch: true },
            2 => Read::GetChildren { path, watch: true },
            3 => Read::GetChildren2 { path, watch: true },
            4 => Read::AddWatch { path, mode: WatchMode::Persistent },
            5 => Read::AddWatch { path, mode: WatchMode::PersistentRecursive },
            6 => Read::RemoveWatches { path, kind: *self.tape.pick(&kinds) },
            _ => Read::CheckWatches { path, kind: *self.tape.pick(&kinds) },
        })
    }

    fn access(&mut self) -> Op<'static> {
        let path = self.name("/a");
        match self.tape.weighted(&[3, 4, 3, 2, 2, 2, 1]) {
            0 => {
                let known = credentials();
                let Credentials { scheme, auth, .. } = self.tape.pick(&known).clone();
                Op::Auth(AuthPacket { scheme: scheme.into(), auth: Some(auth.into()) })
            }
            1 => {
                let mut create = self.creation(path, CreateMode::Persistent);
                create.acl = self.list();
                Op::Write(Write::Create(create))
            }
            2 => Op::Write(Write::SetAcl {
                path: path.into(),
                acl: self.list(),
                version: self.tape.chance(300).then_some(self.version),
            }),
            3 => read(Read::GetAcl { path: path.into() }),
            4 => self.set(path, None),
            5 => read(Read::GetData { path: path.into(), watch: true }),
            _ => read(Read::WhoAmI),
        }
    }

    fn list(&mut self) -> AclList {
        let entries = (0..self.tape.range(1, 2)).map(|_| {
            let perms =
                *self.tape.pick(&[Perms::ALL, Perms::READ, Perms(1 | 16), Perms(2 | 4 | 8)]);
            let id = match self.tape.weighted(&[4, 4, 2, 2, 1]) {
                0 => Id::new("world", "anyone"),
                1 => Id::new("auth", ""),
                2 => Id::new("digest", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="),
                3 => Id::new("ip", *self.tape.pick(&["10.0.0.1", "10.0.0.0/8", "11.0.0.0/16"])),
                _ => Id::new("digest", "nobody"),
            };
            Acl { perms, id }
        });
        AclList::from(entries.collect::<Vec<_>>())
    }

    fn reaped(&mut self) -> Op<'static> {
        let path = self.name("/c");
        match self.tape.weighted(&[4, 4, 3, 3, 1, 1, 1, 1]) {
            0 => {
                let mut create = self.creation(path, CreateMode::Container);
                create.call = CreateCall::Container;
                Op::Write(Write::Create(create))
            }
            1 => {
                let path = format!("{path}/x");
                self.plain_create(path)
            }
            2 => self.delete(format!("{path}/x")),
            3 => {
                let ttl_ms = i64::try_from(self.tape.magnitude(1, 5000)).unwrap_or(1);
                let mode = if self.tape.chance(300) {
                    CreateMode::PersistentSequentialWithTtl(ttl_ms)
                } else {
                    CreateMode::PersistentWithTtl(ttl_ms)
                };
                let mut create = self.creation(self.plan_name("/t"), mode);
                create.call = CreateCall::Ttl;
                Op::Write(Write::Create(create))
            }
            4 => Op::Write(Write::DeleteContainer { path: path.into() }),
            // What takes the place of a container, or is written in time, is to stay.
            5 => self.plain_create(path),
            6 => {
                let path = self.name("/t");
                self.set(path, None)
            }
            _ => read(Read::GetChildren { path: "/".into(), watch: false }),
        }
    }

    fn tree(&mut self) -> Op<'static> {
        let path = ["/d", "/d/a", "/d/a/b", "/d/c"][self.tape.index(4)].to_owned();
        match self.tape.weighted(&[5, 4, 2, 1, 1]) {
            0 => self.plain_create(path),
            1 => self.delete(path),
            2 => read(Read::GetAllChildrenNumber { path: path.into() }),
            3 => read(Read::GetAllChildrenNumber { path: "/".into() }),
            _ => self.set(path, None),
        }
    }

    fn mistake(&mut self) -> Op<'static> {
        let path = *self.tape.pick(&[
            "",
            "x",
            "/",
            "/r0/",
            "//r0",
            "/r0/../x",
            "/\0",
            "/zookeeper",
            "/zookeeper/config",
            "/zookeeper/quota",
            "/zookeeper/config/x",
            "/missing/x",
            "/\u{1f600}",
        ]);
        // What is there depends on the member that is asked.
        let path = match path {
            "/zookeeper/config" if self.plan.servers.are_ensemble() => "/zookeeper",
            path => path,
        };
        match self.tape.weighted(&[4, 3, 3, 2, 2, 1, 1, 2]) {
            0 => self.plain_create(path.to_owned()),
            1 => self.delete(path.to_owned()),
            2 => self.set(path.to_owned(), None),
            3 => read(Read::Exists { path: path.into(), watch: false }),
            4 => Op::Write(Write::Rejected(
                *self.tape.pick(&[ErrorCode::MarshallingError, ErrorCode::BadArguments]),
            )),
            5 => read(Read::Rejected(ErrorCode::MarshallingError)),
            6 => Op::Write(Write::Reconfig(Box::new(ReconfigRequest {
                joining: None,
                leaving: Some("2".into()),
                new_members: None,
                based_on: None,
            }))),
            _ => {
                let ttl_ms = *self.tape.pick(&[0, -1, TTL_MS_MAX + 1]);
                let mut create =
                    self.creation("/t".to_owned(), CreateMode::PersistentWithTtl(ttl_ms));
                create.call = CreateCall::Ttl;
                Op::Write(Write::Create(create))
            }
        }
    }

    fn creation(&mut self, path: String, mode: CreateMode) -> Create<'static> {
        let call = *self.tape.pick(&[CreateCall::Create, CreateCall::Create2]);
        Create { call, path: path.into(), data: self.data(), acl: AclList::open(), mode }
    }

    fn set(&mut self, path: String, version: Option<i32>) -> Op<'static> {
        Op::Write(Write::SetData { path: path.into(), data: self.data(), version })
    }

    fn conditional_set(&mut self, path: String) -> Op<'static> {
        let version = if self.tape.chance(700) { self.version } else { self.version + 1 };
        self.set(path, Some(version))
    }

    fn delete(&mut self, path: String) -> Op<'static> {
        let version = self.tape.chance(200).then_some(self.version);
        Op::Write(Write::Delete { path: path.into(), version })
    }

    /// Data that no other request writes; sometimes null or empty.
    fn data(&mut self) -> Option<Cow<'static, [u8]>> {
        match self.tape.weighted(&[20, 1, 1]) {
            0 => {}
            1 => return None,
            _ => return Some(Vec::new().into()),
        }
        let mut data = format!("{}.{}", self.client, self.made).into_bytes();
        let length = self.tape.range(0, self.plan.workload.data_bytes_max);
        data.resize(data.len().max(usize::try_from(length).unwrap_or(0)), b'.');
        Some(data.into())
    }

    fn name(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.tape.range(0, self.plan.workload.names - 1))
    }

    fn plan_name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.made % self.plan.workload.names)
    }

    fn any_path(&mut self) -> String {
        match self.tape.weighted(&[6, 2, 2, 2, 1, 1, 1, 1]) {
            0 => self.name("/r"),
            1 => "/q".to_owned(),
            2 => self.name("/e"),
            3 => self.name("/m"),
            4 => "/".to_owned(),
            5 => ["/d", "/d/a", "/d/a/b"][self.tape.index(3)].to_owned(),
            6 => self.name("/a"),
            _ => self.name("/c"),
        }
    }
}

fn read(read: Read<'static>) -> Op<'static> {
    Op::Read(read)
}
