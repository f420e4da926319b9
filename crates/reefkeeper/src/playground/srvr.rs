//! What a server says that it does.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long it may take to answer: it is on the same machine.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// What a server does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// It serves clients, in this mode.
    Serving(String),
    /// Its process runs, and nobody can connect yet.
    Starting,
    /// It serves nobody.
    Looking,
    /// Its process was paused.
    Paused,
    /// It was told to stop.
    Stopped,
    /// It was killed.
    Killed,
    /// It ended though nobody told it to.
    Ended,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving(mode) => mode,
            Self::Starting => "starting",
            Self::Looking => "looking",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Ended => "ended",
        })
    }
}

/// Asks the server behind a client port by the word `srvr`. One that does not answer is looking.
pub(crate) fn ask(clients: SocketAddr) -> State {
    let Ok(mut stream) = TcpStream::connect_timeout(&clients, ANSWER_MAX) else {
        return State::Starting;
    };
    let mut answer = || {
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(b"srvr")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    match answer() {
        Ok(text) => mode(&text).map_or(State::Looking, |mode| State::Serving(mode.to_owned())),
        Err(_) => State::Looking,
    }
}

fn mode(answer: &str) -> Option<&str> {
    answer.lines().find_map(|line| line.strip_prefix("Mode: "))
}

#[cfg(test)]
mod tests {
    use super::mode;

    #[test]
    fn the_mode_is_in_the_answer_of_a_server_that_serves() {
        assert_eq!(
            mode("Zookeeper version: 3.9.5\nZxid: 0x0\nMode: leader\nNode count: 5\n"),
            Some("leader")
        );
        assert_eq!(mode("This ZooKeeper instance is not currently serving requests\n"), None);
    }
}
