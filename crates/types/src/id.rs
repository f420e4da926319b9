//! Ids of servers, sessions, connections and requests.

use std::fmt;

/// A server's id in the ensemble (`myid`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sid(pub i64);

/// A connection of this process, never reused within its lifetime.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// The number a client gives a request; its reply carries the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Xid(pub i32);

impl Xid {
    /// Requests that no client sent: the server's own.
    pub const INTERNAL: Self = Self(0);
    /// A watch event.
    pub const NOTIFICATION: Self = Self(-1);
    /// A ping and its reply.
    pub const PING: Self = Self(-2);
    /// An authentication packet, by convention.
    pub const AUTH: Self = Self(-4);
    /// The re-registration of watches after a reconnect.
    pub const SET_WATCHES: Self = Self(-8);
}

/// A session's id, chosen by the server on which it was opened; its top byte is that server's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub i64);

impl SessionId {
    /// "No session": what a new client sends and what a refused one gets.
    pub const NONE: Self = Self(0);

    /// The first id a server hands out whose tracker started `elapsed_ms` after some fixed moment.
    ///
    /// Ids of two runs of a server differ because time has passed; ids of two servers differ in
    /// their top byte. The result is never the container marker `i64::MIN`.
    #[doc(hidden)]
    pub fn first(sid: Sid, elapsed_ms: i64) -> Self {
        let id = (((elapsed_ms << 24) as u64) >> 8) as i64 | (sid.0 << 56);
        if id == i64::MIN { Self(id + 1) } else { Self(id) }
    }

    /// The byte of the id of the server that opened it.
    #[doc(hidden)]
    pub const fn server_byte(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// The id after this one.
    #[doc(hidden)]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The password that goes with this id, as every Java member of an ensemble recomputes it:
    /// the output of `java.util.Random` seeded with the id and a fixed number.
    ///
    /// It is no secret to those who know the id; see `docs/glossary.md`, "session password".
    #[doc(hidden)]
    pub fn password(self) -> SessionPassword {
        const MULTIPLIER: u64 = 0x5_DEEC_E66D;
        const MASK: u64 = (1 << 48) - 1;
        let mut state = ((self.0 ^ 0xB341_5C00) as u64 ^ MULTIPLIER) & MASK;
        let mut bytes = [0; 16];
        for word in bytes.chunks_exact_mut(4) {
            state = (state.wrapping_mul(MULTIPLIER).wrapping_add(0xB)) & MASK;
            word.copy_from_slice(&(state >> 16).to_le_bytes()[..4]);
        }
        SessionPassword(bytes)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Proof that a client may resume a session. Never shown in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionPassword(pub [u8; 16]);

impl fmt::Debug for SessionPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionPassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_equal_those_of_java_members() {
        let hex = |id| {
            SessionId(id).password().0.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(hex(0x0100_0000_0000_0001), "054cc74a37327db215e702e20c73f005");
        assert_eq!(hex(0x0100_1234_5678_abcd), "0ee78c40428d13b7b2939c34f5e56169");
        assert_eq!(hex(0x8000_0000_0000_0001_u64 as i64), hex(0x0100_0000_0000_0001));
    }

    #[test]
    fn first_id_has_the_server_in_its_top_byte_and_is_never_the_container_marker() {
        assert_eq!(SessionId::first(Sid(1), 0), SessionId(0x0100_0000_0000_0000));
        assert_eq!(SessionId::first(Sid(1), 1), SessionId(0x0100_0000_0001_0000));
        assert_eq!(SessionId::first(Sid(128), 0), SessionId(i64::MIN + 1));
    }

    #[test]
    fn passwords_stay_out_of_debug_output() {
        assert_eq!(format!("{:?}", SessionId(1).password()), "SessionPassword(..)");
    }
}
