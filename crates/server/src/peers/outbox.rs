//! What waits to be sent over a connection.
//!
//! On the quorum port everything is sent, in order: an [`Outbox`]. On the election port only the
//! newest notification matters: a [`Slot`].

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use super::limits::{GATHERED_BYTES, SLICES_MAX};

/// Bytes to be sent in their order, of which some are shared with other connections.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// None is empty.
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk has been sent. Less than its length.
    sent: usize,
    /// How much of all chunks has not.
    bytes: usize,
    /// Empty: the buffer of an own chunk that was sent, for the next.
    spare: Vec<u8>,
}

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Outbox {
    /// Appends what `encode` appends to its argument. Small packets gather in one buffer.
    pub(super) fn put(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        if let Some(Chunk::Own(last)) = self.chunks.back_mut()
            && last.len() < GATHERED_BYTES
        {
            let before = last.len();
            encode(last);
            self.bytes += last.len() - before;
            return;
        }
        let mut bytes = std::mem::take(&mut self.spare);
        encode(&mut bytes);
        self.put_chunk(Chunk::Own(bytes));
    }

    /// Appends bytes without copying them.
    pub(super) fn put_bytes(&mut self, bytes: Vec<u8>) {
        self.put_chunk(Chunk::Own(bytes));
    }

    /// Appends bytes that others send too.
    pub(super) fn put_shared(&mut self, bytes: Arc<[u8]>) {
        self.put_chunk(Chunk::Shared(bytes));
    }

    /// How many bytes wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sends as much as goes in one call. Returns how many bytes that was.
    ///
    /// # Errors
    /// What the stream says; nothing was sent then.
    pub(super) fn write_to(&mut self, stream: &mut impl Write) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            let skipped = if count == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(&chunk.as_bytes()[skipped..]);
            count += 1;
        }
        let written = stream.write_vectored(&slices[..count])?;
        self.advance(written);
        Ok(written)
    }

    fn put_chunk(&mut self, chunk: Chunk) {
        let bytes = chunk.as_bytes().len();
        if bytes > 0 {
            self.bytes += bytes;
            self.chunks.push_back(chunk);
        }
    }

    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.sent += written;
        while let Some(first) = self.chunks.front()
            && self.sent >= first.as_bytes().len()
        {
            self.sent -= first.as_bytes().len();
            if let Some(Chunk::Own(mut bytes)) = self.chunks.pop_front()
                && bytes.capacity() <= 2 * GATHERED_BYTES
            {
                bytes.clear();
                self.spare = bytes;
            }
        }
    }
}

impl Chunk {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// The frame that is being sent, and the one that is to be sent next. One that has begun is sent to
/// its end; one that has not gives way to a newer one.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Begun. Longer than `sent`, or empty.
    begun: Vec<u8>,
    sent: usize,
    next: Option<Vec<u8>>,
}

impl Slot {
    /// Lets a frame be sent, in place of one that has not begun. Returns whether there was one.
    pub(super) fn put(&mut self, frame: Vec<u8>) -> bool {
        self.next.replace(frame).is_some()
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.begun.len() - self.sent + self.next.as_ref().map_or(0, Vec::len)
    }

    /// Sends as much as goes in one call. Returns how many bytes that was.
    ///
    /// # Errors
    /// What the stream says; nothing was sent then.
    pub(super) fn write_to(&mut self, stream: &mut impl Write) -> io::Result<usize> {
        if self.begun.is_empty() {
            // Begins with the first byte that the stream takes, not before.
            let Some(next) = &self.next else { return Ok(0) };
            let written = stream.write(next)?;
            if written > 0 {
                self.begun = self.next.take().unwrap_or_default();
            }
            self.advance(written);
            return Ok(written);
        }
        let written = stream.write(&self.begun[self.sent..])?;
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, written: usize) {
        self.sent += written;
        if self.sent == self.begun.len() {
            self.begun.clear();
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes in a call, and counts the calls.
    #[derive(Default)]
    struct Narrow {
        width: usize,
        taken: Vec<u8>,
        calls: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(buf)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls += 1;
            if self.width == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let before = self.taken.len();
            for slice in slices {
                let room = self.width - (self.taken.len() - before);
                self.taken.extend(&slice[..slice.len().min(room)]);
            }
            Ok(self.taken.len() - before)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn filled() -> Outbox {
        let mut outbox = Outbox::default();
        outbox.put(|out| out.extend(b"ab"));
        outbox.put(|out| out.extend(b"c"));
        outbox.put_shared(Arc::from(&b"defg"[..]));
        outbox.put_bytes(Vec::new());
        outbox.put(|out| out.extend(b"hi"));
        outbox.put_bytes(b"jk".to_vec());
        outbox
    }

    #[test]
    fn everything_leaves_in_order_whatever_goes_at_once() {
        for width in 1..=12 {
            let (mut outbox, mut stream) = (filled(), Narrow { width, ..Narrow::default() });
            while outbox.bytes() > 0 {
                let before = outbox.bytes();
                let written = outbox.write_to(&mut stream).expect("written");
                assert_eq!(outbox.bytes(), before - written, "{width}");
            }
            assert_eq!(stream.taken, b"abcdefghijk", "{width}");
            assert!(outbox.chunks.is_empty() && outbox.sent == 0, "{width}");
            assert_eq!(stream.calls, 11_usize.div_ceil(width), "{width}");
        }
    }

    #[test]
    fn what_is_put_in_while_some_is_sent_follows_it() {
        let (mut outbox, mut stream) =
            (Outbox::default(), Narrow { width: 3, ..Narrow::default() });
        outbox.put(|out| out.extend(b"abcd"));
        outbox.write_to(&mut stream).expect("written");
        outbox.put(|out| out.extend(b"ef"));
        assert_eq!(outbox.chunks.len(), 1, "small packets share a buffer");
        outbox.write_to(&mut stream).expect("written");
        assert_eq!((stream.taken.as_slice(), outbox.bytes()), (&b"abcdef"[..], 0));
    }

    #[test]
    fn buffers_do_not_grow_without_end() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.put(|out| out.resize(out.len() + GATHERED_BYTES, 0));
        }
        assert_eq!((outbox.chunks.len(), outbox.bytes()), (3, 3 * GATHERED_BYTES));
    }

    #[test]
    fn more_buffers_than_go_at_once_take_more_calls() {
        let mut outbox = Outbox::default();
        for _ in 0..=SLICES_MAX {
            outbox.put_shared(Arc::from(&b"x"[..]));
        }
        let mut stream = Narrow { width: usize::MAX, ..Narrow::default() };
        assert_eq!(outbox.write_to(&mut stream).expect("written"), SLICES_MAX);
        assert_eq!(outbox.write_to(&mut stream).expect("written"), 1);
    }

    #[test]
    fn a_frame_that_has_not_begun_gives_way_to_a_newer_one() {
        let (mut slot, mut stream) = (Slot::default(), Narrow::default());
        assert!(!slot.put(b"first".to_vec()));
        let failure = slot.write_to(&mut stream).expect_err("there is no room");
        assert_eq!(failure.kind(), io::ErrorKind::WouldBlock);
        assert!(slot.put(b"second".to_vec()), "the first has not begun");
        stream.width = 2;
        assert_eq!(slot.write_to(&mut stream).expect("written"), 2);
        assert!(!slot.put(b"third".to_vec()), "the second has begun");
        assert!(slot.put(b"fourth".to_vec()), "the third has not");
        assert_eq!(slot.bytes(), 4 + 6);
        while slot.bytes() > 0 {
            slot.write_to(&mut stream).expect("written");
        }
        assert_eq!(stream.taken, b"secondfourth");
    }
}
