//! The field that tells what kind of znode one is.

use std::time::Duration;

use crate::SessionId;

/// The longest time to live, in milliseconds: 40 bits.
pub const TTL_MS_MAX: i64 = (1 << 40) - 1;

const CONTAINER: i64 = i64::MIN;
const EXTENDED_MARK: i64 = 0xFF << 56;
const EXTENDED_MARK_MASK: i64 = 0xFF << 56;
const FEATURE_MASK: i64 = 0x00FF_FF00_0000_0000;

/// Which owners beyond sessions and containers this server recognises. All members of an ensemble
/// must agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ExtendedTypes {
    /// None: what looks like a TTL owner is a session id (`extendedTypesEnabled=false`).
    #[default]
    Disabled,
    /// TTL znodes.
    Enabled,
    /// TTL znodes, also those that 3.5.3 wrote (`emulate353TTLNodes=true`).
    Emulate353,
}

/// The stored owner field: a session id, or a mark for the other kinds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Owner(i64);

/// What kind of znode one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeKind {
    /// Lives until it is deleted.
    Persistent,
    /// Lives until its session ends; has no children.
    Ephemeral(SessionId),
    /// Removed by the server some time after its last child was.
    Container,
    /// Removed by the server when it has no children and was not set for that long.
    Ttl(Duration),
}

impl Owner {
    /// The owner of a persistent znode.
    pub const PERSISTENT: Self = Self(0);

    /// The owner as it is stored.
    pub const fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    /// The number that is stored.
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// The owner to store for a znode of this kind; `None` when a time to live is out of range
    /// (1 ms to [`TTL_MS_MAX`]).
    pub fn of(kind: NodeKind) -> Option<Self> {
        Some(match kind {
            NodeKind::Persistent => Self::PERSISTENT,
            NodeKind::Ephemeral(session) => Self(session.0),
            NodeKind::Container => Self(CONTAINER),
            NodeKind::Ttl(ttl) => {
                let ttl_ms = i64::try_from(ttl.as_millis()).ok()?;
                if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
                    return None;
                }
                Self(EXTENDED_MARK | ttl_ms)
            }
        })
    }

    /// The kind of znode this owner stands for.
    ///
    /// An extended owner with an unknown feature number reads as a session, so that nothing is
    /// reaped that this version does not understand.
    pub fn kind(self, extended: ExtendedTypes) -> NodeKind {
        let is_ttl = match extended {
            ExtendedTypes::Disabled => false,
            ExtendedTypes::Enabled => {
                self.0 & EXTENDED_MARK_MASK == EXTENDED_MARK && self.0 & FEATURE_MASK == 0
            }
            ExtendedTypes::Emulate353 => self.0 < 0 && self.0 != CONTAINER,
        };
        match self.0 {
            0 => NodeKind::Persistent,
            CONTAINER => NodeKind::Container,
            owner if is_ttl => {
                NodeKind::Ttl(Duration::from_millis((owner & TTL_MS_MAX).unsigned_abs()))
            }
            owner => NodeKind::Ephemeral(SessionId(owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_the_owner_field() {
        let ttl = NodeKind::Ttl(Duration::from_millis(5000));
        for kind in [
            NodeKind::Persistent,
            NodeKind::Ephemeral(SessionId(0x0100_0000_0000_0001)),
            NodeKind::Container,
            ttl,
        ] {
            let owner = Owner::of(kind).expect("in range");
            assert_eq!(owner.kind(ExtendedTypes::Enabled), kind);
        }
        let owner = Owner::of(ttl).expect("in range");
        assert_eq!(owner.raw() as u64, 0xFF00_0000_0000_1388);
        assert_eq!(
            owner.kind(ExtendedTypes::Disabled),
            NodeKind::Ephemeral(SessionId(owner.raw()))
        );
    }

    #[test]
    fn times_to_live_have_bounds() {
        assert_eq!(Owner::of(NodeKind::Ttl(Duration::ZERO)), None);
        let longest = Duration::from_millis(TTL_MS_MAX.unsigned_abs());
        assert!(Owner::of(NodeKind::Ttl(longest)).is_some());
        assert_eq!(Owner::of(NodeKind::Ttl(longest + Duration::from_millis(1))), None);
    }

    #[test]
    fn emulation_recognises_owners_of_353() {
        let old = Owner::from_raw(i64::MIN | 5000);
        assert_eq!(old.kind(ExtendedTypes::Emulate353), NodeKind::Ttl(Duration::from_millis(5000)));
        assert_eq!(old.kind(ExtendedTypes::Enabled), NodeKind::Ephemeral(SessionId(old.raw())));
    }
}
