//! The `digest` scheme: a user name and the hash of `user:password`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use types::Id;

/// How `user:password` is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DigestAlgorithm {
    /// Broken; for databases that were made with it.
    Md5,
    /// What every release has by default.
    #[default]
    Sha1,
    /// 224 bits of the SHA-2 family.
    Sha224,
    /// 256 bits of the SHA-2 family.
    Sha256,
    /// 384 bits of the SHA-2 family.
    Sha384,
    /// 512 bits of the SHA-2 family.
    Sha512,
}

/// The identity that goes with the credentials `user:password`.
pub fn digest_id(algorithm: DigestAlgorithm, credentials: &[u8]) -> Id {
    let hash = match algorithm {
        DigestAlgorithm::Md5 => STANDARD.encode(Md5::digest(credentials)),
        DigestAlgorithm::Sha1 => STANDARD.encode(Sha1::digest(credentials)),
        DigestAlgorithm::Sha224 => STANDARD.encode(Sha224::digest(credentials)),
        DigestAlgorithm::Sha256 => STANDARD.encode(Sha256::digest(credentials)),
        DigestAlgorithm::Sha384 => STANDARD.encode(Sha384::digest(credentials)),
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
