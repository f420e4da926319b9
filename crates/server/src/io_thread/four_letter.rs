//! Answers to the words that operators send instead of a handshake.

use std::sync::Arc;

use replica::{FrontId, Frontend};
use types::Now;

use crate::view::Views;

/// Who answers.
#[derive(Debug)]
pub(super) struct Answerer {
    views: Arc<Views>,
    front: FrontId,
}

impl Answerer {
    pub(super) fn new(views: Arc<Views>, front: FrontId) -> Self {
        Self { views, front }
    }

    /// The answer, if the bytes begin with a known word.
    pub(super) fn answer(&self, first: &[u8], _: &Frontend, _: Now) -> Option<Vec<u8>> {
        match first.get(..4)? {
            b"ruok" => Some(b"imok".to_vec()),
            b"isro" => Some(b"rw".to_vec()),
            _ => None,
        }
    }
}
