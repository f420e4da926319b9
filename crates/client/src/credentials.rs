//! Who a password stands for.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use types::Id;

/// Stays out of debug output.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The identity of the scheme `digest` that servers take those for who present `user:password`.
///
/// That is how a list of access control names somebody without giving the password away. It is the user and
/// the SHA-1 hash of the whole text, as in Java's `DigestAuthenticationProvider`; servers that are
/// configured for another hash (`zookeeper.DigestAuthenticationProvider.digestAlg`) do not know it.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode, CreateOptions, Id, Perms, digest_id};
///
/// let client = Client::builder(ensemble).auth("digest", "alice:secret").connect().await?;
/// let alice = digest_id("alice:secret");
/// assert_eq!(&*alice.id, "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=");
///
/// let acl = [alice.may(Perms::ALL), Id::anyone().may(Perms::READ)];
/// let options = CreateOptions::new(CreateMode::Persistent).acl(acl);
/// client.create("/diary", "dear diary", options).await?;
/// # Ok(()) });
/// ```
pub fn digest_id(credentials: &str) -> Id {
    let hash = sha1_smol::Sha1::from(credentials).digest().bytes();
    let user = credentials.split(':').next().unwrap_or_default();
    Id::new("digest", format!("{user}:{}", STANDARD.encode(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_users_as_java_does() {
        let check = |credentials: &str, id: &str| {
            assert_eq!(digest_id(credentials), Id::new("digest", id), "{credentials}");
        };
        // From the documentation of Apache's server.
        check("super:test", "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        // Only the first colon is between the user and the password.
        check("bob:a:b", "bob:J4+K+FVuB1hEWvxpNRVKdRWAekY=");
        check("nobody", "nobody:Nl7BemdfMnO8FsdHYa2D8s8HxZo=");
    }
}
