//! Listens until it is killed, and says on standard output where:
//!
//! ```text
//! echo [ADDRESS [VALUE_BYTES [LOG]]]
//! echo lead ADDRESS VALUE_BYTES LOG FOLLOWERS_ADDRESS
//! echo follow FOLLOWERS_ADDRESS LOG
//! ```
//!
//! ADDRESS is 127.0.0.1:2199 by default, VALUE_BYTES 100. With LOG, the path of a file that does not
//! exist yet, requests that change something are answered when they are durable in it; `lead` answers
//! them when they are durable in the log of one of two followers, too. It listens at ADDRESS when both
//! of them have come to FOLLOWERS_ADDRESS. Followers end with their leader.

use std::error::Error;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;

use echo::{Echo, Follower, History, Leader, Log};

const USAGE: &str = "usage: echo [ADDRESS [VALUE_BYTES [LOG]]]
              echo lead ADDRESS VALUE_BYTES LOG FOLLOWERS_ADDRESS
              echo follow FOLLOWERS_ADDRESS LOG";

const ADDRESS: &str = "127.0.0.1:2199";
const VALUE_BYTES: &str = "100";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["lead", address, value_bytes, log, followers] => {
            let log = Log::create(Path::new(log))?;
            let listener = TcpListener::bind(followers)?;
            writeln!(std::io::stdout(), "expecting followers on {}", listener.local_addr()?)?;
            let leader = Leader::accept(&listener, log)?;
            serve(address, value_bytes, Some(History::Replicated(leader)))
        }
        ["follow", leader, log] => {
            let log = Log::create(Path::new(log))?;
            Ok(Follower::join(leader.parse()?, log)?.serve()?)
        }
        ["lead" | "follow", ..] => Err(USAGE.into()),
        [] => serve(ADDRESS, VALUE_BYTES, None),
        [address] => serve(address, VALUE_BYTES, None),
        [address, value_bytes] => serve(address, value_bytes, None),
        [address, value_bytes, log] => {
            let log = Log::create(Path::new(log))?;
            serve(address, value_bytes, Some(History::Synced(log)))
        }
        _ => Err(USAGE.into()),
    }
}

/// Answers clients until the process is killed.
fn serve(address: &str, value_bytes: &str, history: Option<History>) -> Result<(), Box<dyn Error>> {
    let echo = Echo::bind(address.parse()?, value_bytes.parse()?, history)?;
    writeln!(std::io::stdout(), "listening on {}", echo.local_addr()?)?;
    Ok(echo.serve()?)
}
