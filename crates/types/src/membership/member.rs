//! One server of an ensemble, and where it is found.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Sid;

/// Addresses that one server can have. As many as fit the 2048 bytes in which a server that calls
/// another says where it can be called itself.
pub const ADDRESSES_MAX: usize = 7;

/// Bytes of a host, the longest that a name of the domain name system can have.
pub const HOST_BYTES_MAX: usize = 253;

const _: () = assert!(ADDRESSES_MAX * (HOST_BYTES_MAX + ":65535|".len()) <= 2048);

/// A server of an ensemble. Displays as what follows `server.<id>=` in a [`super::Membership`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Member {
    /// Its id.
    pub sid: Sid,
    /// Whether it votes.
    pub role: Role,
    /// Where clients connect, if the membership says so.
    pub client: Option<HostPort>,
    /// Where clients connect over TLS, if the membership says so.
    pub secure_client: Option<HostPort>,
    /// By host; at least one, at most [`ADDRESSES_MAX`].
    addresses: Vec<PeerAddress>,
}

/// Whether a server votes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// It does: it leads or follows. Apache calls it a participant.
    Voter,
    /// It does not.
    Observer,
}

/// One of the addresses where a server is found by the others. The ports differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerAddress {
    /// Its name or address.
    pub host: Host,
    /// Where learners connect while it leads.
    pub quorum_port: u16,
    /// Where the others connect for elections.
    pub election_port: u16,
}

/// A host and a port. Displays as `host:port`, IPv6 addresses in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    /// A name or an address.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// A host name, or an IP address in the form in which Java writes it: all parts of an IPv6 address,
/// without leading zeros. So every member writes a membership with the same bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(Box<str>);

/// Why a text describes no server. Each says what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidMember {
    /// Parts are missing, empty, or too many.
    Form,
    /// This is no host.
    Host(String),
    /// This is no port.
    Port(String),
    /// This is no role.
    Role(String),
    /// Its addresses name different roles.
    TwoRoles,
    /// One address uses this port for two things.
    OnePort(u16),
    /// It has more than [`ADDRESSES_MAX`] addresses.
    TooManyAddresses,
}

impl Member {
    /// Reads what follows `server.<id>=`:
    ///
    /// ```text
    /// host:port:port[:role][|host:port:port[:role]]...[;[[host:]port][;[host:]port]]
    /// ```
    ///
    /// The ports are for the quorum and the election; then come the addresses for clients, without
    /// and with TLS. A role is `participant`, which it is unless given, or `observer`.
    ///
    /// # Errors
    /// Says what was expected instead.
    pub fn parse(sid: Sid, text: &str) -> Result<Self, InvalidMember> {
        let mut parts = text.split(';').map(str::trim);
        let (mut addresses, mut role) = (Vec::new(), None);
        for address in parts.next().unwrap_or_default().split('|') {
            let (address, its_role) = parse_peer(address.trim())?;
            if addresses.len() == ADDRESSES_MAX {
                return Err(InvalidMember::TooManyAddresses);
            }
            addresses.push(address);
            if its_role.is_some() && role.is_some() && its_role != role {
                return Err(InvalidMember::TwoRoles);
            }
            role = role.or(its_role);
        }
        addresses.sort();
        addresses.dedup();
        let (client, secure) = (parts.next(), parts.next());
        if parts.next().is_some() || client == Some("") && secure.is_none() {
            return Err(InvalidMember::Form);
        }
        Ok(Self {
            sid,
            role: role.unwrap_or(Role::Voter),
            client: client.filter(|text| !text.is_empty()).map(parse_client).transpose()?,
            secure_client: secure.map(parse_client).transpose()?,
            addresses,
        })
    }

    /// Returns where the other servers find it, ordered by host; at least one address.
    pub fn addresses(&self) -> &[PeerAddress] {
        &self.addresses
    }

    /// Whether it is found at the same places, if it leads.
    pub fn has_same_quorum_addresses(&self, other: &Self) -> bool {
        let quorum =
            |member: &Self| member.addresses.iter().map(PeerAddress::quorum).collect::<Vec<_>>();
        quorum(self) == quorum(other)
    }

    /// Whether it votes.
    pub fn is_voter(&self) -> bool {
        self.role == Role::Voter
    }

    /// Where it listens, as far as that says which host it is.
    pub(super) fn bound_addresses(&self) -> impl Iterator<Item = HostPort> {
        let peers = self.addresses.iter().flat_map(|peer| [peer.quorum(), peer.election()]);
        let clients = [&self.client, &self.secure_client].into_iter().flatten().cloned();
        peers.chain(clients).filter(|address| !address.host.is_wildcard())
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.addresses.iter().enumerate() {
            let separator = if index == 0 { "" } else { "|" };
            write!(f, "{separator}{}:{}", address.quorum(), address.election_port)?;
        }
        write!(f, ":{}", self.role)?;
        if let Some(client) = &self.client {
            write!(f, ";{client}")?;
        }
        match (&self.client, &self.secure_client) {
            (Some(_), Some(secure)) => write!(f, ";{secure}"),
            (None, Some(secure)) => write!(f, ";;{secure}"),
            (_, None) => Ok(()),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Voter => "participant",
            Self::Observer => "observer",
        })
    }
}

impl PeerAddress {
    /// Returns where learners connect while the server leads.
    pub fn quorum(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: self.quorum_port }
    }

    /// Returns where the others connect for elections.
    pub fn election(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: self.election_port }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only addresses of IPv6 have colons.
        if self.host.0.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Host {
    /// Reads a name or an address, with or without brackets around it. Returns `None` if it is
    /// neither, or written out longer than [`HOST_BYTES_MAX`].
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if text.is_empty() || text.len() > HOST_BYTES_MAX {
            return None;
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::from(address));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let (address, zone) = text.split_once('%').unzip();
        if let Some(address) = address.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
            let zone = zone.filter(|zone| !zone.is_empty() && zone.bytes().all(is_plain))?;
            // Written out it can be longer than it was, and has to be read again as the same.
            let text = format!("{}%{zone}", expanded(address));
            return (text.len() <= HOST_BYTES_MAX).then(|| Self(text.into()));
        }
        text.bytes().all(is_plain).then(|| Self(text.into()))
    }

    /// Whether it stands for all addresses of whoever listens there, and so for nobody to call.
    pub fn is_wildcard(&self) -> bool {
        self.0.parse().is_ok_and(|address: IpAddr| address.is_unspecified())
    }

    /// Returns it without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_string().into(),
            IpAddr::V6(address) => expanded(address).into(),
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str(
                "expected host:port:port[:participant|:observer][|...][;[host:]port][;[host:]port]",
            ),
            Self::Host(text) => write!(f, "{text:?}: expected a host name or an IP address"),
            Self::Port(text) => write!(f, "{text:?}: expected a port from 0 to 65535"),
            Self::Role(text) => write!(f, "{text:?}: expected participant or observer"),
            Self::TwoRoles => f.write_str("expected the same role for all its addresses"),
            Self::OnePort(port) => {
                write!(f, "expected different ports for quorum and election, both are {port}")
            }
            Self::TooManyAddresses => write!(f, "expected at most {ADDRESSES_MAX} addresses"),
        }
    }
}

impl std::error::Error for InvalidMember {}

/// All eight parts, without leading zeros.
fn expanded(address: Ipv6Addr) -> String {
    address.segments().map(|segment| format!("{segment:x}")).join(":")
}

/// Reads `host:port:port[:role]`.
fn parse_peer(text: &str) -> Result<(PeerAddress, Option<Role>), InvalidMember> {
    let (host, ports) = split_host(text).ok_or(InvalidMember::Form)?;
    let mut parts = ports.split(':');
    let mut port = || parse_port(parts.next().ok_or(InvalidMember::Form)?);
    let (quorum_port, election_port) = (port()?, port()?);
    let role = match parts.next().map(str::trim) {
        None => None,
        Some(text) if text.eq_ignore_ascii_case("participant") => Some(Role::Voter),
        Some(text) if text.eq_ignore_ascii_case("observer") => Some(Role::Observer),
        Some(text) => return Err(InvalidMember::Role(text.to_owned())),
    };
    if parts.next().is_some() {
        return Err(InvalidMember::Form);
    }
    if quorum_port == election_port {
        return Err(InvalidMember::OnePort(quorum_port));
    }
    Ok((PeerAddress { host: parse_host(host)?, quorum_port, election_port }, role))
}

/// Reads `[host:]port`; without a host it is all of them.
fn parse_client(text: &str) -> Result<HostPort, InvalidMember> {
    if !text.contains(':') {
        return Ok(HostPort {
            host: Host::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: parse_port(text)?,
        });
    }
    let (host, port) = split_host(text).ok_or(InvalidMember::Form)?;
    if port.contains(':') {
        return Err(InvalidMember::Form);
    }
    Ok(HostPort { host: parse_host(host)?, port: parse_port(port)? })
}

/// What is before the first colon, or in brackets, and what follows that colon.
fn split_host(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.split_once(':'),
    }
}

fn parse_host(text: &str) -> Result<Host, InvalidMember> {
    Host::parse(text).ok_or_else(|| InvalidMember::Host(text.to_owned()))
}

fn parse_port(text: &str) -> Result<u16, InvalidMember> {
    text.parse().map_err(|_| InvalidMember::Port(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match Member::parse(Sid(1), text) {
            Ok(member) => {
                let again = Member::parse(Sid(1), &member.to_string());
                assert_eq!(again.as_ref(), Ok(&member), "{text:?} read, written and read");
                member.to_string()
            }
            Err(error) => format!("! {error}"),
        };
        assert_eq!(shown, expected, "{text:?}");
    }

    /// What Apache 3.9.5 makes of the same texts, but for the secure part, which 3.10 brought.
    #[test]
    fn members_are_written_as_apache_writes_them() {
        for (text, expected) in [
            ("zk1:2888:3888", "zk1:2888:3888:participant"),
            ("zk1:2888:3888:PARTICIPANT", "zk1:2888:3888:participant"),
            ("zk1:2888:3888: Observer", "zk1:2888:3888:observer"),
            ("a_b.c-d:0:+2", "a_b.c-d:0:2:participant"),
            ("[zk1]:1:2", "zk1:1:2:participant"),
            ("[::1]:2888:3888", "[0:0:0:0:0:0:0:1]:2888:3888:participant"),
            ("[FE80::0a%eth0]:1:2", "[fe80:0:0:0:0:0:0:a%eth0]:1:2:participant"),
            ("[::ffff:1.2.3.4]:1:2;[::]:2181", "1.2.3.4:1:2:participant;[0:0:0:0:0:0:0:0]:2181"),
            ("A:1:2|b:3:4|Z:5:6", "A:1:2|Z:5:6|b:3:4:participant"),
            ("b:1:2|a:1:2:observer", "a:1:2|b:1:2:observer"),
            ("a:1:2|a:1:2", "a:1:2:participant"),
            ("zk1:1:2;2181", "zk1:1:2:participant;0.0.0.0:2181"),
            ("zk1:1:2:observer;zk1:2181", "zk1:1:2:observer;zk1:2181"),
            ("zk1:1:2;2181;[::1]:2281", "zk1:1:2:participant;0.0.0.0:2181;[0:0:0:0:0:0:0:1]:2281"),
            ("zk1:1:2;;2281", "zk1:1:2:participant;;0.0.0.0:2281"),
            (" zk1:1:2 | zk2:1:2 ; 2181 ", "zk1:1:2|zk2:1:2:participant;0.0.0.0:2181"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn errors_say_what_was_expected() {
        const FORM: &str =
            "! expected host:port:port[:participant|:observer][|...][;[host:]port][;[host:]port]";
        for text in [
            "",
            "zk1",
            "zk1:2888",
            "[::1]",
            "[::1]:",
            "[::1:1:2",
            "zk1:1:2:observer:3",
            "zk1:1:2;",
            "zk1:1:2;1;2;3",
            "zk1:1:2;::1:2181",
            "zk1:1:2|",
        ] {
            let shown = Member::parse(Sid(1), text).unwrap_err();
            let is_port = shown == InvalidMember::Port(String::new());
            assert!(shown.to_string() == FORM[2..] || is_port, "{text:?}: {shown}");
        }
        for (text, expected) in [
            (":1:2", "! \"\": expected a host name or an IP address"),
            ("a b:1:2", "! \"a b\": expected a host name or an IP address"),
            ("a%b:1:2", "! \"a%b\": expected a host name or an IP address"),
            ("[::1%]:1:2", "! \"::1%\": expected a host name or an IP address"),
            ("zk1:1:2;a\\b:1", "! \"a\\\\b\": expected a host name or an IP address"),
            ("zk1:1:65536", "! \"65536\": expected a port from 0 to 65535"),
            ("zk1:-1:2", "! \"-1\": expected a port from 0 to 65535"),
            ("zk1:1:2;x", "! \"x\": expected a port from 0 to 65535"),
            ("zk1:1:2;2181;", "! \"\": expected a port from 0 to 65535"),
            ("zk1:1:2:leader", "! \"leader\": expected participant or observer"),
            ("zk1:1:2:", "! \"\": expected participant or observer"),
            ("a:1:2:observer|b:1:2:participant", "! expected the same role for all its addresses"),
            ("zk1:7:7", "! expected different ports for quorum and election, both are 7"),
            ("a:1:2|b:1:2|c:1:2|d:1:2|e:1:2|f:1:2|g:1:2|h:1:2", "! expected at most 7 addresses"),
        ] {
            check(text, expected);
        }
        let long = "x".repeat(HOST_BYTES_MAX + 1);
        let error = Member::parse(Sid(1), &format!("{long}:1:2"));
        assert_eq!(error, Err(InvalidMember::Host(long)));

        let zone = "z".repeat(HOST_BYTES_MAX - "fe80:0:0:0:0:0:0:1%".len());
        let longest = Host::parse(&format!("fe80::1%{zone}")).unwrap();
        assert_eq!(Host::parse(longest.as_str()), Some(longest));
        assert_eq!(Host::parse(&format!("fe80::1%{zone}z")), None);
    }

    #[test]
    fn addresses_can_be_called() {
        let member = Member::parse(Sid(7), "[::1]:2888:3888|zk1:2889:3889;2181").unwrap();
        let texts = |of: fn(&PeerAddress) -> HostPort| {
            member.addresses().iter().map(|address| of(address).to_string()).collect::<Vec<_>>()
        };
        assert_eq!(texts(PeerAddress::quorum), ["[0:0:0:0:0:0:0:1]:2888", "zk1:2889"]);
        assert_eq!(texts(PeerAddress::election), ["[0:0:0:0:0:0:0:1]:3888", "zk1:3889"]);
        let client = member.client.unwrap();
        assert!(client.host.is_wildcard() && !member.addresses[0].host.is_wildcard());
        assert_eq!(client.host.as_str(), "0.0.0.0");
        assert!(Host::parse("[::]").is_some_and(|host| host.is_wildcard()));
    }
}
