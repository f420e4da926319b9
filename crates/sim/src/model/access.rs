//! Who may do what.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use types::{Acl, AclList, ErrorCode, Id, Perms};

/// Credentials and the identity that presenting them gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The scheme named in the packet.
    pub scheme: String,
    /// The proof.
    pub auth: Vec<u8>,
    /// The identities gained, in order; more than one for the superuser.
    pub ids: Vec<Id>,
}

/// The list of the znode that holds the membership.
pub(super) fn world_readable() -> AclList {
    AclList::from(vec![Acl { perms: Perms::READ, id: Id::new("world", "anyone") }])
}

/// Whether a list gives someone with these identities any of the permissions.
pub(crate) fn allows(list: &AclList, wanted: Perms, ids: &[Id]) -> bool {
    list.is_empty()
        || ids.iter().any(|id| &*id.scheme == "super")
        || list
            .iter()
            .filter(|entry| entry.perms.intersects(wanted))
            .any(|entry| entry.id.is_anyone() || ids.iter().any(|id| matches(&entry.id, id)))
}

/// The list that is stored when a client sends this one.
///
/// # Errors
/// The list is empty or names somebody who can not exist.
pub(super) fn fix(list: &AclList, ids: &[Id]) -> Result<AclList, ErrorCode> {
    let mut seen = Vec::new();
    let mut fixed = Vec::new();
    for entry in list.iter() {
        if seen.contains(&entry) {
            continue;
        }
        seen.push(entry);
        if &*entry.id.scheme == "auth" {
            let own = ids.iter().filter(|id| &*id.scheme == "digest");
            let before = fixed.len();
            fixed.extend(own.map(|id| Acl { perms: entry.perms, id: id.clone() }));
            if fixed.len() == before {
                return Err(ErrorCode::InvalidAcl);
            }
        } else if entry.id.is_anyone() || is_valid(&entry.id) {
            fixed.push(entry.clone());
        } else {
            return Err(ErrorCode::InvalidAcl);
        }
    }
    if fixed.is_empty() { Err(ErrorCode::InvalidAcl) } else { Ok(AclList::from(fixed)) }
}

/// A list as someone without the right to change it sees it.
pub(super) fn masked(list: &AclList) -> Vec<Acl> {
    list.iter()
        .map(|entry| match entry.id.id.split_once(':') {
            Some((user, _)) if &*entry.id.scheme == "digest" => {
                Acl { perms: entry.perms, id: Id::new("digest", format!("{user}:x")) }
            }
            _ => entry.clone(),
        })
        .collect()
}

/// What `whoAmI` says of the identities, sorted.
pub(super) fn users(ids: &[Id]) -> Vec<(String, String)> {
    let users: BTreeSet<_> = ids
        .iter()
        .map(|id| {
            let user = match &*id.scheme {
                "digest" => id.id.split(':').next().unwrap_or_default(),
                "ip" => &id.id,
                _ => "",
            };
            (id.scheme.to_string(), user.to_owned())
        })
        .collect();
    users.into_iter().collect()
}

fn is_valid(id: &Id) -> bool {
    match &*id.scheme {
        "digest" => {
            // Java's split drops empty parts at the end, and only there.
            let mut parts: Vec<&str> = id.id.split(':').collect();
            while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
                parts.pop();
            }
            parts.len() == 2
        }
        "ip" => network(&id.id).is_some(),
        _ => false,
    }
}

fn matches(listed: &Id, own: &Id) -> bool {
    if listed.scheme != own.scheme {
        return false;
    }
    match &*listed.scheme {
        "digest" => listed.id == own.id,
        "ip" => match (network(&listed.id), own.id.parse::<Ipv4Addr>()) {
            (Some((network, bits)), Ok(address)) => {
                let ignored = 32 - bits;
                let prefix = |address: Ipv4Addr| u64::from(address.to_bits()) >> ignored;
                prefix(network) == prefix(address)
            }
            _ => false,
        },
        _ => false,
    }
}

fn network(text: &str) -> Option<(Ipv4Addr, u32)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let bits = bits.parse().ok().filter(|&bits| bits <= 32)?;
    Some((address.parse().ok()?, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(i32, &str, &str)]) -> AclList {
        let entry = |&(perms, scheme, id): &(i32, &str, &str)| Acl {
            perms: Perms(perms),
            id: Id::new(scheme, id),
        };
        AclList::from(entries.iter().map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn lists_allow_by_entry_and_scheme() {
        let ids = [Id::new("ip", "10.0.0.7"), Id::new("digest", "a:b")];
        let cases = [
            (list(&[]), true),
            (list(&[(1, "world", "anyone")]), true),
            (list(&[(2, "world", "anyone")]), false),
            (list(&[(31, "digest", "a:b")]), true),
            (list(&[(31, "digest", "a:c")]), false),
            (list(&[(31, "ip", "10.0.0.7")]), true),
            (list(&[(31, "ip", "10.0.0.0/8")]), true),
            (list(&[(31, "ip", "11.0.0.0/8")]), false),
            (list(&[(31, "ip", "99.0.0.0/0")]), true),
            (list(&[(31, "sasl", "a:b")]), false),
        ];
        for (list, allowed) in cases {
            assert_eq!(allows(&list, Perms::READ, &ids), allowed, "{list:?}");
        }
        assert!(allows(&list(&[(0, "ip", "1.1.1.1")]), Perms::ADMIN, &[Id::new("super", "")]));
    }

    #[test]
    fn fixing_expands_own_identities_and_refuses_nonsense() {
        let ids = [Id::new("ip", "10.0.0.7"), Id::new("digest", "a:b")];
        assert_eq!(fix(&list(&[(3, "auth", "x")]), &ids), Ok(list(&[(3, "digest", "a:b")])));
        assert_eq!(fix(&list(&[(3, "auth", "")]), &ids[..1]), Err(ErrorCode::InvalidAcl));
        assert_eq!(
            fix(&list(&[(3, "world", "anyone"), (3, "world", "anyone")]), &ids),
            Ok(list(&[(3, "world", "anyone")]))
        );
        for (scheme, id) in
            [("world", "bob"), ("digest", "a"), ("digest", "a:b:c"), ("digest", "a:"), ("x", "y")]
        {
            assert_eq!(fix(&list(&[(1, scheme, id)]), &ids), Err(ErrorCode::InvalidAcl), "{id}");
        }
        assert!(fix(&list(&[(1, "ip", "10.0.0.0/33")]), &ids).is_err());
        assert!(fix(&list(&[]), &ids).is_err());
    }
}
