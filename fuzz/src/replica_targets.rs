//! Texts in which clients name who may do what, and how much a subtree may hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use replica::access::{AccessOptions, DigestAlgorithm, Identities, Refused, Secret, user_name};
use tree::quota::{QuotaLimits, QuotaUsage};
use types::{Acl, AclList, Id, Perms};

/// The user that may do everything, by its password.
const SUPER: &[u8] = b"super:secret";

/// A byte that chooses what to do, and a text: the limits or the usage of a subtree, credentials, or the
/// entries of an access control list, a line each, with scheme and id apart by the first colon.
pub fn identities(input: &[u8]) {
    let Some((&choice, text)) = input.split_first() else { return };
    match choice % 3 {
        0 => check_quota(text),
        1 => check_credentials(choice, text),
        _ => check_list(choice, &String::from_utf8_lossy(text)),
    }
}

/// What is read is written so that it is read as the same.
fn check_quota(text: &[u8]) {
    let limits = QuotaLimits::parse(text);
    assert_eq!(QuotaLimits::parse(limits.to_string().as_bytes()), limits);
    let numbers = [limits.count, limits.bytes, limits.count_hard, limits.bytes_hard];
    assert!(numbers.iter().all(|&number| number != Some(-1)), "no limit is a limit: {limits:?}");
    let usage = QuotaUsage::parse(text);
    assert_eq!(QuotaUsage::parse(usage.to_string().as_bytes()), usage);
}

/// Who presents them has an entry of its own then, and may do everything only with the right password.
fn check_credentials(choice: u8, proof: &[u8]) {
    let (options, address) = (options(), address(choice));
    let mut client = Identities::of_address(address);
    let stranger = client.clone();
    match options.authenticate("digest", proof, address, &mut client) {
        Ok(()) => assert!(client.has_scheme("digest")),
        Err(refused) => {
            assert_eq!((refused, &client), (Refused::AuthFailed, &stranger));
            return;
        }
    }
    assert_eq!(client.has_scheme("super"), proof == SUPER);
    let nobodys = list(&[Id::new("digest", "nobody:x")]);
    assert_eq!(options.allows(&nobodys, Perms::ALL, &client), proof == SUPER);
    // A list of its own is stored with its identities.
    let own = list(&[Id::new("auth", "")]);
    let stored = options.stored_list(&own, &client).expect("it has authenticated");
    assert!(stored.iter().all(|entry| &*entry.id.scheme == "digest"));
    assert!(options.allows(&stored, Perms::ALL, &client));
    assert!(!options.allows(&stored, Perms::ALL, &stranger));
    check_masked(&stored);
}

/// A list is stored or refused, and the same every time; what is stored says of nobody more than what was
/// sent.
fn check_list(choice: u8, text: &str) {
    let ids: Vec<Id> = text
        .lines()
        .map(|line| line.split_once(':').unwrap_or((line, "")))
        .map(|(scheme, id)| Id::new(scheme, id))
        .collect();
    let (options, sent) = (options(), list(&ids));
    let client = Identities::of_address(address(choice));
    let allowed = options.allows(&sent, Perms::READ, &client);
    assert_eq!(allowed, ids.is_empty() || ids.iter().any(|id| is_meant(id, address(choice))));
    check_masked(&sent);
    let Ok(stored) = options.stored_list(&sent, &client) else { return };
    assert!(!stored.is_empty() && stored.len() <= sent.len());
    assert_eq!(options.stored_list(&stored, &client).as_ref(), Ok(&stored));
    assert_eq!(options.allows(&stored, Perms::READ, &client), allowed);
}

/// Whether a client that has nothing but its address is meant, bit by bit.
fn is_meant(id: &Id, address: IpAddr) -> bool {
    if id.is_anyone() {
        return true;
    }
    let (network, bits) = match id.id.split_once('/') {
        Some((network, bits)) => (network, bits.parse().ok()),
        None => (&*id.id, Some(128)),
    };
    if &*id.scheme != "ip" {
        return false;
    }
    // Of IPv4, Rust takes no leading zeros, which the scheme does.
    let parts = || network.split('.').map(str::parse::<u8>);
    let network = match parts().collect::<Result<Vec<_>, _>>() {
        Ok(parts) if parts.len() == 4 => parts,
        Ok(_) | Err(_) => {
            network.parse::<Ipv6Addr>().map(|it| it.octets().to_vec()).unwrap_or_default()
        }
    };
    let address = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let width = 8 * address.len();
    let has_bits = |bits: usize| {
        let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
        (0..bits).all(|at| bit(&network, at) == bit(&address, at))
    };
    let is_range = id.id.contains('/');
    network.len() == address.len()
        && bits.is_some_and(|bits: usize| match is_range {
            true => bits <= width && has_bits(bits),
            false => has_bits(width),
        })
}

/// Who may not change a list sees it without the hashes of passwords.
fn check_masked(list: &AclList) {
    let masked = AccessOptions::masked_list(list);
    assert_eq!(masked.len(), list.len());
    for (masked, entry) in masked.iter().zip(list.iter()) {
        assert_eq!((masked.perms, &masked.id.scheme), (entry.perms, &entry.id.scheme));
        assert_eq!(user_name(&masked.id), user_name(&entry.id));
        if &*entry.id.scheme == "digest" {
            let hash = masked.id.id.split_once(':').map_or("", |(_, hash)| hash);
            assert!(matches!(hash, "" | "x"), "{hash} is shown");
        }
    }
}

fn list(ids: &[Id]) -> AclList {
    let entry = |id: &Id| Acl { perms: Perms::ALL, id: id.clone() };
    ids.iter().map(entry).collect::<Vec<_>>().into()
}

fn options() -> AccessOptions {
    let algorithm = DigestAlgorithm::Sha1;
    let id = replica::access::digest_id(algorithm, SUPER);
    AccessOptions {
        digest: Some(algorithm),
        super_digest: Some(Secret(id.id)),
        ..AccessOptions::default()
    }
}

/// Where a client is.
fn address(choice: u8) -> IpAddr {
    match choice & 0x80 {
        0 => Ipv4Addr::new(10, 1, 2, 3).into(),
        _ => Ipv6Addr::new(0xfe80, 0, 0, 0, 0x1, 0, 0x2, 0x3).into(),
    }
}
