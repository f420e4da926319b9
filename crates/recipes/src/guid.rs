//! Names that nobody else chooses.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// A random number of 128 bits, written as a version 4 UUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Guid(u128);

impl Guid {
    /// A new one. It is unique, not secret: the numbers come from the keys of the standard
    /// library's hash tables, which are random for each thread and differ for each table.
    pub(crate) fn random() -> Self {
        let bits = random_bits();
        // The places where the standard wants the version and the variant.
        let version = 0x4 << 76;
        let variant = 0x8 << 60;
        Self(bits & !(0xf << 76) & !(0xc << 60) | version | variant)
    }

    /// A number from 0 up to, and without, a bound that is far smaller than the guid.
    pub(crate) const fn number_below(self, bound: usize) -> usize {
        ((self.0 >> 80) % bound as u128) as usize
    }
}

/// What names are made of, from the keys of a hash table.
fn random_bits() -> u128 {
    #[cfg(feature = "seeded")]
    if let Some(bits) = crate::seeded::bits() {
        return bits;
    }
    let keys = RandomState::new();
    u128::from(keys.hash_one(0_u8)) << 64 | u128::from(keys.hash_one(1_u8))
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let [a, b, c, d, e] =
            [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn they_differ_and_look_like_uuids() {
        let guids: HashSet<_> = (0..1000).map(|_| Guid::random()).collect();
        assert_eq!(guids.len(), 1000);
        for guid in guids {
            let text = guid.to_string();
            let lengths: Vec<_> = text.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{text}");
            assert_eq!(&text[14..15], "4", "{text}");
            assert!(["8", "9", "a", "b"].contains(&&text[19..20]), "{text}");
        }
    }
}
