//! What the connections between servers need to know of the configuration.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use config::{Config, Ensemble, Limits};
use types::Sid;
use types::membership::{HostPort, Member, PeerAddress};

use super::limits::{BACKLOG_BYTES_MAX, PACKET_BYTES_MIN};

/// Settings of the connections between servers.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// This server.
    pub(crate) sid: Sid,
    /// Where it listens for elections, and says so when it calls. At least one.
    pub(crate) election: Vec<HostPort>,
    /// Where it listens for learners. At least one.
    pub(crate) quorum: Vec<HostPort>,
    /// Where it listens for observers that learn from it while it follows; nowhere if it does not.
    pub(crate) observer_master: Vec<HostPort>,
    /// At which port others do so, if they do (`observerMasterPort`).
    pub(crate) observer_master_port: Option<u16>,
    /// Whether these are the interfaces to listen on, or only their ports matter
    /// (`quorumListenOnAllIPs`).
    pub(crate) interfaces: Interfaces,
    /// How many times a port is tried to be opened, a second apart; `None` is for ever
    /// (`electionPortBindRetry`).
    pub(crate) bind_tries: Option<u64>,
    /// Whether the system is to find out if the other side of an election connection is still there
    /// (`tcpKeepAlive`).
    pub(crate) keep_alive: bool,
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
    /// Bytes of data, and of identities, in a packet at most (`jute.maxbuffer` and its extra size, but
    /// [`PACKET_BYTES_MIN`] at least).
    pub(crate) packet_bytes_max: usize,
    /// Bytes that may wait to be sent over one connection of the quorum port:
    /// [`BACKLOG_BYTES_MAX`] but in tests.
    pub(crate) backlog_bytes_max: usize,
    /// How names become addresses.
    pub(crate) resolve: Resolve,
}

impl Options {
    /// Those of a member of an ensemble.
    ///
    /// # Panics
    /// When the membership does not have the member, which is found out when it is read.
    pub(crate) fn new(config: &Config, ensemble: &Ensemble) -> Self {
        let Ensemble { sid, membership, limits, election, synchronization, .. } = ensemble;
        let member = membership.find(*sid).expect("this server is in its membership");
        let ticks = |count: u32| config.sessions.tick * count;
        let default_hello_timeout = ticks(limits.sync_ticks);
        let Limits { frame_bytes_max, record_extra_bytes, .. } = config.limits;
        Self {
            sid: *sid,
            election: member.addresses().iter().map(PeerAddress::election).collect(),
            quorum: member.addresses().iter().map(PeerAddress::quorum).collect(),
            observer_master: observer_master_places(member, ensemble.observers.master_port),
            observer_master_port: ensemble.observers.master_port,
            interfaces: match election.listens_on_all_addresses {
                false => Interfaces::Own,
                true => Interfaces::All,
            },
            bind_tries: election.bind_attempts_max,
            keep_alive: election.tcp_keep_alive,
            call_timeout: election.connect_timeout,
            hello_timeout: election.handshake_timeout.unwrap_or(default_hello_timeout),
            introduction_timeout: ticks(limits.init_ticks),
            leader_timeout: ticks(limits.connect_ticks),
            leader_pause: synchronization.connect_retry_delay,
            packet_bytes_max: packet_bytes_max(frame_bytes_max, record_extra_bytes),
            backlog_bytes_max: BACKLOG_BYTES_MAX,
            resolve: Resolve::system(),
        }
    }

    /// The server is found where this says from here on, and listens for what its role needs. Returns
    /// whether that is something else than before.
    pub(super) fn move_to(&mut self, member: &Member) -> bool {
        let places = (
            member.addresses().iter().map(PeerAddress::election).collect(),
            member.addresses().iter().map(PeerAddress::quorum).collect(),
            observer_master_places(member, self.observer_master_port),
        );
        let mine = (&mut self.election, &mut self.quorum, &mut self.observer_master);
        let is_new = (&places.0, &places.1, &places.2) != (&*mine.0, &*mine.1, &*mine.2);
        (*mine.0, *mine.1, *mine.2) = places;
        is_new
    }
}

/// What a packet may hold where clients may send frames of so many bytes.
fn packet_bytes_max(frame_bytes_max: u32, record_extra_bytes: u32) -> usize {
    (frame_bytes_max as usize + record_extra_bytes as usize).max(PACKET_BYTES_MIN)
}

/// Where a member listens for observers of its own: if it votes, and has a port for them.
fn observer_master_places(member: &Member, port: Option<u16>) -> Vec<HostPort> {
    let Some(port) = port.filter(|_| member.is_voter()) else { return Vec::new() };
    let place = |address: &PeerAddress| HostPort { port, ..address.quorum() };
    member.addresses().iter().map(place).collect()
}

/// Which interfaces a server listens on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interfaces {
    /// Those of its addresses.
    Own,
    /// All.
    All,
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
    use std::fs;

    use config::CommandLine;
    use types::membership::Host;
    use wire::quorum::{AuthInfo, ForwardedRequest, ToLeader};

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
    fn a_member_is_configured_as_apaches_servers_are() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let lines = format!(
            "dataDir={}\ntickTime=100\ninitLimit=10\nsyncLimit=5\ncnxTimeout=700\n\
             electionPortBindRetry=0\nquorumListenOnAllIPs=true\njute.maxbuffer=4096\n\
             jute.maxbuffer.extrasize=1024\n\
             server.1=h1:1:2\nserver.2=h2:3:4\nserver.3=h3:5:6\n",
            path.display()
        );
        fs::write(path.join("zoo.cfg"), lines).expect("written");
        fs::write(path.join("myid"), "2").expect("written");
        let words = [path.join("zoo.cfg").to_str().expect("a name").to_owned()];
        let command_line = CommandLine::from_words(words).expect("words");
        let config = config::load(&command_line, []).expect("a configuration").config;
        let options = Options::new(&config, config.ensemble.as_ref().expect("a member"));
        assert_eq!(options.sid, Sid(2));
        let places = [&options.election, &options.quorum].map(|places| places[0].to_string());
        assert_eq!(places, ["h2:4", "h2:3"]);
        assert_eq!((options.interfaces, options.bind_tries), (Interfaces::All, None));
        let timeouts = [options.call_timeout, options.hello_timeout, options.introduction_timeout];
        assert_eq!(timeouts, [700, 500, 1000].map(Duration::from_millis));
        let leader = [options.leader_timeout, options.leader_pause];
        assert_eq!(leader, [1000, 100].map(Duration::from_millis));
        assert_eq!(options.packet_bytes_max, PACKET_BYTES_MIN);
    }

    #[test]
    fn whoever_the_clients_are_their_requests_get_through() {
        assert_eq!(packet_bytes_max(1 << 20, 1 << 10), (1 << 20) + (1 << 10));
        // As many and as long as they may be, for a frame of that size.
        let id = |number| types::Id::new("digest", format!("{number:03}{}", "u".repeat(650)));
        let ids: Vec<_> = (0..100).map(id).collect();
        let mut buffer = Vec::new();
        let auth = AuthInfo::encode(&mut buffer, &ids);
        let request = ForwardedRequest { session: types::SessionId(1), body: &[0; 8], auth };
        let mut packet = Vec::new();
        ToLeader::Request(request).encode(&mut packet);
        let decoded = ToLeader::decode(&packet, packet_bytes_max(1024, 1024)).expect("taken");
        assert!(decoded.is_some());
    }

    #[test]
    fn numbers_need_no_lookup() {
        assert_eq!(numeric(&place("::1")), Some("[::1]:3888".parse().expect("an address")));
        assert_eq!(numeric(&place("h1")), None);
    }
}
