//! Ports for servers that are stopped and started again.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections: one of those may hold a port for as long as it
/// likes while its server is stopped.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// Ports on which nobody listens, and that no other test of this process is given.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    [(); N].map(|()| free_port())
}

fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin somewhere else each.
    let first = std::process::id().wrapping_mul(97);
    loop {
        let next = first.wrapping_add(u32::from(TAKEN.fetch_add(1, Ordering::Relaxed)));
        let port =
            PORTS.start + u16::try_from(next % u32::from(PORTS.end - PORTS.start)).unwrap_or(0);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
