//! Sizes that decide how the tree spends memory.

/// Records in one chunk of the arena: about 400 KB, so that growing never copies more than a list
/// of chunks.
pub(crate) const ARENA_CHUNK_RECORDS: usize = 4096;

/// Bytes in one chunk of a size class of payloads at most; a class that is barely used costs at most this.
pub(crate) const PAYLOAD_CHUNK_BYTES: usize = 64 * 1024;

/// Payloads of up to this many bytes live in size classes, longer ones in an allocation each, where
/// the allocator's own overhead no longer matters.
pub(crate) const PAYLOAD_CLASS_BYTES_MAX: usize = 1024;

/// Size classes are this many bytes apart. Wide enough to hold the link of a free slot.
pub(crate) const PAYLOAD_CLASS_STEP_BYTES: usize = 8;

/// Tables that the lookup by name is spread over. Each grows on its own: with 10 million znodes one
/// growth moves some 10,000 entries, a pause of about a millisecond.
pub(crate) const INDEX_SHARDS: usize = 1024;

const _: () = assert!(ARENA_CHUNK_RECORDS.is_power_of_two());
const _: () = assert!(INDEX_SHARDS.is_power_of_two());
const _: () = assert!(PAYLOAD_CLASS_BYTES_MAX.is_multiple_of(PAYLOAD_CLASS_STEP_BYTES));
const _: () = assert!(PAYLOAD_CHUNK_BYTES >= PAYLOAD_CLASS_BYTES_MAX);
