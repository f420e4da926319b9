//! The `digest` scheme: a user name and the hash of `user:password`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use types::Id;

/// How `user:password` is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DigestAlgorithm {
    /// What every release has by default.
    #[default]
    Sha1,
    /// Stronger.
    Sha256,
    /// Stronger still.
    Sha512,
}

impl DigestAlgorithm {
    /// The algorithm with this name in Java's spelling, such as `SHA-256`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "SHA1" | "SHA-1" | "SHA" => Self::Sha1,
            "SHA-256" | "SHA256" => Self::Sha256,
            "SHA-512" | "SHA512" => Self::Sha512,
            _ => return None,
        })
    }
}

/// The identity that goes with the credentials `user:password`.
pub fn digest_id(algorithm: DigestAlgorithm, credentials: &[u8]) -> Id {
    let hash = match algorithm {
        DigestAlgorithm::Sha1 => STANDARD.encode(Sha1::digest(credentials)),
        DigestAlgorithm::Sha256 => STANDARD.encode(Sha256::digest(credentials)),
        DigestAlgorithm::Sha512 => STANDARD.encode(Sha512::digest(credentials)),
    };
    let user = credentials.split(|&byte| byte == b':').next().unwrap_or_default();
    Id::new("digest", format!("{}:{hash}", String::from_utf8_lossy(user)))
}

/// Whether an id has the form `user:hash`: two parts when it is split at colons and empty parts at
/// the end are dropped.
pub(super) fn is_valid(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_java_does() {
        let id = digest_id(DigestAlgorithm::Sha1, b"super:test");
        assert_eq!(&*id.id, "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        let with_colon = digest_id(DigestAlgorithm::Sha1, b"a:b:c");
        assert!(with_colon.id.starts_with("a:"));
        assert!(digest_id(DigestAlgorithm::Sha1, b"foo").id.starts_with("foo:"));
    }

    #[test]
    fn ids_have_two_parts() {
        for (id, valid) in
            [("a:b", true), (":b", true), ("a:b:", true), ("a:", false), ("a", false), ("", false)]
        {
            assert_eq!(is_valid(id), valid, "{id}");
        }
    }
}
