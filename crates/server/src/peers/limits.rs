//! Every bound of the connections between servers, with its unit and reason.

/// Bytes of small packets that gather in one buffer.
pub(super) const GATHERED_BYTES: usize = 64 << 10;

/// Buffers that leave in one system call.
pub(super) const SLICES_MAX: usize = 64;

/// Encoded batches that are kept until the end of a turn, for other learners that get the same. An
/// effect list has one or two.
pub(super) const ENCODED_BATCHES_MAX: usize = 8;
