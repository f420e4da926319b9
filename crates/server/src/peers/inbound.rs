//! Bytes that have arrived, cut into packets.
//!
//! Packets are decoded twice: once by the thread that received them, to find where they end and
//! whether they are packets at all, and once where they are looked at. That looks at lengths and
//! copies nothing; what travels between the threads is one buffer with many packets.

use std::marker::PhantomData;

use wire::quorum::{PacketError, ToLeader, ToLearner};

/// Reads the packets at the start of what a learner sent; see [`Packets`].
pub(super) fn to_leader(input: &[u8], packet_bytes_max: usize) -> Packets<'_, ToLeader<'_>> {
    Packets::new(input, packet_bytes_max)
}

/// Reads the packets at the start of what a leader sent; see [`Packets`].
pub(super) fn to_learner(input: &[u8], packet_bytes_max: usize) -> Packets<'_, ToLearner<'_>> {
    Packets::new(input, packet_bytes_max)
}

/// The packets at the start of some bytes, up to the first that has not all arrived or is none.
/// Packets of a type that is not known, or not sent in this direction, are passed over.
pub(super) struct Packets<'a, P> {
    input: &'a [u8],
    /// How many bytes the packets so far have taken. At most `input.len()`.
    consumed: usize,
    passed_over: usize,
    packet_bytes_max: usize,
    direction: PhantomData<P>,
}

/// A packet of one direction.
pub(super) trait Packet<'a>: Sized {
    /// Reads the first packet, and tells how many bytes it takes; `None` when it has not all arrived.
    fn decode(
        input: &'a [u8],
        packet_bytes_max: usize,
    ) -> Result<Option<(Self, usize)>, PacketError>;
}

impl<'a> Packet<'a> for ToLeader<'a> {
    #[inline]
    fn decode(
        input: &'a [u8],
        packet_bytes_max: usize,
    ) -> Result<Option<(Self, usize)>, PacketError> {
        Self::decode(input, packet_bytes_max)
    }
}

impl<'a> Packet<'a> for ToLearner<'a> {
    #[inline]
    fn decode(
        input: &'a [u8],
        packet_bytes_max: usize,
    ) -> Result<Option<(Self, usize)>, PacketError> {
        Self::decode(input, packet_bytes_max)
    }
}

impl<'a, P> Packets<'a, P> {
    fn new(input: &'a [u8], packet_bytes_max: usize) -> Self {
        Self { input, consumed: 0, passed_over: 0, packet_bytes_max, direction: PhantomData }
    }

    /// How many bytes the packets so far have taken, with those passed over.
    pub(super) fn consumed(&self) -> usize {
        self.consumed
    }

    /// How many packets were passed over so far.
    pub(super) fn passed_over(&self) -> usize {
        self.passed_over
    }
}

impl<'a, P: Packet<'a>> Iterator for Packets<'a, P> {
    type Item = Result<P, PacketError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.input[self.consumed..];
            match P::decode(rest, self.packet_bytes_max) {
                Ok(None) => return None,
                Ok(Some((packet, consumed))) => {
                    self.consumed += consumed;
                    return Some(Ok(packet));
                }
                Err(PacketError::Unexpected { consumed, .. }) => {
                    self.consumed += consumed;
                    self.passed_over += 1;
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use types::Zxid;
    use wire::limits::PACKET_BYTES_MAX;

    use super::*;

    /// Two packets, one that no leader sends, and the beginning of another.
    fn input() -> (Vec<u8>, usize) {
        let mut input = Vec::new();
        ToLearner::UpToDate.encode(&mut input);
        ToLeader::Ack { zxid: Zxid::from_raw(1) }.encode(&mut input);
        ToLearner::Sync.encode(&mut input);
        let whole = input.len();
        ToLearner::Commit { zxid: Zxid::from_raw(2) }.encode(&mut input);
        input.pop();
        (input, whole)
    }

    #[test]
    fn packets_of_no_meaning_are_passed_over() {
        // An acknowledgement has no place in this direction, so it is passed over.
        let (input, whole) = input();
        let mut packets = to_learner(&input, PACKET_BYTES_MAX);
        assert_eq!(packets.next(), Some(Ok(ToLearner::UpToDate)));
        assert_eq!(packets.next(), Some(Ok(ToLearner::Sync)));
        assert_eq!(packets.next(), None);
        assert_eq!((packets.consumed(), packets.passed_over()), (whole, 1));
    }

    #[test]
    fn no_more_is_read_than_has_arrived() {
        let (input, _) = input();
        for bytes in 0..=input.len() {
            let mut packets = to_learner(&input[..bytes], PACKET_BYTES_MAX);
            let count = packets.by_ref().filter(|packet| packet.is_ok()).count();
            assert!(packets.consumed() <= bytes, "{bytes}");
            let expected = [20, 60].iter().filter(|&&end| end <= bytes).count();
            assert_eq!(count, expected, "{bytes}");
        }
    }

    #[test]
    fn what_comes_before_an_error_is_read() {
        let (mut input, whole) = input();
        input.truncate(whole);
        let large = [&4_i32.to_be_bytes()[..], &[0; 8], &i32::MAX.to_be_bytes()].concat();
        input.extend(large);
        let mut packets = to_learner(&input, PACKET_BYTES_MAX);
        assert_eq!(packets.by_ref().take(2).filter(Result::is_ok).count(), 2);
        assert!(matches!(packets.next(), Some(Err(PacketError::Packet(_)))));
        assert_eq!(packets.consumed(), whole);
    }
}
