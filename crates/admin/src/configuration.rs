//! The words `conf` and `dirs`.

use std::fmt;
use std::path::PathBuf;

use types::Sid;

/// The configuration that matters to operators. Displays as the answer to `conf`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfView {
    /// The port for clients, the one the system chose if it did.
    pub client_port: Option<u16>,
    /// The port for clients with TLS.
    pub secure_client_port: Option<u16>,
    /// Where snapshots are, absolute, `version-2` included.
    pub data_dir: PathBuf,
    /// Where the log is, absolute, `version-2` included.
    pub data_log_dir: PathBuf,
    /// What is in them.
    pub sizes: DirectorySizes,
    /// The tick in milliseconds.
    pub tick_ms: u64,
    /// Connections from one address; 0: any number.
    pub connections_per_address_max: u64,
    /// The shortest session timeout in milliseconds.
    pub session_timeout_min_ms: u64,
    /// The longest session timeout in milliseconds.
    pub session_timeout_max_ms: u64,
    /// The listen backlog; `None`: the system's choice.
    pub listen_backlog: Option<u32>,
    /// The server's id; 0 if it is standalone.
    pub sid: Sid,
    /// What is about its ensemble; `None` if it is standalone.
    pub member: Option<MemberConfView>,
}

/// What matters to operators of a member of an ensemble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberConfView {
    /// Ticks that a learner may take to connect and to get the leader's history.
    pub init_ticks: u32,
    /// Ticks that a learner may be silent, or behind.
    pub sync_ticks: u32,
    /// The ports for elections, one for each of its addresses.
    pub election_ports: Vec<u16>,
    /// The ports for learners.
    pub quorum_ports: Vec<u16>,
    /// Whether it votes.
    pub is_voter: bool,
    /// The membership in force, as text; `None` on a read-only server.
    pub membership: Option<String>,
}

/// Apache has had several algorithms of election; this is the number of the one that is left.
const ELECTION_ALGORITHM: u8 = 3;

/// Bytes on disk. Displays as the answer to `dirs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DirectorySizes {
    /// Of everything where snapshots are, the log included if it is there too.
    pub data_dir_bytes: u64,
    /// Of everything where the log is.
    pub log_dir_bytes: u64,
}

impl fmt::Display for ConfView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = |port: Option<u16>| port.map_or(-1, i32::from);
        writeln!(f, "clientPort={}", port(self.client_port))?;
        writeln!(f, "secureClientPort={}", port(self.secure_client_port))?;
        writeln!(f, "dataDir={}", self.data_dir.display())?;
        writeln!(f, "dataDirSize={}", self.sizes.data_dir_bytes)?;
        writeln!(f, "dataLogDir={}", self.data_log_dir.display())?;
        writeln!(f, "dataLogSize={}", self.sizes.log_dir_bytes)?;
        writeln!(f, "tickTime={}", self.tick_ms)?;
        writeln!(f, "maxClientCnxns={}", self.connections_per_address_max)?;
        writeln!(f, "minSessionTimeout={}", self.session_timeout_min_ms)?;
        writeln!(f, "maxSessionTimeout={}", self.session_timeout_max_ms)?;
        writeln!(f, "clientPortListenBacklog={}", self.listen_backlog.map_or(-1, i64::from))?;
        writeln!(f, "serverId={}", self.sid.0)?;
        self.member.as_ref().map_or(Ok(()), |member| member.fmt(f))
    }
}

impl fmt::Display for MemberConfView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "initLimit={}", self.init_ticks)?;
        writeln!(f, "syncLimit={}", self.sync_ticks)?;
        writeln!(f, "electionAlg={ELECTION_ALGORITHM}")?;
        writeln!(f, "electionPort={}", joined(&self.election_ports))?;
        writeln!(f, "quorumPort={}", joined(&self.quorum_ports))?;
        writeln!(f, "peerType={}", u8::from(!self.is_voter))?;
        self.membership.as_ref().map_or(Ok(()), |text| write!(f, "membership: \n{text}"))
    }
}

fn joined(ports: &[u16]) -> String {
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    ports.join("|")
}

impl fmt::Display for DirectorySizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "datadir_size: {}", self.data_dir_bytes)?;
        writeln!(f, "logdir_size: {}", self.log_dir_bytes)
    }
}
