//! Decides over a new membership.

use types::membership::{ConfigVersion, Member, Membership};
use types::{ErrorCode, Perms, ReconfigRequest, Sid, Txn, path};
use zab::Quorum;

use super::Preparation;

impl Preparation<'_> {
    /// A new membership, given as a whole or as what is to change. A quorum of its voters has to follow
    /// already: otherwise nothing more could be decided for as long as it takes them.
    pub(crate) fn reconfig(&mut self, request: &ReconfigRequest<'_>) -> Result<Txn, ErrorCode> {
        // A server that is alone has no membership to change.
        let peer = self.peer.ok_or(ErrorCode::Unimplemented)?;
        let memberships = peer.memberships();
        if memberships.pending().is_some() || self.pending.changes_membership() {
            return Err(ErrorCode::ReconfigInProgress);
        }
        let version = memberships.committed.version();
        if request.based_on.is_some_and(|based_on| ConfigVersion(based_on) != version) {
            return Err(ErrorCode::BadVersion);
        }
        let new = requested(&memberships.committed, request)?;
        let is_usable = self.is_usable(&new) && !adds_secure_port(&memberships.committed, &new);
        if new.voters().count() < self.options.voters_min || !is_usable {
            return Err(ErrorCode::BadArguments);
        }
        if !peer.is_followed_by(&Quorum::from(&new)) {
            return Err(ErrorCode::NewConfigNoQuorum);
        }
        let before = self.latest(path::CONFIG)?;
        self.allow(&before.acl, Perms::WRITE)?;
        let text = new.with_version(ConfigVersion(self.zxid.raw())).to_string().into_bytes();
        let mut after = before.clone();
        after.stat.version = UNVERSIONED;
        after.stat.mtime_ms = self.now.wall_ms;
        after.stat.mzxid = self.zxid;
        after.data_length = text.len();
        after.digest = tree::digest::node(path::CONFIG, Some(&text), &after.stat);
        self.pending.record(self.zxid, path::CONFIG, Some(&before), Some(after));
        self.pending.change_membership(self.zxid);
        let data = Some(text.into_boxed_slice());
        Ok(Txn::Reconfig { path: path::CONFIG.into(), data, version: UNVERSIONED })
    }

    /// Whether a server could start with it.
    fn is_usable(&self, membership: &Membership) -> bool {
        let has_one = |member: &Member| member.addresses().len() == 1;
        let are_allowed = self.options.several_addresses || membership.members().all(has_one);
        are_allowed && membership.shared_address().is_none()
    }
}

/// Whether a server is to have a port with TLS that it does not have so far. No server here opens one, and
/// Apache's before 3.10 can not read that it has, and never serve again.
fn adds_secure_port(current: &Membership, new: &Membership) -> bool {
    let has_it = |member: &Member| {
        let before = current.find(member.sid);
        before.is_some_and(|before| before.secure_client == member.secure_client)
    };
    new.members().any(|member| member.secure_client.is_some() && !has_it(member))
}

/// The version of the znode, whatever is written there: the membership has its own.
const UNVERSIONED: i32 = -1;

/// What a request makes of a membership; refused if that can not be told, or makes no sense.
fn requested(current: &Membership, request: &ReconfigRequest<'_>) -> Result<Membership, ErrorCode> {
    if let Some(text) = &request.new_members {
        return Membership::parse(&text.replace(',', "\n")).map_err(|_| ErrorCode::BadArguments);
    }
    let leaving: Vec<_> = parts(request.leaving.as_deref()).map(id).collect::<Result<_, _>>()?;
    let joining: Vec<_> =
        parts(request.joining.as_deref()).map(joiner).collect::<Result<_, _>>()?;
    current.changed(&leaving, joining).map_err(|_| ErrorCode::BadArguments)
}

/// Reads the id of a server. What is no number is refused with the code that Apache's servers have for
/// whatever they do not foresee.
fn id(text: &str) -> Result<Sid, ErrorCode> {
    text.parse().map(Sid).map_err(|_| ErrorCode::MarshallingError)
}

/// Reads `server.N=...`, which has to say where clients connect.
fn joiner(text: &str) -> Result<Member, ErrorCode> {
    let (key, value) = text.split_once('=').ok_or(ErrorCode::BadArguments)?;
    let sid = id(key.trim().rsplit('.').next().unwrap_or_default())?;
    if sid.0 < 0 {
        return Err(ErrorCode::BadArguments);
    }
    let member = Member::parse(sid, value).map_err(|_| ErrorCode::BadArguments)?;
    if member.client.is_none() && member.secure_client.is_none() {
        return Err(ErrorCode::BadArguments);
    }
    Ok(member)
}

/// What is between the commas of a list; of none there is nothing.
fn parts(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: &str = "server.1=a:1:2;3\nserver.2=b:1:2;3";
    const SENSELESS: Result<&str, ErrorCode> = Err(ErrorCode::BadArguments);

    fn check(
        joining: &str,
        leaving: &str,
        new_members: Option<&str>,
        expected: Result<&str, ErrorCode>,
    ) {
        let current = Membership::parse(CURRENT).unwrap();
        let request = ReconfigRequest {
            joining: Some(joining.into()),
            leaving: Some(leaving.into()),
            new_members: new_members.map(Into::into),
            based_on: None,
        };
        let found = requested(&current, &request).map(|it| it.to_string());
        let expected = expected.map(|text| Membership::parse(text).unwrap().to_string());
        assert_eq!(found, expected, "{joining:?} {leaving:?} {new_members:?}");
    }

    #[test]
    fn nobody_gets_a_port_that_older_servers_can_not_read_of() {
        let plain = Membership::parse(CURRENT).unwrap();
        let secure = Membership::parse(&format!("{CURRENT}\nserver.3=c:1:2;3;4")).unwrap();
        assert!(adds_secure_port(&plain, &secure));
        assert!(!adds_secure_port(&secure, &secure));
        assert!(!adds_secure_port(&secure, &plain));
    }

    #[test]
    fn servers_join_leave_and_change() {
        let with_3 = "server.1=a:1:2;3\nserver.2=b:1:2;3\nserver.3=c:1:2;3";
        check("server.3=c:1:2;3", "", None, Ok(with_3));
        check(" server.3 = c:1:2;3 ,", "9", None, Ok(with_3));
        check("3=c:1:2;3", "", None, Ok(with_3));
        check("", "2", None, Ok("server.1=a:1:2;3"));
        check(
            "server.2=b:1:9:observer;;4",
            "",
            None,
            Ok("server.1=a:1:2;3\nserver.2=b:1:9:observer;;4"),
        );
        check("server.2=b:1:2;3", "2", None, Ok(CURRENT));
        check("", "", None, Ok(CURRENT));
        check("", "1,2", None, SENSELESS);
    }

    #[test]
    fn a_whole_membership_takes_the_place_of_the_old_one() {
        for text in ["server.3=c:1:2;3,server.4=d:1:2", "server.3=c:1:2;3\nserver.4=d:1:2"] {
            check("ignored", "ignored", Some(text), Ok("server.3=c:1:2;3\nserver.4=d:1:2"));
        }
        let grouped = "server.3=c:1:2,server.4=d:1:2,group.1=3:4,weight.3=2";
        check("", "", Some(grouped), Ok(&grouped.replace(',', "\n")));
        for text in ["", "nonsense", "server.3=c:1:2,clientPort=2181"] {
            check("", "", Some(text), SENSELESS);
        }
    }

    #[test]
    fn what_can_not_be_read_changes_nothing() {
        for joining in ["server.3", "server.3=c:1:2", "server.-3=c:1:2;3", "server.3=c;3"] {
            check(joining, "", None, SENSELESS);
        }
        check("server.x=c:1:2;3", "", None, Err(ErrorCode::MarshallingError));
        check("", "one", None, Err(ErrorCode::MarshallingError));
    }

    #[test]
    fn with_groups_only_a_whole_membership_can_be_given() {
        let current = Membership::parse("server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2").unwrap();
        assert_eq!(current.changed(&[Sid(2)], []).ok(), None);
    }
}
