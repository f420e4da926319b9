//! Receiving the snapshot of a leader, as the snapshot's thread does.

use storage::{
    Compression, DataDir, Error, Received, ReceivedSnapshot, ReceivingSnapshot, SimulatedDisk,
};
use types::Zxid;
use zab::Link;

/// Something of a leader's snapshot.
#[derive(Debug)]
pub(super) enum StreamPart {
    /// It begins.
    Head { link: Link, last_applied: Zxid },
    /// It goes on.
    Bytes { link: Link, bytes: Vec<u8> },
    /// Its connection has ended.
    CutOff { link: Link },
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing to tell.
    None,
    /// It was taken, and more must come over this connection.
    TakesMore(Link),
    /// The snapshot is whole, and these bytes do not belong to it.
    Whole(Link, Box<ReceivedSnapshot<SimulatedDisk>>, Vec<u8>),
    /// Nothing comes of it.
    GivenUp(Link, Option<Error>),
}

/// Receives one snapshot at a time.
#[derive(Debug)]
pub(super) struct Receiver {
    tree: tree::Options,
    arriving: Option<(Link, ReceivingSnapshot<SimulatedDisk>)>,
}

impl Receiver {
    pub(super) fn new(tree: tree::Options) -> Self {
        Self { tree, arriving: None }
    }

    pub(super) fn tree_options(&self) -> &tree::Options {
        &self.tree
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.arriving.is_some()
    }

    /// Takes the next part.
    pub(super) fn take(&mut self, data_dir: &DataDir<SimulatedDisk>, part: StreamPart) -> Progress {
        match part {
            StreamPart::Head { link, last_applied } => {
                match data_dir.start_receiving(last_applied, Compression::None, self.tree) {
                    Ok(snapshot) => {
                        self.arriving = Some((link, snapshot));
                        Progress::None
                    }
                    Err(error) => Progress::GivenUp(link, Some(error)),
                }
            }
            StreamPart::Bytes { link, mut bytes } => {
                let Some((_, mut snapshot)) = self.arriving.take_if(|(from, _)| *from == link)
                else {
                    return Progress::None;
                };
                match snapshot.take(&bytes) {
                    Ok(Received::More) => {
                        self.arriving = Some((link, snapshot));
                        Progress::TakesMore(link)
                    }
                    Ok(Received::Whole { taken }) => match snapshot.finish() {
                        Ok(snapshot) => {
                            Progress::Whole(link, Box::new(snapshot), bytes.split_off(taken))
                        }
                        Err(error) => Progress::GivenUp(link, Some(error)),
                    },
                    Err(error) => Progress::GivenUp(link, Some(error)),
                }
            }
            StreamPart::CutOff { link } => match self.arriving.take_if(|(from, _)| *from == link) {
                Some(_) => Progress::GivenUp(link, None),
                None => Progress::None,
            },
        }
    }
}
