//! Connections between servers, with delays and cuts: what arrives over one of them arrives in order.

use std::collections::BTreeMap;

use types::{Instant, Sid};
use zab::Link;

/// The two ports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Port {
    Election,
    Quorum,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) owner: Sid,
    pub(crate) other: Link,
    pub(crate) port: Port,
    /// When the last thing that was sent to this end arrives.
    pub(crate) busy_until: Instant,
}

/// All connections, by their ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) ends: BTreeMap<Link, End>,
    last: u64,
}

impl Network {
    /// A new connection; returns its ends.
    pub(crate) fn connect(&mut self, from: Sid, to: Sid, port: Port) -> (Link, Link) {
        let (near, far) = (Link(self.last + 1), Link(self.last + 2));
        self.last += 2;
        let busy_until = Instant::default();
        self.ends.insert(near, End { owner: from, other: far, port, busy_until });
        self.ends.insert(far, End { owner: to, other: near, port, busy_until });
        (near, far)
    }

    /// The ends of all connections between two servers.
    pub(crate) fn between(&self, a: Sid, b: Sid) -> Vec<Link> {
        let joins = |end: &End| {
            let other = self.ends.get(&end.other).map(|it| it.owner);
            end.owner == a && other == Some(b)
        };
        self.ends.iter().filter(|(_, end)| joins(end)).map(|(&link, _)| link).collect()
    }

    /// The ends that a server has.
    pub(crate) fn of(&self, owner: Sid) -> Vec<Link> {
        self.ends.iter().filter(|(_, end)| end.owner == owner).map(|(&link, _)| link).collect()
    }
}
