//! The tree as one would describe it to a colleague: a sorted map from paths to znodes.
//!
//! Written from the description of formats and protocol, slow on purpose, sharing no code with what
//! it checks beyond the vocabulary of `types`.

use std::collections::{BTreeMap, BTreeSet};

use types::{
    AclList, CreateCall, CreateTxn, Owner, SessionId, Stat, StoredStat, Txn, TxnHeader, Zxid,
};

pub(crate) const NO_NODE: i32 = -101;

/// One znode.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Znode {
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) acl: AclList,
    pub(crate) stored: StoredStat,
}

/// The state.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Model {
    /// By path; the root's is "".
    pub(crate) znodes: BTreeMap<String, Znode>,
    pub(crate) sessions: BTreeMap<SessionId, i32>,
    /// Tops of subtrees with limits.
    pub(crate) quotas: BTreeSet<String>,
}

/// What watchers see.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Event {
    Created { path: String, acl: AclList, parent_acl: AclList },
    Deleted { path: String, acl: AclList, parent_acl: AclList },
    DataChanged { path: String, acl: AclList },
}

/// What clients see.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outcome {
    Done,
    Stat(Stat),
    Error(i32),
    Multi(Vec<Self>),
}

impl Model {
    pub(crate) fn fresh() -> Self {
        let znode = |acl: &str, aversion| Znode {
            data: Some(Vec::new()),
            acl: acl_of(acl),
            stored: StoredStat { aversion, ..StoredStat::default() },
        };
        let znodes = [
            ("", znode("world:anyone:31", 0)),
            ("/zookeeper", znode("world:anyone:31", 0)),
            ("/zookeeper/quota", znode("world:anyone:31", 0)),
            ("/zookeeper/config", znode("world:anyone:1", -1)),
        ];
        Self {
            znodes: znodes.map(|(path, znode)| (path.to_owned(), znode)).into(),
            sessions: BTreeMap::new(),
            quotas: BTreeSet::new(),
        }
    }

    pub(crate) fn children(&self, path: &str) -> Vec<&str> {
        let below = format!("{path}/");
        let is_child = |other: &&str| {
            other.strip_prefix(&*below).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        };
        self.znodes.keys().map(|path| &**path).filter(is_child).collect()
    }

    pub(crate) fn stat(&self, path: &str) -> Stat {
        let Znode { data, stored, .. } = &self.znodes[path];
        let children = i32::try_from(self.children(path).len()).expect("few");
        let owner = stored.owner.raw();
        let is_session = owner != i64::MIN && owner.cast_unsigned() >> 56 != 0xFF;
        Stat {
            czxid: stored.czxid,
            mzxid: stored.mzxid,
            ctime_ms: stored.ctime_ms,
            mtime_ms: stored.mtime_ms,
            version: stored.version,
            cversion: stored.cversion.wrapping_add(stored.cversion).wrapping_sub(children),
            aversion: stored.aversion,
            ephemeral_owner: SessionId(if is_session { owner } else { 0 }),
            data_length: i32::try_from(data.as_ref().map_or(0, Vec::len)).expect("short"),
            num_children: children,
            pzxid: stored.pzxid,
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        let counted = self.znodes.iter().filter(|(path, _)| !path.starts_with("/zookeeper/"));
        counted.fold(0, |sum: u64, (path, znode)| {
            let mut bytes = path.clone().into_bytes();
            bytes.extend(znode.data.iter().flatten());
            let stored = &znode.stored;
            for long in [
                stored.czxid.raw(),
                stored.mzxid.raw(),
                stored.pzxid.raw(),
                stored.ctime_ms,
                stored.mtime_ms,
            ] {
                bytes.extend(long.to_be_bytes());
            }
            for int in [stored.version, stored.cversion, stored.aversion] {
                bytes.extend(int.to_be_bytes());
            }
            bytes.extend(stored.owner.raw().to_be_bytes());
            sum.wrapping_add(u64::from(crc32(&bytes)))
        })
    }

    pub(crate) fn data_size(&self) -> usize {
        let sizes = self
            .znodes
            .iter()
            .map(|(path, znode)| path.len() + znode.data.as_ref().map_or(0, Vec::len));
        sizes.sum()
    }

    pub(crate) fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let owned = self.znodes.iter().filter(|(_, znode)| znode.stored.owner.raw() == session.0);
        owned.map(|(path, _)| path.clone()).collect()
    }

    /// Lists that a snapshot would have to carry.
    pub(crate) fn closed_acls(&self) -> BTreeSet<String> {
        let acls = self.znodes.values().map(|znode| &znode.acl);
        acls.filter(|acl| **acl != AclList::open()).map(|acl| format!("{acl:?}")).collect()
    }

    /// Applies a transaction to a state that precedes it: nothing is applied twice here.
    pub(crate) fn apply(
        &mut self,
        header: &TxnHeader,
        txn: &Txn,
        events: &mut Vec<Event>,
    ) -> Outcome {
        match txn {
            Txn::CreateSession { timeout_ms } => {
                self.sessions.insert(header.session, *timeout_ms);
                Outcome::Done
            }
            Txn::CloseSession { paths } => {
                for path in paths.iter().flatten() {
                    self.delete(path, header.zxid, events);
                }
                for path in self.ephemerals(header.session) {
                    self.delete(&path, header.zxid, events);
                }
                self.sessions.remove(&header.session);
                Outcome::Done
            }
            Txn::Create(txn) => self.create(header, txn, events),
            Txn::Delete { path } | Txn::DeleteContainer { path } => {
                self.delete(path, header.zxid, events)
            }
            Txn::SetData { path, data, version } | Txn::Reconfig { path, data, version } => {
                let Some(znode) = self.znodes.get_mut(path.trim_end_matches('/')) else {
                    return Outcome::Error(NO_NODE);
                };
                let length = |data: Option<&[u8]>| data.map_or(0, <[u8]>::len) as i64;
                let growth = length(data.as_deref()) - length(znode.data.as_deref());
                znode.data = data.as_deref().map(<[u8]>::to_vec);
                znode.stored.version = *version;
                znode.stored.mzxid = header.zxid;
                znode.stored.mtime_ms = header.time_ms;
                let acl = znode.acl.clone();
                let stat = self.stat(path.trim_end_matches('/'));
                self.count(path, 0, growth);
                events.push(Event::DataChanged { path: path.to_string(), acl });
                Outcome::Stat(stat)
            }
            Txn::SetAcl { path, acl, version } => {
                let Some(znode) = self.znodes.get_mut(path.trim_end_matches('/')) else {
                    return Outcome::Error(NO_NODE);
                };
                znode.acl = acl.clone();
                znode.stored.aversion = *version;
                Outcome::Stat(self.stat(path.trim_end_matches('/')))
            }
            Txn::Error { code } => Outcome::Error(*code),
            Txn::Check { .. } => Outcome::Done,
            Txn::Multi(txns) => {
                let fails = |txn: &Txn| matches!(txn, Txn::Error { .. });
                let Some(first) = txns.iter().position(fails) else {
                    let outcomes = txns.iter().map(|txn| self.apply(header, txn, events));
                    return Outcome::Multi(outcomes.collect());
                };
                let outcomes = txns.iter().enumerate().map(|(at, txn)| match txn {
                    Txn::Error { code } => Outcome::Error(*code),
                    _ => Outcome::Error(if at < first { 0 } else { -2 }),
                });
                Outcome::Multi(outcomes.collect())
            }
        }
    }

    fn create(&mut self, header: &TxnHeader, txn: &CreateTxn, events: &mut Vec<Event>) -> Outcome {
        let (parent_path, name) = txn.path.rsplit_once('/').expect("a path");
        let Some(parent) = self.znodes.get_mut(parent_path) else {
            return Outcome::Error(NO_NODE);
        };
        parent.stored.cversion =
            txn.parent_cversion.unwrap_or_else(|| parent.stored.cversion.wrapping_add(1));
        parent.stored.pzxid = header.zxid;
        let parent_acl = parent.acl.clone();
        let owner = match txn.call {
            CreateCall::Container => i64::MIN,
            CreateCall::Ttl => (0xFF << 56) | txn.ttl_ms.expect("has one"),
            CreateCall::Create | CreateCall::Create2 if txn.ephemeral => header.session.0,
            CreateCall::Create | CreateCall::Create2 => 0,
        };
        let stored = StoredStat {
            czxid: header.zxid,
            mzxid: header.zxid,
            pzxid: header.zxid,
            ctime_ms: header.time_ms,
            mtime_ms: header.time_ms,
            owner: Owner::from_raw(owner),
            ..StoredStat::default()
        };
        let data = txn.data.as_deref().map(<[u8]>::to_vec);
        let bytes = data.as_ref().map_or(0, Vec::len) as i64;
        let znode = Znode { data, acl: txn.acl.clone(), stored };
        assert_eq!(self.znodes.insert(txn.path.to_string(), znode), None);
        if let Some(quota) = parent_path.strip_prefix("/zookeeper/quota/") {
            let quota = format!("/{quota}");
            match name {
                "zookeeper_limits" => {
                    self.quotas.insert(quota);
                }
                "zookeeper_stats" => {
                    let usage = self.usage(&quota);
                    self.write_usage(&quota, usage);
                }
                _ => {}
            }
        }
        self.count(&txn.path, 1, bytes);
        let (path, acl) = (txn.path.to_string(), txn.acl.clone());
        let stat = self.stat(&path);
        events.push(Event::Created { path, acl, parent_acl });
        Outcome::Stat(stat)
    }

    fn delete(&mut self, path: &str, zxid: Zxid, events: &mut Vec<Event>) -> Outcome {
        let (parent, _) = path.rsplit_once('/').expect("a path");
        let Some(parent) = self.znodes.get_mut(parent) else {
            return Outcome::Error(NO_NODE);
        };
        parent.stored.pzxid = zxid;
        let parent_acl = parent.acl.clone();
        let Some(Znode { data, acl, .. }) = self.znodes.remove(path) else {
            return Outcome::Error(NO_NODE);
        };
        if let Some(quota) = path.strip_prefix("/zookeeper/quota")
            && let Some(quota) = quota.strip_suffix("/zookeeper_limits")
        {
            self.quotas.remove(quota);
        }
        self.count(path, -1, -(data.map_or(0, |data| data.len()) as i64));
        events.push(Event::Deleted { path: path.to_owned(), acl, parent_acl });
        Outcome::Done
    }

    /// Count and bytes of a subtree, counted now.
    pub(crate) fn usage(&self, top: &str) -> (i64, i64) {
        let below = format!("{top}/");
        let inside =
            self.znodes.iter().filter(|(path, _)| *path == top || path.starts_with(&below));
        inside.fold((0, 0), |(count, bytes), (_, znode)| {
            (count + 1, bytes + znode.data.as_ref().map_or(0, Vec::len) as i64)
        })
    }

    /// Adds to the usage kept with the deepest quota above a path.
    fn count(&mut self, path: &str, count: i64, bytes: i64) {
        let governs =
            |quota: &&String| path == quota.as_str() || path.starts_with(&format!("{quota}/"));
        let Some(quota) = self.quotas.iter().filter(governs).max_by_key(|quota| quota.len()) else {
            return;
        };
        let quota = quota.clone();
        let Some(stats) = self.znodes.get(&format!("/zookeeper/quota{quota}/zookeeper_stats"))
        else {
            return;
        };
        let text = String::from_utf8(stats.data.clone().expect("has data")).expect("text");
        let (old_count, old_bytes) = text.split_once(',').expect("two numbers");
        let number = |text: &str, key| -> i64 {
            text.strip_prefix(key).expect("this key").parse().expect("a number")
        };
        let usage = (number(old_count, "count=") + count, number(old_bytes, "bytes=") + bytes);
        self.write_usage(&quota, usage);
    }

    fn write_usage(&mut self, quota: &str, (count, bytes): (i64, i64)) {
        if let Some(stats) =
            self.znodes.get_mut(&format!("/zookeeper/quota{quota}/zookeeper_stats"))
        {
            stats.data = Some(format!("count={count},bytes={bytes}").into_bytes());
        }
    }
}

/// A list of one entry, from `scheme:id:permissions`.
pub(crate) fn acl_of(text: &str) -> AclList {
    let mut parts = text.split(':');
    let mut next = || parts.next().expect("three parts");
    let id = types::Id::new(next(), next());
    let perms = types::Perms(next().parse().expect("a number"));
    AclList::from(vec![types::Acl { perms, id }])
}

/// CRC-32 bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    });
    !crc
}
