//! Words that operators send instead of a handshake.

use admin::{FourLetterWord, TraceMask, Whitelist};

/// What the first bytes of a connection are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opening {
    /// More of them are needed to know.
    Incomplete,
    /// The beginning of a frame.
    Frame,
    /// A word that is not answered.
    Refused(FourLetterWord),
    /// A word, with what follows it if that matters.
    Word { word: FourLetterWord, mask: Option<TraceMask> },
}

impl Opening {
    /// Recognizes the bytes received so far.
    pub(super) fn of(first: &[u8], whitelist: Whitelist) -> Self {
        let Some((head, rest)) = first.split_first_chunk::<4>() else { return Self::Incomplete };
        match (FourLetterWord::from_bytes(*head), rest.first_chunk::<8>()) {
            (None, _) => Self::Frame,
            (Some(word), _) if !whitelist.allows(word) => Self::Refused(word),
            (Some(FourLetterWord::Stmk), None) => Self::Incomplete,
            (Some(word @ FourLetterWord::Stmk), Some(mask)) => {
                Self::Word { word, mask: Some(TraceMask(i64::from_be_bytes(*mask))) }
            }
            (Some(word), _) => Self::Word { word, mask: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_frames_by_four_bytes() {
        let word = |word, mask| Opening::Word { word, mask };
        for (bytes, expected) in [
            (&b"sr"[..], Opening::Incomplete),
            (b"srvr", word(FourLetterWord::Srvr, None)),
            (b"srvr\r\n", word(FourLetterWord::Srvr, None)),
            (b"SRVR", Opening::Frame),
            (&[0, 0, 0, 44], Opening::Frame),
            (b"stmk\0\0\0\0\0\0\x01", Opening::Incomplete),
            (b"stmk\0\0\0\0\0\0\x01\x02", word(FourLetterWord::Stmk, Some(TraceMask(258)))),
        ] {
            assert_eq!(Opening::of(bytes, Whitelist::new(["*"], false)), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_follows_a_refused_word_is_not_waited_for() {
        let whitelist = Whitelist::new([], false);
        assert_eq!(Opening::of(b"stmk", whitelist), Opening::Refused(FourLetterWord::Stmk));
        assert_eq!(Opening::of(b"stm", whitelist), Opening::Incomplete);
    }
}
