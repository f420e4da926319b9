//! What operators see of a server: the four-letter words and the metrics behind them.
//!
//! Nothing here reaches into a server. It fills in *views*, plain structs of numbers and names, and
//! each view displays as the text that Apache's server would answer, so that the scripts which
//! read those texts keep working:
//!
//! ```text
//!   srvr  ServerView          conf  ConfView           wchs  WatchSummary
//!   stat  StatView            dump  SessionDump        wchc  WatchesBySession
//!   cons  ConnectionsView     dirs  DirectorySizes     wchp  WatchesByPath
//!   mntr  MonitorView         envi  EnvironmentView    hash  DigestView
//! ```
//!
//! The other words have short fixed answers ([`FourLetterWord`]). [`Metrics`] is what the server's
//! threads count into.
//!
//! **Invariant**: the texts are Apache's to the byte, blanks and missing newlines included; the
//! tests compare them with what an Apache server answered.
//!
//! **Absent by design**: sockets, clocks, files. Sizes, times and names arrive in the views.

mod configuration;
mod connection;
mod environment;
mod java;
mod metrics;
mod monitor;
mod server;
mod session;
mod version;
mod watch;
mod word;

pub use configuration::{ConfView, DirectorySizes, MemberConfView};
pub use connection::{ConnectionView, ConnectionsView, Interest, LastOp, SessionActivity};
pub use environment::EnvironmentView;
pub use metrics::{AdvancedSummary, Counter, Metrics, ResponseSizes, ServerStats, Summary};
pub use monitor::{Gauges, LeaderGauges, MemberGauges, MonitorView};
pub use server::{DigestView, LatencyView, Mode, ProposalSizes, ServerView, StatView};
pub use session::{ConnectionBucket, KnownSessions, SessionBucket, SessionDump, SessionEphemerals};
pub use version::VERSION;
pub use watch::{PathWatchers, SessionWatches, WatchSummary, WatchesByPath, WatchesBySession};
pub use word::{FourLetterWord, TraceMask, Whitelist};
