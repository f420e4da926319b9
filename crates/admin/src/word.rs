//! The words themselves: which there are, who may ask, and the answers that need no view.

use std::fmt;

macro_rules! words {
    ($($(#[doc = $doc:literal])* $variant:ident = $bytes:literal, $name:literal;)*) => {
        /// A question of four bytes that an operator asks instead of opening a session.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum FourLetterWord {
            $($(#[doc = $doc])* $variant,)*
        }

        impl FourLetterWord {
            /// Every word there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word with these bytes. All other bytes are the length of a frame.
            pub const fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
                match &bytes {
                    $($bytes => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name it goes by in the whitelist and in answers.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

words! {
    /// Are you there? Answered even while not serving.
    Ruok = b"ruok", "ruok";
    /// Do you take writes?
    Isro = b"isro", "isro";
    /// A summary of the server: [`crate::ServerView`].
    Srvr = b"srvr", "srvr";
    /// The same with its connections: [`crate::StatView`].
    Stat = b"stat", "stat";
    /// The configuration: [`crate::ConfView`].
    Conf = b"conf", "conf";
    /// The connections in detail: [`crate::ConnectionsView`].
    Cons = b"cons", "cons";
    /// Forget what was counted per connection.
    Crst = b"crst", "crst";
    /// Forget what was counted for the server.
    Srst = b"srst", "srst";
    /// Bytes on disk: [`crate::DirectorySizes`].
    Dirs = b"dirs", "dirs";
    /// Sessions and their ephemeral znodes: [`crate::SessionDump`].
    Dump = b"dump", "dump";
    /// Where the server runs: [`crate::EnvironmentView`].
    Envi = b"envi", "envi";
    /// The [`TraceMask`].
    Gtmk = b"gtmk", "gtmk";
    /// Set the [`TraceMask`] to the eight bytes that follow.
    Stmk = b"stmk", "stmk";
    /// Numbers of watches: [`crate::WatchSummary`].
    Wchs = b"wchs", "wchs";
    /// Watches by session: [`crate::WatchesBySession`].
    Wchc = b"wchc", "wchc";
    /// Watches by path: [`crate::WatchesByPath`].
    Wchp = b"wchp", "wchp";
    /// Everything that is measured: [`crate::MonitorView`].
    Mntr = b"mntr", "mntr";
    /// Digests of the tree at earlier transactions: [`crate::DigestView`].
    Hash = b"hash", "hash";
    /// What a telnet program sends when it is interrupted: the connection is closed.
    TelnetClose = b"\xff\xf4\xff\xfd", "telnet close";
}

impl FourLetterWord {
    /// The answer to `ruok`.
    pub const IMOK: &'static str = "imok";
    /// The answer to `crst`.
    pub const CONNECTION_STATS_RESET: &'static str = "Connection stats reset.\n";
    /// The answer to `srst`.
    pub const SERVER_STATS_RESET: &'static str = "Server stats reset.\n";

    const NOT_SERVING: &'static str = "This ZooKeeper instance is not currently serving requests\n";

    /// The answer to a word that the whitelist leaves out.
    pub fn refusal(self) -> String {
        format!("{} is not executed because it is not in the whitelist.\n", self.name())
    }

    /// The answer while the server serves nobody (it is starting, or its ensemble has no leader);
    /// `None` if the word is answered all the same.
    pub const fn answer_while_not_serving(self) -> Option<&'static str> {
        match self {
            Self::Ruok | Self::Gtmk | Self::Stmk | Self::Envi | Self::TelnetClose => None,
            Self::Isro => Some("null"),
            Self::Hash => Some(Self::NOT_SERVING.trim_ascii_end()),
            Self::Srvr
            | Self::Stat
            | Self::Conf
            | Self::Cons
            | Self::Crst
            | Self::Srst
            | Self::Dirs
            | Self::Dump
            | Self::Wchs
            | Self::Wchc
            | Self::Wchp
            | Self::Mntr => Some(Self::NOT_SERVING),
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The words that are answered (`4lw.commands.whitelist`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Whitelist {
    bits: u32,
}

impl Whitelist {
    /// The words with these names, all of them if a name is `*`, and always `srvr`; on a server
    /// that may serve reads without a quorum `isro` too, by which clients find it. Other names are
    /// ignored.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, read_only_mode: bool) -> Self {
        let mut bits = FourLetterWord::Srvr.bit();
        if read_only_mode {
            bits |= FourLetterWord::Isro.bit();
        }
        for name in names {
            let is_meant = |word: &&FourLetterWord| name == "*" || name == word.name();
            bits |= FourLetterWord::ALL.iter().filter(is_meant).fold(0, |bits, w| bits | w.bit());
        }
        Self { bits }
    }

    /// Whether a word is answered.
    pub const fn allows(self, word: FourLetterWord) -> bool {
        self.bits & word.bit() != 0
    }
}

impl fmt::Debug for Whitelist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = FourLetterWord::ALL.iter().filter(|word| self.allows(**word));
        f.debug_set().entries(allowed.map(|word| word.name())).finish()
    }
}

/// What Apache's server writes into its trace log, a set of bits: kept and told, without effect
/// here. Displays as the answer to `gtmk` and `stmk`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceMask(pub i64);

impl Default for TraceMask {
    /// Client requests, packets between servers, sessions and warnings.
    fn default() -> Self {
        Self(1 << 1 | 1 << 4 | 1 << 5 | 1 << 8)
    }
}

impl fmt::Display for TraceMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_four_bytes_in_small_letters() {
        assert_eq!(FourLetterWord::ALL.len(), 19);
        for &word in FourLetterWord::ALL {
            if let Ok(bytes) = <[u8; 4]>::try_from(word.name().as_bytes()) {
                assert_eq!(FourLetterWord::from_bytes(bytes), Some(word));
            }
        }
        assert_eq!(
            FourLetterWord::from_bytes([0xff, 0xf4, 0xff, 0xfd]),
            Some(FourLetterWord::TelnetClose)
        );
        for other in [*b"STAT", *b"abcd", [0, 0, 0, 44]] {
            assert_eq!(FourLetterWord::from_bytes(other), None);
        }
    }

    #[test]
    fn the_whitelist_always_has_srvr() {
        let check = |names: &[&str], read_only_mode, expected: &str| {
            let whitelist = Whitelist::new(names.iter().copied(), read_only_mode);
            assert_eq!(format!("{whitelist:?}"), expected);
        };
        check(&[], false, r#"{"srvr"}"#);
        check(&[], true, r#"{"isro", "srvr"}"#);
        check(&["ruok", "nope", "mntr"], false, r#"{"ruok", "srvr", "mntr"}"#);
        let all = Whitelist::new(["stat", "*"], false);
        assert!(FourLetterWord::ALL.iter().all(|&word| all.allows(word)));
    }

    #[test]
    fn refusals_and_the_default_mask_are_apaches() {
        // As a 3.8.0 server answered.
        assert_eq!(
            FourLetterWord::Stat.refusal(),
            "stat is not executed because it is not in the whitelist.\n"
        );
        assert_eq!(
            FourLetterWord::TelnetClose.refusal(),
            "telnet close is not executed because it is not in the whitelist.\n"
        );
        assert_eq!(TraceMask::default().to_string(), "306");
        assert_eq!(TraceMask(0x100).to_string(), "256");
    }

    #[test]
    fn few_words_are_answered_while_not_serving() {
        let answered: Vec<&str> = FourLetterWord::ALL
            .iter()
            .filter(|word| word.answer_while_not_serving().is_none())
            .map(|word| word.name())
            .collect();
        assert_eq!(answered, ["ruok", "envi", "gtmk", "stmk", "telnet close"]);
        assert_eq!(FourLetterWord::Isro.answer_while_not_serving(), Some("null"));
        let hash = FourLetterWord::Hash.answer_while_not_serving();
        assert_eq!(hash, Some("This ZooKeeper instance is not currently serving requests"));
    }
}
