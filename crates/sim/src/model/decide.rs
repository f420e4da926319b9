//! What a write becomes: the order in which conditions are looked at is part of the protocol.

use types::{
    AclList, Create, CreateCall, CreateMode, CreateTxn, ErrorCode, ExtendedTypes, Id, MultiOp,
    NodeKind, Perms, SessionId, Stat, TTL_MS_MAX, Txn, TxnHeader, Write, path,
};

use super::access::{allows, fix};
use super::{Model, ModelNode, parent_of};
use crate::history::{Answer, PartAnswer};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The session.
    pub session: SessionId,
    /// The identities of its connection when it asked.
    pub ids: &'a [Id],
}

impl Model {
    /// The transaction that a write must become in this state. A refusal takes a place in the
    /// order as well: [`Txn::Error`] at the top, or a multi that holds one.
    pub fn decide(&self, header: &TxnHeader, asker: Asker<'_>, write: &Write<'_>) -> Txn {
        let decided = match write {
            Write::Create(create) => self.decide_create(asker, create),
            Write::Delete { path, version } => self.decide_delete(asker, path, *version),
            Write::DeleteContainer { path } => self.decide_delete_container(path),
            Write::SetData { path, data, version } => {
                self.decide_set_data(asker, path, data.as_deref(), *version)
            }
            Write::SetAcl { path, acl, version } => self.decide_set_acl(asker, path, acl, *version),
            Write::Multi(parts) => Ok(self.decide_multi(header, asker, parts)),
            Write::Reconfig(_) if self.rules.membership.is_none() => {
                Err(ErrorCode::ReconfigDisabled)
            }
            Write::Reconfig(request) => self.decide_reconfig(header, asker, request),
            // Sessions are opened by the handshake alone.
            Write::CreateSession { .. } => Err(ErrorCode::Unimplemented),
            Write::Rejected(code) => Err(*code),
        };
        decided.unwrap_or_else(|code| Txn::Error { code: code.raw() })
    }

    /// What the client hears of a transaction that its write became; `stats` are those that
    /// [`Model::apply`] returned.
    pub fn answer(write: &Write<'_>, txn: &Txn, stats: &[Option<Stat>]) -> Result<Answer, i32> {
        if let (Write::Multi(parts), Txn::Multi(txns)) = (write, txn) {
            return Ok(Answer::Multi(part_answers(parts, txns, stats)));
        }
        let stat = stats.first().copied().flatten().unwrap_or_default();
        match (write, txn) {
            (_, Txn::Error { code }) => Err(*code),
            (Write::Create(create), Txn::Create(created)) => {
                let path = created.path.to_string();
                Ok(match create.call {
                    CreateCall::Create => Answer::Path(path),
                    CreateCall::Create2 | CreateCall::Container | CreateCall::Ttl => {
                        Answer::Created(path, stat)
                    }
                })
            }
            (Write::SetData { .. } | Write::SetAcl { .. }, _) => Ok(Answer::Stat(stat)),
            _ => Ok(Answer::Done),
        }
    }

    fn decide_multi(&self, header: &TxnHeader, asker: Asker<'_>, parts: &[MultiOp<'_>]) -> Txn {
        // Parts see what the parts before them did, so they are decided on a state of their own.
        let mut trial = self.clone();
        let mut txns = Vec::new();
        let mut failed = false;
        for part in parts {
            let decided = if failed {
                Err(ErrorCode::RuntimeInconsistency)
            } else {
                trial.decide_part(asker, part)
            };
            txns.push(match decided {
                Ok(txn) => {
                    trial.apply_part(header, &txn, &mut Vec::new());
                    txn
                }
                Err(code) => {
                    failed = true;
                    Txn::Error { code: code.raw() }
                }
            });
        }
        Txn::Multi(txns)
    }

    fn decide_part(&self, asker: Asker<'_>, part: &MultiOp<'_>) -> Result<Txn, ErrorCode> {
        match part {
            MultiOp::Create(create) => self.decide_create(asker, create),
            MultiOp::Delete { path, version } => self.decide_delete(asker, path, *version),
            MultiOp::SetData { path, data, version } => {
                self.decide_set_data(asker, path, data.as_deref(), *version)
            }
            MultiOp::Check { path, version } => self.decide_check(asker, path, *version),
        }
    }

    fn decide_create(&self, asker: Asker<'_>, create: &Create<'_>) -> Result<Txn, ErrorCode> {
        self.check_mode(create.mode)?;
        self.check_session(asker.session)?;
        // Before it does that, it is made known to all.
        if create.mode.is_ephemeral() && !self.is_live(asker.session) {
            return Err(ErrorCode::SessionExpired);
        }
        if !create.path.contains('/') || create.path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let acl = fix(&create.acl, asker.ids)?;
        let parent = self.node(&parent_of(&create.path)).ok_or(ErrorCode::NoNode)?;
        permit(parent, Perms::CREATE, asker)?;
        let mut path = create.path.to_string();
        if create.mode.is_sequential() {
            path.push_str(&format!("{:010}", parent.stat.cversion));
        }
        path::validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        if self.node(&path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if matches!(self.kind(parent), NodeKind::Ephemeral(_)) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        Ok(Txn::Create(CreateTxn {
            call: match create.mode {
                CreateMode::Container => CreateCall::Container,
                CreateMode::PersistentWithTtl(_) | CreateMode::PersistentSequentialWithTtl(_) => {
                    CreateCall::Ttl
                }
                CreateMode::Persistent
                | CreateMode::Ephemeral
                | CreateMode::PersistentSequential
                | CreateMode::EphemeralSequential => create.call,
            },
            path: path.into(),
            data: create.data.as_deref().map(Box::from),
            acl,
            ephemeral: create.mode.is_ephemeral(),
            parent_cversion: Some(parent.stat.cversion.wrapping_add(1)),
            ttl_ms: create.mode.ttl_ms(),
        }))
    }

    fn decide_delete(
        &self,
        asker: Asker<'_>,
        path: &str,
        version: Option<i32>,
    ) -> Result<Txn, ErrorCode> {
        self.check_session(asker.session)?;
        check_deletable(path)?;
        let parent = self.node(&parent_of(path)).ok_or(ErrorCode::NoNode)?;
        permit(parent, Perms::DELETE, asker)?;
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        next_version(node.stat.version, version)?;
        if !node.children.is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        Ok(Txn::Delete { path: path.into() })
    }

    fn decide_delete_container(&self, path: &str) -> Result<Txn, ErrorCode> {
        check_deletable(path)?;
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        if !node.children.is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        if matches!(self.kind(node), NodeKind::Ephemeral(_)) {
            return Err(ErrorCode::BadVersion);
        }
        Ok(Txn::DeleteContainer { path: path.into() })
    }

    fn decide_set_data(
        &self,
        asker: Asker<'_>,
        path: &str,
        data: Option<&[u8]>,
        version: Option<i32>,
    ) -> Result<Txn, ErrorCode> {
        let node = self.target(asker, path)?;
        permit(node, Perms::WRITE, asker)?;
        let version = next_version(node.stat.version, version)?;
        Ok(Txn::SetData { path: path.into(), data: data.map(Box::from), version })
    }

    fn decide_set_acl(
        &self,
        asker: Asker<'_>,
        path: &str,
        acl: &AclList,
        version: Option<i32>,
    ) -> Result<Txn, ErrorCode> {
        self.check_session(asker.session)?;
        path::validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let acl = fix(acl, asker.ids)?;
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        permit(node, Perms::ADMIN, asker)?;
        let version = next_version(node.stat.aversion, version)?;
        Ok(Txn::SetAcl { path: path.into(), acl, version })
    }

    fn decide_check(
        &self,
        asker: Asker<'_>,
        path: &str,
        version: Option<i32>,
    ) -> Result<Txn, ErrorCode> {
        let node = self.target(asker, path)?;
        permit(node, Perms::READ, asker)?;
        let version = next_version(node.stat.version, version)?;
        Ok(Txn::Check { path: path.into(), version })
    }

    fn target(&self, asker: Asker<'_>, path: &str) -> Result<&ModelNode, ErrorCode> {
        self.check_session(asker.session)?;
        path::validate(path).map_err(|_| ErrorCode::BadArguments)?;
        self.node(path).ok_or(ErrorCode::NoNode)
    }

    fn check_session(&self, session: SessionId) -> Result<(), ErrorCode> {
        if self.may_write(session) { Ok(()) } else { Err(ErrorCode::SessionExpired) }
    }

    fn check_mode(&self, mode: CreateMode) -> Result<(), ErrorCode> {
        match (mode.ttl_ms(), self.rules.extended_types) {
            (None, _) => Ok(()),
            (Some(_), ExtendedTypes::Disabled) => Err(ErrorCode::Unimplemented),
            (Some(ttl_ms), ExtendedTypes::Enabled | ExtendedTypes::Emulate353) => {
                if (1..=TTL_MS_MAX).contains(&ttl_ms) {
                    Ok(())
                } else {
                    Err(ErrorCode::BadArguments)
                }
            }
        }
    }
}

fn check_deletable(path: &str) -> Result<(), ErrorCode> {
    let is_fixed = [path::ROOT, path::ZOOKEEPER, path::QUOTA, path::CONFIG].contains(&path);
    if path.contains('/') && !path.contains('\0') && !is_fixed {
        Ok(())
    } else {
        Err(ErrorCode::BadArguments)
    }
}

fn permit(node: &ModelNode, wanted: Perms, asker: Asker<'_>) -> Result<(), ErrorCode> {
    if allows(&node.acl, wanted, asker.ids) { Ok(()) } else { Err(ErrorCode::NoAuth) }
}

fn next_version(current: i32, expected: Option<i32>) -> Result<i32, ErrorCode> {
    match expected {
        Some(expected) if expected != current => Err(ErrorCode::BadVersion),
        // Clients could not tell version -1 from "any".
        _ if current == -2 => Ok(0),
        _ => Ok(current.wrapping_add(1)),
    }
}

fn part_answers(parts: &[MultiOp<'_>], txns: &[Txn], stats: &[Option<Stat>]) -> Vec<PartAnswer> {
    if txns.iter().any(|txn| matches!(txn, Txn::Error { .. })) {
        return txns
            .iter()
            .map(|txn| PartAnswer::Error(if let Txn::Error { code } = txn { *code } else { 0 }))
            .collect();
    }
    let answer = |((part, txn), stat): ((&MultiOp<'_>, &Txn), &Option<Stat>)| {
        let stat = stat.unwrap_or_default();
        match (part, txn) {
            (MultiOp::Create(create), Txn::Create(created)) => {
                let path = created.path.to_string();
                if create.call == CreateCall::Create && created.call == CreateCall::Create {
                    PartAnswer::Path(path)
                } else {
                    PartAnswer::Created(path, stat)
                }
            }
            (MultiOp::SetData { .. }, _) => PartAnswer::Stat(stat),
            (MultiOp::Check { .. }, _) => PartAnswer::Checked,
            (MultiOp::Delete { .. } | MultiOp::Create(_), _) => PartAnswer::Deleted,
        }
    };
    parts.iter().zip(txns).zip(stats).map(answer).collect()
}
