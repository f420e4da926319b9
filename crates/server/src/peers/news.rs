//! What the thread of the connections has to tell, in a form that can cross threads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use types::{Sid, Zxid};
use wire::election::Notification;
use wire::quorum::{ToLeader, ToLearner};
use zab::{CallFailure, Input, Link};

use super::errand::Errand;
use super::inbound;
use super::limits::UNDER_WAY_BYTES_MAX;
use crate::letterbox::Letterbox;

/// One thing that happened; most are a [`zab::Input`] that owns what it says.
#[derive(Debug)]
pub(crate) enum News {
    /// [`Input::Called`].
    Called {
        /// The new connection.
        link: Link,
        /// Who.
        from: Sid,
        /// Where it says that it can be called, as `host:port`.
        addresses: Vec<String>,
    },
    /// [`Input::CallThrough`].
    CallThrough {
        /// The new connection.
        link: Link,
        /// Who was called.
        to: Sid,
    },
    /// [`Input::CallFailed`].
    CallFailed {
        /// Who was called.
        to: Sid,
        /// What that says about it.
        reason: CallFailure,
    },
    /// [`Input::Notified`].
    Notified {
        /// Over which connection.
        link: Link,
        /// The body of a frame.
        notification: Received,
    },
    /// [`Input::ElectionLinkClosed`].
    ElectionLinkClosed {
        /// Which.
        link: Link,
    },
    /// [`Input::LeaderReached`].
    LeaderReached {
        /// The new connection.
        link: Link,
        /// To whom.
        leader: Sid,
    },
    /// [`Input::LeaderUnreachable`].
    LeaderUnreachable {
        /// Who.
        leader: Sid,
    },
    /// [`Input::FromLeader`], for each packet.
    FromLeader {
        /// Over which connection.
        link: Link,
        /// What was received together.
        packets: Received,
    },
    /// [`Input::LearnerConnected`].
    LearnerConnected {
        /// The new connection.
        link: Link,
    },
    /// [`Input::FromLearner`], for each packet.
    FromLearner {
        /// Over which connection.
        link: Link,
        /// What was received together.
        packets: Received,
    },
    /// [`Input::QuorumLinkClosed`].
    QuorumLinkClosed {
        /// Which.
        link: Link,
    },
    /// The part of a snapshot that was sent last has left: the next may follow. For the replica.
    SnapshotTakesMore {
        /// To whom.
        link: Link,
    },
    /// [`Input::SnapshotSent`].
    SnapshotSent {
        /// To whom.
        link: Link,
    },
    /// All that was to be sent has left. For the thread that reads the log.
    Sent {
        /// To whom.
        link: Link,
    },
}

impl News {
    /// Tells it as the inputs of a peer, one by one.
    pub(crate) fn tell(self, mut tell: impl FnMut(Input<'_>)) {
        match self {
            Self::Called { link, from, addresses } => tell(Input::Called { link, from, addresses }),
            Self::CallThrough { link, to } => tell(Input::CallThrough { link, to }),
            Self::CallFailed { to, reason } => tell(Input::CallFailed { to, reason }),
            Self::Notified { link, notification } => {
                if let Some(notification) = notification.notification() {
                    tell(Input::Notified { link, notification });
                }
            }
            Self::ElectionLinkClosed { link } => tell(Input::ElectionLinkClosed { link }),
            Self::LeaderReached { link, leader } => tell(Input::LeaderReached { link, leader }),
            Self::LeaderUnreachable { leader } => tell(Input::LeaderUnreachable { leader }),
            Self::FromLeader { link, packets } => {
                packets
                    .packets_of_leader()
                    .for_each(|packet| tell(Input::FromLeader { link, packet }));
            }
            Self::LearnerConnected { link } => tell(Input::LearnerConnected { link }),
            Self::FromLearner { link, packets } => {
                last_acknowledgements(packets.packets_of_learner())
                    .for_each(|packet| tell(Input::FromLearner { link, packet }));
            }
            Self::QuorumLinkClosed { link } => tell(Input::QuorumLinkClosed { link }),
            Self::SnapshotTakesMore { link: _ } | Self::Sent { link: _ } => {}
            Self::SnapshotSent { link } => tell(Input::SnapshotSent { link }),
        }
    }
}

/// Leaves out acknowledgements that the next packet repeats: who has logged a transaction has logged all before
/// it.
fn last_acknowledgements<'a>(
    packets: impl Iterator<Item = ToLeader<'a>>,
) -> impl Iterator<Item = ToLeader<'a>> {
    let mut packets = packets.peekable();
    std::iter::from_fn(move || {
        let mut packet = packets.next()?;
        while let (ToLeader::Ack { zxid }, Some(ToLeader::Ack { zxid: later })) =
            (packet, packets.peek())
            && *later > zxid
        {
            packet = packets.next()?;
        }
        Some(packet)
    })
}

/// A piece of a snapshot that is received, for whoever receives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum StreamPart {
    /// A snapshot begins.
    Head {
        /// Over which connection it comes.
        link: Link,
        /// The last transaction that is in it as a whole.
        last_applied: Zxid,
    },
    /// These bytes are next. The snapshot may end within them. More come when
    /// [`super::errand::StreamProgress`] was told of these.
    Bytes {
        /// Over which connection.
        link: Link,
        /// At least one.
        bytes: Vec<u8>,
    },
    /// Nothing more comes: the connection has ended.
    CutOff {
        /// Which.
        link: Link,
    },
}

/// Bytes that came over one connection, and were found to be what they should. No more is read from
/// it while too many of these are kept.
pub(crate) struct Received {
    bytes: Vec<u8>,
    under_way: Arc<UnderWay>,
}

impl Received {
    /// The packets of a leader.
    pub(crate) fn packets_of_leader(&self) -> impl Iterator<Item = ToLearner<'_>> {
        // No length in them is longer than all of them.
        inbound::to_learner(&self.bytes, self.bytes.len()).map_while(Result::ok)
    }

    /// The packets of a learner.
    pub(crate) fn packets_of_learner(&self) -> impl Iterator<Item = ToLeader<'_>> {
        inbound::to_leader(&self.bytes, self.bytes.len()).map_while(Result::ok)
    }

    /// A notification.
    pub(crate) fn notification(&self) -> Option<Notification<'_>> {
        Notification::decode(&self.bytes).ok()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.under_way.took_back(self.bytes.len());
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received({} bytes)", self.bytes.len())
    }
}

/// How much of what came over one connection was handed on and is still kept.
#[derive(Debug)]
pub(super) struct UnderWay {
    bytes: AtomicUsize,
    /// Of the thread that reads again when there is room.
    letterbox: Arc<Letterbox<Errand>>,
}

impl UnderWay {
    pub(super) fn new(letterbox: &Arc<Letterbox<Errand>>) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), letterbox: Arc::clone(letterbox) })
    }

    /// Hands bytes on.
    pub(super) fn hand_on(self: &Arc<Self>, bytes: Vec<u8>) -> Received {
        self.bytes.fetch_add(bytes.len(), Ordering::SeqCst);
        Received { bytes, under_way: Arc::clone(self) }
    }

    /// Whether no more is to be read.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) >= UNDER_WAY_BYTES_MAX
    }

    fn took_back(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        if before >= UNDER_WAY_BYTES_MAX && before - bytes < UNDER_WAY_BYTES_MAX {
            self.letterbox.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};

    use types::SessionId;

    use super::*;
    use crate::fixture::PATIENCE;
    use crate::letterbox::WAKER;

    #[test]
    fn of_acknowledgements_that_follow_each_other_the_last_is_told() {
        let ack = |raw| ToLeader::Ack { zxid: Zxid::from_raw(raw) };
        let request = ToLeader::Revalidate { session: SessionId(1), timeout_ms: 2 };
        let sent = [ack(1), ack(2), ack(3), request, ack(4), ack(4), ack(2), ack(6)];
        let told: Vec<_> = last_acknowledgements(sent.into_iter()).collect();
        // What does not ascend is for others to judge.
        assert_eq!(told, [ack(3), request, ack(4), ack(4), ack(6)]);
    }

    #[test]
    fn who_drops_what_was_too_much_wakes_the_reader() {
        let mut poll = Poll::new().expect("a poll");
        let letterbox = Arc::new(Letterbox::new(poll.registry()).expect("a letterbox"));
        let under_way = UnderWay::new(&letterbox);
        let parts = [UNDER_WAY_BYTES_MAX - 1, 1, 1].map(|bytes| {
            assert!(bytes == 1 || !under_way.is_full());
            under_way.hand_on(vec![0; bytes])
        });
        let [first, second, third] = parts;
        assert!(under_way.is_full());
        assert!(letterbox.may_sleep(|| false));
        drop(third);
        assert!(under_way.is_full());
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(std::time::Duration::ZERO)).expect("events");
        assert!(events.is_empty(), "there is no room yet");
        drop(second);
        assert!(!under_way.is_full());
        poll.poll(&mut events, Some(PATIENCE)).expect("events");
        assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [WAKER]);
        drop(first);
        assert_eq!(under_way.bytes.load(Ordering::SeqCst), 0);
    }
}
