//! What is published, and who learns of it.

/// A value that was published once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// The value; there is no other like it.
    pub value: String,
    /// The values that had been published for sure before this one was asked for.
    pub after: Vec<String>,
}

/// What one was told of a value, in order; `None` where there was none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Follower {
    /// What it was told.
    pub told: Vec<Option<String>>,
}

/// An instance of a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Offer {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub address: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// What else is said of it.
    pub payload: Option<String>,
    /// Whether it wants to be called.
    pub is_enabled: bool,
}
