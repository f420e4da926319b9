//! Every bound of the codec, with its unit, its reason and where the number comes from.

/// Bytes in a frame on the client port, unless configured (`jute.maxbuffer`).
///
/// A frame is gathered in memory before it is decoded, so this bounds what one connection can make
/// a server hold. The number is Apache's default, 1 MiB - 1.
pub const FRAME_BYTES_MAX: usize = 0xf_ffff;

/// Bytes in one text, buffer or log entry on disk, unless configured.
///
/// A damaged length must be told from a torn file, and must not make a reader gather gigabytes.
/// Apache reads up to `jute.maxbuffer` twice over (`zookeeper.jute.maxbuffer.extrasize`), and so
/// fails on its own files after that key was lowered; files are therefore read with the largest
/// bound that anyone sensibly configures, whatever the port accepts.
pub const STORED_BYTES_MAX: usize = 1 << 30;

/// Bytes in a reply whose size the tree decides: lists of children, and the results of a multiRead.
///
/// A request of a few bytes can name a znode with millions of children, and one of a mebibyte can
/// name the same large znode tens of thousands of times. Beyond this bound, which is far above what
/// any client accepts, the answer is an error instead of memory without end.
pub const REPLY_BYTES_MAX: usize = 128 << 20;

/// Bytes in the data of one packet between a learner and its leader, and bytes of the identities
/// behind it, unless configured (`jute.maxbuffer` and `zookeeper.jute.maxbuffer.extrasize`).
///
/// A leader whose transaction is above the bound of its learners loses them all, and a transaction
/// is longer than the request it was made of; so the number is Apache's, twice that of a frame.
pub const PACKET_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// Bytes of room that a batch for the log has before its first entry, if the one before took as many.
///
/// Growing copies, and batches follow each other that are about as long. More than this is not set aside for
/// what may not come.
pub const BATCH_ROOM_BYTES_MAX: usize = 64 << 10;

/// Bytes in a message on an election connection; at most, and Apache closes the connection above.
pub const ELECTION_MESSAGE_BYTES_MAX: usize = 512 << 10;

/// Bytes of the addresses with which a server opens an election connection; Apache's number.
pub const HELLO_ADDRESSES_BYTES_MAX: usize = 2048;

/// Fewest bytes of an identity behind a forwarded request: two null texts.
pub const ID_BYTES_MIN: usize = 8;

/// Fewest bytes of one entry of an access control list: permissions and two null texts.
pub const ACL_BYTES_MIN: usize = 12;

/// Fewest bytes of a text in a list: its length.
pub const TEXT_BYTES_MIN: usize = 4;

/// Fewest bytes of a transaction within a multi: its type and the length of its record.
pub const SUB_TXN_BYTES_MIN: usize = 8;

/// Fewest bytes of a list entry that `whoAmI` answers with: two null texts.
pub const CLIENT_INFO_BYTES_MIN: usize = 8;

const _: () = assert!(FRAME_BYTES_MAX < STORED_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX < REPLY_BYTES_MAX);
// A forwarded request must get through, whatever a client may send.
const _: () = assert!(FRAME_BYTES_MAX < PACKET_BYTES_MAX);
const _: () = assert!(PACKET_BYTES_MAX < STORED_BYTES_MAX);
const _: () = assert!(HELLO_ADDRESSES_BYTES_MAX < ELECTION_MESSAGE_BYTES_MAX);
// A name or a znode's data may still be appended to what is just below the bound.
const _: () = assert!(REPLY_BYTES_MAX + STORED_BYTES_MAX <= 1 << 31);
const _: () = assert!(STORED_BYTES_MAX <= i32::MAX as usize);
