//! The text that names an ensemble: `host:port,host:port/chroot`.

use std::fmt;
use std::str::FromStr;

use crate::error::AddressError;
use crate::session::Chroot;

/// The port that servers listen on when none is given.
pub const DEFAULT_PORT: u16 = 2181;

/// One server: a name or address, and a port.
///
/// ```
/// use reefkeeper_client::Host;
///
/// let host: Host = "[::1]:2182".parse()?;
/// assert_eq!((host.name.as_str(), host.port), ("::1", 2182));
/// assert_eq!("keeper".parse::<Host>()?.to_string(), "keeper:2181");
/// # Ok::<_, reefkeeper_client::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Host {
    /// A name, resolved anew at each attempt to connect, or an IP address without brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

impl FromStr for Host {
    type Err = AddressError;

    /// Reads `name`, `name:port`, `address:port` or `[address]:port`; the port may be left out.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((name, "")) => (name, None),
                Some((name, port)) => (name, port.strip_prefix(':')),
                None => return Err(AddressError::NoHost(text.to_owned())),
            },
            None => match text.split_once(':') {
                // More than one colon without brackets is an address of the sixth kind.
                Some((_, port)) if port.contains(':') => (text, None),
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        if name.is_empty() {
            return Err(AddressError::NoHost(text.to_owned()));
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| AddressError::Port(text.to_owned()))?,
            None => DEFAULT_PORT,
        };
        Ok(Self { name: name.to_owned(), port })
    }
}

/// The servers of an ensemble and the subtree that the client lives in.
///
/// ```
/// use reefkeeper_client::Ensemble;
///
/// let ensemble: Ensemble = "one:2181,two:2182/my-app".parse()?;
/// assert_eq!(ensemble.hosts()[1].port, 2182);
/// assert_eq!(ensemble.chroot.as_str(), "/my-app");
/// # Ok::<_, reefkeeper_client::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ensemble {
    /// At least one server.
    hosts: Vec<Host>,
    /// What all paths are relative to.
    pub chroot: Chroot,
}

impl Ensemble {
    /// The servers, at least one, in the order given.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

impl FromStr for Ensemble {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (hosts, chroot) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        let chroot = Chroot::new(chroot)
            .map_err(|reason| AddressError::Chroot { path: chroot.to_owned(), reason })?;
        let hosts = hosts
            .split(',')
            .map(str::trim)
            .filter(|host| !host.is_empty())
            .map(Host::from_str)
            .collect::<Result<Vec<_>, _>>()?;
        if hosts.is_empty() {
            return Err(AddressError::NoHost(text.to_owned()));
        }
        Ok(Self { hosts, chroot })
    }
}

#[cfg(test)]
mod tests {
    use types::path::InvalidPath;

    use super::*;

    #[test]
    fn reads_hosts_ports_and_chroot() {
        let check = |text: &str, hosts: &[&str], chroot: &str| {
            let ensemble: Ensemble = text.parse().expect(text);
            let shown: Vec<_> = ensemble.hosts().iter().map(Host::to_string).collect();
            assert_eq!(shown, hosts, "{text}");
            assert_eq!(ensemble.chroot.as_str(), chroot, "{text}");
        };
        check("localhost", &["localhost:2181"], "");
        check("a:1,b:2", &["a:1", "b:2"], "");
        check(" a:1 , b ", &["a:1", "b:2181"], "");
        check("a:1/", &["a:1"], "");
        check("a:1,b:2/x/y", &["a:1", "b:2"], "/x/y");
        check("127.0.0.1:2181/x", &["127.0.0.1:2181"], "/x");
        check("[::1]:99,[fe80::1],::1", &["[::1]:99", "[fe80::1]:2181", "[::1]:2181"], "");
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |text: &str, expected: AddressError| {
            assert_eq!(text.parse::<Ensemble>(), Err(expected), "{text}");
        };
        check("", AddressError::NoHost(String::new()));
        check("/x", AddressError::NoHost("/x".to_owned()));
        check(":2181", AddressError::NoHost(":2181".to_owned()));
        check("a:port", AddressError::Port("a:port".to_owned()));
        check("a:70000", AddressError::Port("a:70000".to_owned()));
        let reason = InvalidPath::EmptyName;
        check("a//x", AddressError::Chroot { path: "//x".to_owned(), reason });
        let reason = InvalidPath::TrailingSlash;
        check("a/x/", AddressError::Chroot { path: "/x/".to_owned(), reason });
    }
}
