//! The records of a snapshot between its header and its first seal, taken from input that arrives in
//! pieces: out of a file, or from a leader.

use tree::{LoadError, TreeLoader};
use types::Zxid;
use wire::jute::{DecodeError, Reader};
use wire::limits::STORED_BYTES_MAX;
use wire::stored::snapshot::{self as stored, StoredAcl, StoredNode, StoredSession};

/// Where the membership is kept.
const CONFIG_NODE: &str = "/zookeeper/config";

/// How far the records were taken.
#[derive(Debug)]
pub(super) struct Records {
    part: Part,
}

/// What comes next.
#[derive(Debug)]
enum Part {
    SessionCount,
    Sessions { left: usize },
    AclCount,
    Acls { left: usize },
    Znodes,
    Done,
}

/// Why not all records could be taken.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The next one is not whole, or none.
    Undecodable(DecodeError),
    /// A znode has no place in the tree.
    NoTree(LoadError),
}

impl Records {
    /// None were taken.
    pub(super) fn new() -> Self {
        Self { part: Part::SessionCount }
    }

    /// Takes as many records as are whole, and tells how many bytes they have. `Ok` means that the
    /// mark behind the last one was taken too. After [`DecodeError::Truncated`], come back with the
    /// rest of the input and more.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        sink: &mut impl RecordSink,
    ) -> (usize, Result<(), Stopped>) {
        let mut reader = Reader::with_limit(input, STORED_BYTES_MAX);
        loop {
            let before = reader.position();
            if let Err(stopped) = self.take_one(&mut reader, sink) {
                return (before, Err(stopped));
            }
            if matches!(self.part, Part::Done) {
                return (reader.position(), Ok(()));
            }
        }
    }

    fn take_one(
        &mut self,
        reader: &mut Reader<'_>,
        sink: &mut impl RecordSink,
    ) -> Result<(), Stopped> {
        match &mut self.part {
            Part::SessionCount => {
                self.part = Part::Sessions { left: stored::decode_count(reader)? };
            }
            Part::Sessions { left: 0 } => self.part = Part::AclCount,
            Part::Sessions { left } => {
                sink.session(stored::decode_session(reader)?);
                *left -= 1;
            }
            Part::AclCount => self.part = Part::Acls { left: stored::decode_count(reader)? },
            Part::Acls { left: 0 } => self.part = Part::Znodes,
            Part::Acls { left } => {
                sink.acl(stored::decode_acl(reader)?);
                *left -= 1;
            }
            Part::Znodes => match stored::decode_node(reader)? {
                Some(node) => sink.node(&node).map_err(Stopped::NoTree)?,
                None => self.part = Part::Done,
            },
            Part::Done => {}
        }
        Ok(())
    }
}

impl From<DecodeError> for Stopped {
    fn from(error: DecodeError) -> Self {
        Self::Undecodable(error)
    }
}

/// Takes what a snapshot is made of.
pub(super) trait RecordSink {
    /// Takes a session.
    fn session(&mut self, session: StoredSession);
    /// Takes an access control list.
    fn acl(&mut self, acl: StoredAcl);
    /// Takes a znode.
    fn node(&mut self, node: &StoredNode<'_>) -> Result<(), LoadError>;
}

impl RecordSink for TreeLoader {
    fn session(&mut self, session: StoredSession) {
        self.session(session.session, session.timeout_ms);
    }

    fn acl(&mut self, acl: StoredAcl) {
        self.acl(acl.id.0, acl.acl);
    }

    fn node(&mut self, node: &StoredNode<'_>) -> Result<(), LoadError> {
        self.node(&node.path, node.data, node.acl.0, &node.stat)
    }
}

/// The last transaction of which znodes show a trace; nothing else is kept.
#[derive(Debug)]
pub(super) struct Reach(pub(super) Zxid);

impl RecordSink for Reach {
    fn session(&mut self, _session: StoredSession) {}

    fn acl(&mut self, _acl: StoredAcl) {}

    fn node(&mut self, node: &StoredNode<'_>) -> Result<(), LoadError> {
        // Servers write their membership there themselves, with its version for a zxid.
        if node.path != CONFIG_NODE {
            let stat = &node.stat;
            self.0 = self.0.max(stat.czxid).max(stat.mzxid).max(stat.pzxid);
        }
        Ok(())
    }
}
