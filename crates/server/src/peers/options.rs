//! What the connections between servers need to know of the configuration.

/// How a server says where it can be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Greeting {
    /// With its first address, so that every release understands.
    OneAddress,
    /// With all of them, for servers of release 3.6 and newer.
    AllAddresses,
}
