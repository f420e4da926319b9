//! Ports for servers that come and go.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use crate::failure::Failure;

/// Ports are chosen below those that systems choose by themselves, so that no connection takes one
/// between its choice and its use, nor while its server is down.
const PORTS: Range<u16> = 10_000..30_000;
const ATTEMPTS_MAX: usize = 1_000;

/// A port that is free now. No seed decides which: two runs of the same seed at a time would take each
/// other's.
pub(crate) fn free_port() -> Result<u16, Failure> {
    // The keys of the standard library's hashes come from the system, and are others each time.
    let number = || RandomState::new().build_hasher().finish();
    let mut refusal = None;
    for _ in 0..ATTEMPTS_MAX {
        let span = u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(number() % span).unwrap_or(0);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => refusal = Some(error),
        }
    }
    let refusal = refusal.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
    Err(Failure::io("there is no free port")(refusal))
}
