//! What a request for another membership becomes.
//!
//! Not all of it can be told from the state: whether a quorum of the new voters follows, and whether an
//! earlier change is under way, only the leader knows. So two refusals are possible at any time.

use std::rc::Rc;

use types::membership::{ConfigVersion, Member, Membership};
use types::{ErrorCode, Perms, ReconfigRequest, Sid, Txn, TxnHeader, path};

use super::access::allows;
use super::{Asker, Model};

/// Fewer voters are not accepted.
const VOTERS_MIN: usize = 2;

impl Model {
    /// A membership comes in force without a transaction.
    pub fn put_in_force(&mut self, membership: &Membership) {
        self.membership = Some(Rc::new(membership.clone()));
    }

    /// Whether a leader may refuse a change with this for what the state does not show.
    pub fn may_refuse_change(&self, code: ErrorCode) -> bool {
        let is_of_leader =
            matches!(code, ErrorCode::ReconfigInProgress | ErrorCode::NewConfigNoQuorum);
        is_of_leader && self.membership.is_some()
    }

    /// The change, if nothing but the state speaks against it.
    pub(super) fn decide_reconfig(
        &self,
        header: &TxnHeader,
        asker: Asker<'_>,
        request: &ReconfigRequest<'_>,
    ) -> Result<Txn, ErrorCode> {
        let present = self.membership.as_ref().ok_or(ErrorCode::ReconfigDisabled)?;
        if request.based_on.is_some_and(|it| ConfigVersion(it) != present.version()) {
            return Err(ErrorCode::BadVersion);
        }
        let new = changed(present, request).ok_or(ErrorCode::BadArguments)?;
        if new.voters().count() < VOTERS_MIN {
            return Err(ErrorCode::BadArguments);
        }
        let node = self.node(path::CONFIG).ok_or(ErrorCode::NoNode)?;
        if !allows(&node.acl, Perms::WRITE, asker.ids) {
            return Err(ErrorCode::NoAuth);
        }
        let text = new.with_version(ConfigVersion(header.zxid.raw())).to_string();
        let data = Some(text.into_bytes().into_boxed_slice());
        Ok(Txn::Reconfig { path: path::CONFIG.into(), data, version: -1 })
    }
}

/// The membership that a transaction has written; `None` if it can not be read.
pub(super) fn parse(data: &[u8]) -> Option<Rc<Membership>> {
    Membership::parse(std::str::from_utf8(data).ok()?).ok().map(Rc::new)
}

fn changed(present: &Membership, request: &ReconfigRequest<'_>) -> Option<Membership> {
    if let Some(members) = &request.new_members {
        return Membership::parse(&members.replace(',', "\n")).ok();
    }
    let leaving = request.leaving.as_deref().map(|sid| sid.parse().map(Sid)).transpose().ok()?;
    let joining = request.joining.as_deref().map(|line| {
        let (server, rest) = line.strip_prefix("server.")?.split_once('=')?;
        Member::parse(Sid(server.parse().ok()?), rest).ok()
    });
    let joining = joining.map_or(Some(None), |member| member.map(Some))?;
    present.changed(leaving.as_slice(), joining).ok()
}
