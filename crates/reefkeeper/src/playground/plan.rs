//! Who is in a playground, at which ports, with which files.
//!
//! ```text
//! <dir>/members          a line for each server: id, role, ports; kept for the next time
//!       control          the socket for orders, while the playground runs
//!       <id>/zoo.cfg     read at each start of the server; free to be edited
//!       <id>/data/       its data
//!       <id>/log         what it says
//! ```

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{env, process};

use rustix::process::getuid;

use super::error::PlaygroundError;

/// Where the search for ports between servers begins: Apache's example has this one.
const PEER_PORTS_FROM: u16 = 2888;
/// Below the ports that systems give to outgoing connections, so that a server that was stopped
/// finds its own free.
const ANY_PORTS: std::ops::Range<u16> = 10_000..30_000;
/// How many voters there are if nobody says.
const VOTERS: u8 = 3;

/// What the operator wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// How many servers vote; `None`: as the directory has, or three.
    pub(crate) voters: Option<u8>,
    /// How many observe; `None`: as the directory has, or none.
    pub(crate) observers: Option<u8>,
    /// Where the search for client ports begins; 0: anywhere.
    pub(crate) first_port: u16,
    /// Lines for each configuration.
    pub(crate) settings: Vec<String>,
}

/// All servers of a playground.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where everything is; absolute.
    pub(crate) dir: PathBuf,
    /// Whether that is removed in the end.
    pub(crate) is_temporary: bool,
    /// One for each server, by id.
    pub(crate) places: Vec<Place>,
}

/// One server's ports and files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Its id.
    pub(crate) id: u8,
    role: Role,
    ports: Ports,
    dir: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Participant,
    Observer,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ports {
    client: u16,
    quorum: u16,
    election: u16,
}

/// Where a playground is that was given no directory: one for each user.
pub(crate) fn temporary_dir() -> PathBuf {
    env::temp_dir().join(format!("reefkeeper-playground-{}", getuid().as_raw()))
}

impl Plan {
    /// The plan that a directory has; or a new one, with its files.
    ///
    /// # Errors
    /// When the directory can not be used, or has a plan of another size.
    pub(crate) fn make(dir: PathBuf, wish: &Wish) -> Result<Self, PlaygroundError> {
        let is_temporary = dir == temporary_dir();
        if is_temporary {
            clear_temporary(&dir)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(at(&dir))?;
        let dir = dir.canonicalize().map_err(at(&dir))?;
        let file = dir.join("members");
        let places = match fs::read_to_string(&file) {
            Ok(text) => {
                let places = parse(&dir, &text)
                    .map_err(|line| PlaygroundError::NoPlan { path: file, line })?;
                check_size(&dir, &places, wish)?;
                places
            }
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => {
                let places = choose(&dir, wish)?;
                write(&places, wish)?;
                let lines: Vec<String> = places.iter().map(Place::to_string).collect();
                fs::write(&file, lines.concat()).map_err(at(&file))?;
                places
            }
            Err(source) => return Err(PlaygroundError::File { path: file, source }),
        };
        Ok(Self { dir, is_temporary, places })
    }

    /// The addresses of all servers, for clients.
    pub(crate) fn connection_string(&self) -> String {
        let addresses: Vec<String> = self.places.iter().map(Place::clients).collect();
        addresses.join(",")
    }

    /// Removes everything if nobody wanted to keep it.
    pub(crate) fn remove_if_temporary(&self) -> Result<(), PlaygroundError> {
        match self.is_temporary {
            true => fs::remove_dir_all(&self.dir).map_err(at(&self.dir)),
            false => Ok(()),
        }
    }
}

impl Place {
    /// Where its clients connect.
    pub(crate) fn client_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.client).into()
    }

    /// The same, as text.
    pub(crate) fn clients(&self) -> String {
        self.client_address().to_string()
    }

    /// What it says.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The same, as text.
    pub(crate) fn log(&self) -> String {
        self.log_file().display().to_string()
    }

    /// What it is configured by.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.dir.join("zoo.cfg")
    }

    /// Its line in the configuration of all.
    fn server_line(&self) -> String {
        let Self { id, role, ports: Ports { quorum, election, .. }, .. } = self;
        format!("server.{id}=127.0.0.1:{quorum}:{election}:{role}\n")
    }

    fn config(&self, places: &[Self], settings: &[String]) -> String {
        let Self { id, role, ports, dir } = self;
        let data = dir.join("data");
        let mut text = format!(
            "# Server {id} of a playground, which reads this at each of its starts.\n\
             dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\npeerType={role}\n\
             tickTime=2000\ninitLimit=10\nsyncLimit=5\n\
             4lw.commands.whitelist=*\nadmin.enableServer=false\n",
            data.display(),
            ports.client,
        );
        let voters = places.iter().filter(|it| it.role == Role::Participant).count();
        if voters == 1 && places.len() > 1 {
            // Alone it would be no ensemble, and have no observers.
            text += "standaloneEnabled=false\n";
        }
        places.iter().for_each(|place| text += &place.server_line());
        settings.iter().for_each(|line| text += &format!("{line}\n"));
        text
    }
}

/// Its line in the plan.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ports { client, quorum, election } = self.ports;
        writeln!(f, "{} {} {client} {quorum} {election}", self.id, self.role)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        })
    }
}

/// Removes what a playground that was killed has left. Nothing of others is touched: everybody may
/// write where temporary directories are.
fn clear_temporary(dir: &Path) -> Result<(), PlaygroundError> {
    let metadata = match fs::symlink_metadata(dir) {
        Ok(metadata) => metadata,
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(PlaygroundError::File { path: dir.to_owned(), source }),
    };
    if !metadata.is_dir() || metadata.uid() != getuid().as_raw() {
        return Err(PlaygroundError::ForeignDirectory { path: dir.to_owned() });
    }
    fs::remove_dir_all(dir).map_err(at(dir))
}

/// The servers that the lines of a plan tell of; fails with the number of a line that tells of none.
fn parse(dir: &Path, text: &str) -> Result<Vec<Place>, usize> {
    let place = |(at, line): (usize, &str)| {
        let mut words = line.split_whitespace();
        let mut parse = || {
            let id: u8 = words.next()?.parse().ok()?;
            let role = match words.next()? {
                "participant" => Role::Participant,
                "observer" => Role::Observer,
                _ => return None,
            };
            let mut port = || words.next()?.parse().ok();
            let ports = Ports { client: port()?, quorum: port()?, election: port()? };
            words.next().is_none().then(|| Place { id, role, ports, dir: dir.join(id.to_string()) })
        };
        parse().ok_or(at + 1)
    };
    text.lines().enumerate().map(place).collect()
}

fn check_size(dir: &Path, places: &[Place], wish: &Wish) -> Result<(), PlaygroundError> {
    let observers = places.iter().filter(|it| it.role == Role::Observer).count();
    let voters = places.len() - observers;
    let is_as_wished = wish.voters.is_none_or(|it| usize::from(it) == voters)
        && wish.observers.is_none_or(|it| usize::from(it) == observers);
    match is_as_wished {
        true => Ok(()),
        false => Err(PlaygroundError::OtherSize { dir: dir.to_owned(), voters, observers }),
    }
}

/// New servers, at ports that are free.
fn choose(dir: &Path, wish: &Wish) -> Result<Vec<Place>, PlaygroundError> {
    let voters = wish.voters.unwrap_or(VOTERS);
    let count = voters + wish.observers.unwrap_or(0);
    let (client, peer) = match wish.first_port {
        0 => (any_port(), any_port()),
        first => (first, PEER_PORTS_FROM),
    };
    // All are held until all are chosen: no two are the same, and nobody else takes them meanwhile.
    let mut held = Vec::new();
    let clients = free_ports(client, usize::from(count), &mut held)?;
    let peers = free_ports(peer, 2 * usize::from(count), &mut held)?;
    let ports = clients.iter().zip(peers.chunks_exact(2));
    let places = (1..=count).zip(ports).map(|(id, (&client, peers))| Place {
        id,
        role: if id <= voters { Role::Participant } else { Role::Observer },
        ports: Ports { client, quorum: peers[0], election: peers[1] },
        dir: dir.join(id.to_string()),
    });
    Ok(places.collect())
}

/// A place to begin the search that other playgrounds of this moment hardly have.
fn any_port() -> u16 {
    let places = u32::from(ANY_PORTS.end - ANY_PORTS.start);
    let place = process::id().wrapping_mul(97) % places;
    ANY_PORTS.start + u16::try_from(place).unwrap_or_default()
}

fn free_ports(
    from: u16,
    count: usize,
    held: &mut Vec<TcpListener>,
) -> Result<Vec<u16>, PlaygroundError> {
    let mut ports = Vec::new();
    for port in from..=u16::MAX {
        if ports.len() == count {
            break;
        }
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
            ports.push(port);
        }
    }
    if ports.len() == count { Ok(ports) } else { Err(PlaygroundError::NoPorts { from }) }
}

/// Writes the files that the servers need to start.
fn write(places: &[Place], wish: &Wish) -> Result<(), PlaygroundError> {
    for place in places {
        let data = place.dir.join("data");
        fs::create_dir_all(&data).map_err(at(&data))?;
        let myid = data.join("myid");
        fs::write(&myid, format!("{}\n", place.id)).map_err(at(&myid))?;
        let config = place.config_file();
        fs::write(&config, place.config(places, &wish.settings)).map_err(at(&config))?;
    }
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PlaygroundError {
    let path = path.to_owned();
    move |source| PlaygroundError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(voters: Option<u8>, observers: Option<u8>) -> Wish {
        Wish { voters, observers, first_port: 0, settings: vec!["tickTime=500".to_owned()] }
    }

    #[test]
    fn a_directory_keeps_its_servers_and_their_ports() {
        let dir = tempfile::tempdir().unwrap();
        let first = Plan::make(dir.path().to_owned(), &wish(Some(2), Some(1))).unwrap();
        assert_eq!(first.places.len(), 3);
        for same in [wish(None, None), wish(Some(2), None), wish(Some(2), Some(1))] {
            let second = Plan::make(dir.path().to_owned(), &same).unwrap();
            assert_eq!(second.places, first.places);
        }
        let other = Plan::make(dir.path().to_owned(), &wish(Some(3), None)).unwrap_err();
        assert!(other.to_string().contains("has 2 servers and 1 observers already"), "{other}");
        first.remove_if_temporary().unwrap();
        assert!(dir.path().join("members").exists(), "what was given is kept");
    }

    #[test]
    fn no_two_ports_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::make(dir.path().to_owned(), &wish(Some(5), Some(2))).unwrap();
        let ports =
            plan.places.iter().map(|it| [it.ports.client, it.ports.quorum, it.ports.election]);
        let mut ports: Vec<u16> = ports.flatten().collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 21);
    }

    #[test]
    fn a_plan_that_was_spoilt_is_named_by_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["1 voter 1 2 3\n", "1 participant 1 2\n", "x\n", "1 observer 1 2 3 4\n"] {
            let text = format!("2 observer 2181 2888 2889\n{text}");
            fs::write(dir.path().join("members"), text).unwrap();
            let error = Plan::make(dir.path().to_owned(), &wish(None, None)).unwrap_err();
            assert!(error.to_string().contains("/members:2: expected"), "{error}");
        }
    }

    #[test]
    fn every_server_is_configured_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::make(dir.path().to_owned(), &wish(Some(1), Some(1))).unwrap();
        let text = fs::read_to_string(plan.places[1].config_file()).unwrap();
        let line = plan.places[1].server_line();
        assert!(line.ends_with(":observer\n") && text.contains(&line), "{text}");
        assert!(text.contains("peerType=observer\n") && text.contains("standaloneEnabled=false\n"));
        assert!(text.ends_with("tickTime=500\n"), "settings come last: {text}");
        assert_eq!(fs::read_to_string(dir.path().join("2/data/myid")).unwrap(), "2\n");
    }
}
