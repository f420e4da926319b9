//! What the connections between servers need to know of the configuration.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use types::Sid;
use types::membership::HostPort;

/// Settings of the connections between servers.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// This server.
    pub(crate) sid: Sid,
    /// Where it listens for elections, and says so when it calls. At least one.
    pub(crate) election: Vec<HostPort>,
    /// Where it listens for learners. At least one.
    pub(crate) quorum: Vec<HostPort>,
    /// Whether these are the interfaces to listen on, or only their ports matter
    /// (`quorumListenOnAllIPs`).
    pub(crate) interfaces: Interfaces,
    /// How it greets (`multiAddress.enabled`).
    pub(crate) greeting: Greeting,
    /// How many times a port is tried to be opened, a second apart; `None` is for ever
    /// (`electionPortBindRetry`).
    pub(crate) bind_tries: Option<u32>,
    /// Whether the system is to find out if the other side of an election connection is still there
    /// (`tcpKeepAlive`).
    pub(crate) keep_alive: bool,
    /// Whether packets to learners leave without waiting for more (`leader.nodelay`).
    pub(crate) leader_nodelay: bool,
    /// The same for those to the leader (`follower.nodelay`).
    pub(crate) follower_nodelay: bool,
    /// How long a call may take (`cnxTimeout`).
    pub(crate) call_timeout: Duration,
    /// How long who connects to the election port may take to say who it is
    /// (`quorumCnxnTimeoutMs`).
    pub(crate) hello_timeout: Duration,
    /// How long who connects to the quorum port may take (`tickTime` times `initLimit`).
    pub(crate) introduction_timeout: Duration,
    /// How long connecting to the leader may take, with all tries (`tickTime` times
    /// `connectToLearnerMasterLimit` or `initLimit`).
    pub(crate) leader_timeout: Duration,
    /// Between two tries to connect to the leader (`leaderConnectDelayDuringRetryMs`).
    pub(crate) leader_pause: Duration,
    /// Bytes of data, and of identities, in a packet at most (`jute.maxbuffer` and its extra size).
    pub(crate) packet_bytes_max: usize,
    /// Bytes that may wait to be sent over one connection of the quorum port:
    /// [`super::limits::BACKLOG_BYTES_MAX`] but in tests.
    pub(crate) backlog_bytes_max: usize,
    /// How names become addresses.
    pub(crate) resolve: Resolve,
}

/// Which interfaces a server listens on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interfaces {
    /// Those of its addresses.
    Own,
    /// All.
    All,
}

/// How a server says where it can be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Greeting {
    /// With its first address, so that every release understands.
    OneAddress,
    /// With all of them, for servers of release 3.6 and newer.
    AllAddresses,
}

/// How a name becomes addresses: the system's way, but in tests. May take long.
#[derive(Clone)]
pub(crate) struct Resolve(Arc<ResolveFn>);

/// Takes host and port.
type ResolveFn = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl Resolve {
    /// The system's way.
    pub(crate) fn system() -> Self {
        Self::new(|host, port| (host, port).to_socket_addrs().map(Iterator::collect))
    }

    /// Another way.
    pub(crate) fn new(
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(resolve))
    }

    /// The addresses of all of these; those of some if others have none.
    ///
    /// # Errors
    /// The first one's, if there are no addresses at all.
    pub(super) fn all(&self, places: &[HostPort]) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        let mut first_failure = None;
        for place in places {
            match numeric(place) {
                Some(address) => addresses.push(address),
                None => match (self.0)(place.host.as_str(), place.port) {
                    Ok(found) => addresses.extend(found),
                    Err(failure) => {
                        first_failure.get_or_insert(failure);
                    }
                },
            }
        }
        match (addresses.is_empty(), first_failure) {
            (true, Some(failure)) => Err(failure),
            (true, None) => Err(io::Error::new(io::ErrorKind::NotFound, "no address is known")),
            (false, _) => Ok(addresses),
        }
    }
}

impl fmt::Debug for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolve").finish_non_exhaustive()
    }
}

/// The address, if the host is a number.
pub(super) fn numeric(place: &HostPort) -> Option<SocketAddr> {
    let ip: IpAddr = place.host.as_str().parse().ok()?;
    Some(SocketAddr::new(ip, place.port))
}

#[cfg(test)]
mod tests {
    use types::membership::Host;

    use super::*;

    fn place(host: &str) -> HostPort {
        HostPort { host: Host::parse(host).expect("a host"), port: 3888 }
    }

    #[test]
    fn some_addresses_are_better_than_none() {
        let resolve = Resolve::new(|host, port| match host {
            "here" => Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))]),
            _ => Err(io::Error::other(format!("no {host}"))),
        });
        let all = |hosts: &[&str]| {
            let places: Vec<_> = hosts.iter().map(|host| place(host)).collect();
            resolve.all(&places).map_err(|failure| failure.to_string())
        };
        let here = SocketAddr::from(([10, 0, 0, 1], 3888));
        let number = SocketAddr::from(([10, 0, 0, 2], 3888));
        assert_eq!(all(&["there", "here", "10.0.0.2"]), Ok(vec![here, number]));
        assert_eq!(all(&["there", "nowhere"]), Err("no there".to_owned()));
        assert_eq!(all(&[]), Err("no address is known".to_owned()));
    }

    #[test]
    fn numbers_need_no_lookup() {
        assert_eq!(numeric(&place("::1")), Some("[::1]:3888".parse().expect("an address")));
        assert_eq!(numeric(&place("h1")), None);
    }
}
