//! What operations write: data, and what kind of znode.

use std::borrow::Cow;

use types::{AclList, Create, CreateCall, CreateMode};

/// What an operation should write: bytes, or null, which servers keep apart from no bytes.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode, Payload};
///
/// let client = Client::connect(ensemble).await?;
/// client.create("/text", "hello", CreateMode::Persistent).await?;
/// client.create("/bytes", vec![0xff; 3], CreateMode::Persistent).await?;
/// client.create("/null", Payload::NULL, CreateMode::Persistent).await?;
/// assert_eq!(client.get_data("/null").await?.value, None);
/// # Ok(()) });
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload(Option<Vec<u8>>);

impl Payload {
    /// No data at all.
    pub const NULL: Self = Self(None);

    pub(crate) fn into_op(self) -> Option<Cow<'static, [u8]>> {
        self.0.map(Cow::Owned)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Some(bytes))
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(Some(bytes.to_vec()))
    }
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(bytes: &[u8; N]) -> Self {
        Self(Some(bytes.to_vec()))
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(Some(text.as_bytes().to_vec()))
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self(Some(text.into_bytes()))
    }
}

impl From<bytes::Bytes> for Payload {
    fn from(bytes: bytes::Bytes) -> Self {
        Self(Some(bytes.into()))
    }
}

impl From<Option<Vec<u8>>> for Payload {
    fn from(bytes: Option<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

/// What kind of znode to create, and who may do what with it.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{AclList, Client, CreateMode, CreateOptions};
///
/// let client = Client::connect(ensemble).await?;
/// // A mode is enough where the client's default decides who may do what.
/// client.create("/open", "", CreateMode::Persistent).await?;
/// let options = CreateOptions::new(CreateMode::Persistent).acl(AclList::read_only());
/// client.create("/sealed", "", options).await?;
/// assert!(client.set_data("/sealed", "x", None).await.is_err());
/// # Ok(()) });
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateOptions {
    /// What kind.
    pub mode: CreateMode,
    /// Who may do what; `None` is the client's default, see [`crate::Builder::default_acl`].
    pub acl: Option<AclList>,
}

impl CreateOptions {
    /// Of that kind, with the client's default for who may do what.
    pub const fn new(mode: CreateMode) -> Self {
        Self { mode, acl: None }
    }

    /// With that access control list.
    #[must_use]
    pub fn acl(mut self, acl: impl Into<AclList>) -> Self {
        self.acl = Some(acl.into());
        self
    }

    pub(crate) fn into_create(
        self,
        path: &str,
        data: Payload,
        default_acl: &AclList,
    ) -> Create<'static> {
        let call = match self.mode {
            CreateMode::Container => CreateCall::Container,
            CreateMode::PersistentWithTtl(_) | CreateMode::PersistentSequentialWithTtl(_) => {
                CreateCall::Ttl
            }
            CreateMode::Persistent
            | CreateMode::Ephemeral
            | CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential => CreateCall::Create2,
        };
        let path = Cow::Owned(path.to_owned());
        let acl = self.acl.unwrap_or_else(|| default_acl.clone());
        Create { call, path, data: data.into_op(), acl, mode: self.mode }
    }
}

impl From<CreateMode> for CreateOptions {
    fn from(mode: CreateMode) -> Self {
        Self::new(mode)
    }
}
