//! Who a client is, and what that allows.
//!
//! A connection collects identities: its address at once, others by presenting credentials. An
//! operation is allowed if any entry of the access control list names one of them with the
//! permission asked for. Lists are not inherited.

mod digest;
mod ip;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use types::{Acl, AclList, ErrorCode, Id, Perms};
use wire::quorum::AuthInfo;

use crate::limits::{ACL_ENTRIES_MAX, IDENTITIES_MAX, IDENTITY_BYTES_MAX};

pub use digest::{DigestAlgorithm, digest_id};

/// How identities are proved and checked: the same for all connections of a server.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// Everything is allowed to everyone (`skipACL=yes`).
    pub skip_acl: bool,
    /// How `digest` identities are computed; `None` removes the scheme.
    pub digest: Option<DigestAlgorithm>,
    /// The `digest` identity that may do everything, as `user:hash`.
    pub super_digest: Option<Secret>,
    /// Names of the ensemble of which a client must know one; `None` removes the scheme.
    pub ensemble_names: Option<Vec<Box<str>>>,
    /// Schemes of which a connection must have an identity before anything else is done for it;
    /// empty demands none.
    pub required_schemes: Vec<Box<str>>,
}

/// A text that stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Box<str>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The identities of one connection: a set in the order they were added.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identities(Vec<Id>);

/// The credentials were refused; the connection is closed after the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Answered with [`ErrorCode::AuthFailed`].
    AuthFailed,
    /// The client belongs to another ensemble: closed without an answer.
    OtherEnsemble,
}

impl Identities {
    /// What a connection from this address has from the start.
    pub fn of_address(address: IpAddr) -> Self {
        Self(vec![ip::identity(address)])
    }

    /// Adds one, unless it is there.
    pub fn add(&mut self, id: Id) {
        if !self.0.contains(&id) {
            self.0.push(id);
        }
    }

    /// Whether one more stays within the limits, or is there already.
    fn has_room_for(&self, id: &Id) -> bool {
        let bytes: usize = self.0.iter().chain([id]).map(|id| id.id.len()).sum();
        self.0.contains(id) || (self.0.len() < IDENTITIES_MAX && bytes <= IDENTITY_BYTES_MAX)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Id> {
        self.0.iter()
    }

    /// All of them.
    pub(crate) fn as_slice(&self) -> &[Id] {
        &self.0
    }

    /// Whether one of them is of this scheme.
    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.0.iter().any(|id| &*id.scheme == scheme)
    }
}

/// The identities that came with the last request which a learner forwarded: the next has likely the same,
/// and need not be read then.
#[derive(Debug, Default)]
pub(crate) struct LastIdentities {
    encoded: Vec<u8>,
    identities: Arc<Identities>,
}

impl LastIdentities {
    /// What a learner says of a client.
    pub(crate) fn read(&mut self, auth: AuthInfo<'_>) -> Arc<Identities> {
        if self.encoded != auth.as_bytes() {
            let mut identities = Identities::default();
            auth.ids().for_each(|id| identities.add(id.to_id()));
            self.identities = Arc::new(identities);
            self.encoded.clear();
            self.encoded.extend_from_slice(auth.as_bytes());
        }
        Arc::clone(&self.identities)
    }
}

/// The name by which a person knows an identity: for `digest` the part before the colon, for
/// schemes that nobody provides nothing.
pub fn user_name(id: &Id) -> &str {
    match &*id.scheme {
        "digest" => id.id.split_once(':').map_or(&*id.id, |(user, _)| user),
        "ip" => &id.id,
        _ => "",
    }
}

impl AccessOptions {
    /// Adds to `identities` what `proof` proves.
    ///
    /// # Errors
    /// The proof is wrong, nobody provides the scheme, or the connection has too many identities.
    pub fn authenticate(
        &self,
        scheme: &str,
        proof: &[u8],
        address: IpAddr,
        identities: &mut Identities,
    ) -> Result<(), Refused> {
        match scheme {
            "ip" => identities.add(ip::identity(address)),
            "digest" => {
                let algorithm = self.digest.ok_or(Refused::AuthFailed)?;
                let id = digest_id(algorithm, proof);
                if !identities.has_room_for(&id) {
                    return Err(Refused::AuthFailed);
                }
                if self.super_digest.as_ref().is_some_and(|digest| same_text(&digest.0, &id.id)) {
                    identities.add(Id::new("super", ""));
                }
                identities.add(id);
            }
            "ensemble" => {
                let names = self.ensemble_names.as_ref().ok_or(Refused::AuthFailed)?;
                let known = names.iter().any(|name| name.as_bytes() == proof);
                if !(names.is_empty() || proof.is_empty() || known) {
                    return Err(Refused::OtherEnsemble);
                }
            }
            _ => return Err(Refused::AuthFailed),
        }
        Ok(())
    }

    /// Whether a connection with these identities has to authenticate before anything else.
    pub fn demands_authentication(&self, identities: &Identities) -> bool {
        !self.required_schemes.is_empty()
            && !self.required_schemes.iter().any(|scheme| identities.has_scheme(scheme))
    }

    /// Whether the list gives one of the identities any permission of `perms`.
    pub fn allows(&self, acl: &AclList, perms: Perms, identities: &Identities) -> bool {
        if self.skip_acl || acl.is_empty() {
            return true;
        }
        acl.iter().any(|entry| {
            entry.perms.intersects(perms)
                && (entry.id.is_anyone() || self.matches(&entry.id, identities))
        }) || identities.has_scheme("super")
    }

    /// The list to store for one that a client sent: without duplicates, with `auth` entries
    /// replaced by the connection's own identities.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidAcl`] if it is empty, names a scheme nobody provides, an id that its
    /// scheme does not understand, or `auth` on a connection that has not authenticated; or if it
    /// is far too long.
    pub fn stored_list(
        &self,
        acl: &AclList,
        identities: &Identities,
    ) -> Result<AclList, ErrorCode> {
        // Nearly every list is this one, and it is stored as it is.
        if let [only] = &**acl
            && only.id.is_anyone()
        {
            return Ok(acl.clone());
        }
        let mut stored: Vec<Acl> = Vec::with_capacity(acl.len());
        let mut seen = BTreeSet::new();
        for entry in acl.iter() {
            if !seen.insert((entry.perms.0, &entry.id)) {
                continue;
            }
            if stored.len() > ACL_ENTRIES_MAX {
                return Err(ErrorCode::InvalidAcl);
            }
            if entry.id.is_anyone() {
                stored.push(entry.clone());
            } else if &*entry.id.scheme == "auth" {
                let before = stored.len();
                stored.extend(
                    identities
                        .iter()
                        .filter(|id| &*id.scheme == "digest" && self.digest.is_some())
                        .map(|id| Acl { perms: entry.perms, id: id.clone() }),
                );
                if stored.len() == before {
                    return Err(ErrorCode::InvalidAcl);
                }
            } else if self.is_valid(&entry.id) {
                stored.push(entry.clone());
            } else {
                return Err(ErrorCode::InvalidAcl);
            }
        }
        if stored.is_empty() { Err(ErrorCode::InvalidAcl) } else { Ok(stored.into()) }
    }

    /// The list as it is shown to those who may not change it: without password hashes.
    pub fn masked_list(acl: &AclList) -> AclList {
        if acl.iter().all(|entry| &*entry.id.scheme != "digest") {
            return acl.clone();
        }
        let masked = acl.iter().map(|entry| match entry.id.id.split_once(':') {
            Some((user, _)) if &*entry.id.scheme == "digest" => {
                Acl { perms: entry.perms, id: Id::new("digest", format!("{user}:x")) }
            }
            _ => entry.clone(),
        });
        masked.collect::<Vec<_>>().into()
    }

    fn is_valid(&self, id: &Id) -> bool {
        match &*id.scheme {
            "digest" => self.digest.is_some() && digest::is_valid(&id.id),
            "ip" => ip::Range::parse(&id.id).is_some(),
            _ => false,
        }
    }

    fn matches(&self, wanted: &Id, identities: &Identities) -> bool {
        match &*wanted.scheme {
            "digest" => self.digest.is_some() && identities.0.contains(wanted),
            "ip" => {
                let Some(range) = ip::Range::parse(&wanted.id) else { return false };
                identities.iter().any(|id| {
                    &*id.scheme == "ip"
                        && ip::parse_address(&id.id).is_some_and(|address| range.contains(address))
                })
            }
            _ => false,
        }
    }
}

/// Compares in a time that does not depend on where the texts differ.
fn same_text(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left.bytes().zip(right.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> AccessOptions {
        AccessOptions { digest: Some(DigestAlgorithm::Sha1), ..AccessOptions::default() }
    }

    fn local() -> Identities {
        Identities::of_address(IpAddr::from([127, 0, 0, 1]))
    }

    fn acl(perms: Perms, scheme: &str, id: &str) -> AclList {
        vec![Acl { perms, id: Id::new(scheme, id) }].into()
    }

    #[test]
    fn permissions_are_per_identity() {
        let options = options();
        let mut bob = local();
        options
            .authenticate("digest", b"bob:secret", IpAddr::from([127, 0, 0, 1]), &mut bob)
            .expect("digest is provided");
        let list = acl(Perms::READ, "digest", &bob.0[1].id);
        assert!(options.allows(&list, Perms::READ, &bob));
        assert!(!options.allows(&list, Perms::WRITE, &bob));
        assert!(!options.allows(&list, Perms::READ, &local()));
        assert!(options.allows(&AclList::empty(), Perms::ADMIN, &local()));
        assert!(options.allows(&acl(Perms::WRITE, "ip", "127.0.0.0/8"), Perms::WRITE, &local()));
        let skipping = AccessOptions { skip_acl: true, ..options };
        assert!(skipping.allows(&list, Perms::ADMIN, &local()));
    }

    #[test]
    fn a_connection_has_a_bounded_number_of_identities() {
        let address = IpAddr::from([127, 0, 0, 1]);
        let mut ids = local();
        let mut prove =
            |proof: String| options().authenticate("digest", proof.as_bytes(), address, &mut ids);
        assert_eq!(prove("u".repeat(IDENTITY_BYTES_MAX)), Err(Refused::AuthFailed));
        for number in 1..IDENTITIES_MAX {
            assert_eq!(prove(format!("user{number}:x")), Ok(()));
        }
        assert_eq!(prove("one more:x".to_owned()), Err(Refused::AuthFailed));
        assert_eq!(prove("user7:x".to_owned()), Ok(()));
        assert_eq!(ids.0.len(), IDENTITIES_MAX);
    }

    #[test]
    fn super_may_do_everything_with_its_proof_only() {
        let id = digest_id(DigestAlgorithm::Sha1, b"super:admin");
        let options = AccessOptions { super_digest: Some(Secret(id.id)), ..options() };
        let address = IpAddr::from([127, 0, 0, 1]);
        let list = acl(Perms::READ, "digest", "x:y");
        let mut right = local();
        options.authenticate("digest", b"super:admin", address, &mut right).expect("provided");
        assert!(options.allows(&list, Perms::ADMIN, &right));
        let mut wrong = local();
        options.authenticate("digest", b"super:guess", address, &mut wrong).expect("provided");
        assert!(!options.allows(&list, Perms::ADMIN, &wrong));
    }

    #[test]
    fn lists_are_fixed_up_or_refused() {
        let options = options();
        let mut bob = local();
        options
            .authenticate("digest", b"bob:secret", IpAddr::from([127, 0, 0, 1]), &mut bob)
            .expect("digest is provided");
        let expanded = options.stored_list(&acl(Perms::ALL, "auth", ""), &bob).expect("valid");
        assert_eq!(expanded, acl(Perms::ALL, "digest", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="));
        for (scheme, id) in [
            ("auth", ""),
            ("world", "bob"),
            ("digest", "bob"),
            ("digest", "a:b:c"),
            ("ip", "1.2.3"),
            ("ip", "1.2.3.4/33"),
            ("sasl", "bob"),
            ("super", ""),
        ] {
            let list = acl(Perms::ALL, scheme, id);
            assert_eq!(
                options.stored_list(&list, &local()),
                Err(ErrorCode::InvalidAcl),
                "{scheme}:{id}"
            );
        }
        assert_eq!(options.stored_list(&AclList::empty(), &bob), Err(ErrorCode::InvalidAcl));
        let twice: AclList = [acl(Perms::READ, "ip", "::1"), acl(Perms::READ, "ip", "::1")]
            .iter()
            .flat_map(|list| list.to_vec())
            .collect::<Vec<_>>()
            .into();
        assert_eq!(options.stored_list(&twice, &bob).expect("valid").len(), 1);
    }

    #[test]
    fn long_lists_are_fixed_up_in_time_and_do_not_multiply() {
        let options = options();
        let mut many = local();
        for number in 1..IDENTITIES_MAX {
            many.add(Id::new("digest", format!("user{number}:x")));
        }
        let list = |length: usize, scheme: &str, id: &str| -> AclList {
            let entry = |number| Acl { perms: Perms(number), id: Id::new(scheme, id) };
            (0_i32..).take(length).map(entry).collect::<Vec<_>>().into()
        };
        let long = list(ACL_ENTRIES_MAX, "ip", "::1");
        assert_eq!(options.stored_list(&long, &many), Ok(long));
        let expanded = options.stored_list(&list(10, "auth", ""), &many).expect("valid");
        assert_eq!(expanded.len(), 10 * (IDENTITIES_MAX - 1));
        let refused = options.stored_list(&list(ACL_ENTRIES_MAX, "auth", ""), &many);
        assert_eq!(refused, Err(ErrorCode::InvalidAcl));
    }

    #[test]
    fn hashes_are_masked() {
        let masked = AccessOptions::masked_list(&acl(Perms::ALL, "digest", "bob:hash"));
        assert_eq!(masked, acl(Perms::ALL, "digest", "bob:x"));
        assert_eq!(AccessOptions::masked_list(&AclList::open()), AclList::open());
    }

    #[test]
    fn only_members_of_the_ensemble_are_served() {
        let options = AccessOptions { ensemble_names: Some(vec!["blue".into()]), ..options() };
        let address = IpAddr::from([127, 0, 0, 1]);
        let mut ids = local();
        assert_eq!(options.authenticate("ensemble", b"blue", address, &mut ids), Ok(()));
        assert_eq!(options.authenticate("ensemble", b"", address, &mut ids), Ok(()));
        assert_eq!(
            options.authenticate("ensemble", b"red", address, &mut ids),
            Err(Refused::OtherEnsemble)
        );
    }
}
