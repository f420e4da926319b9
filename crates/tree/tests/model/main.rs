//! The tree against a naive model of it, under random transactions, snapshots and replays.

mod applying;
mod leader;
mod reference;
mod snapshots;
mod wrapping;

use tree::Options;
use types::ExtendedTypes;

/// How all trees here are made.
const OPTIONS: Options =
    Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: 0x0bad_5eed };

/// Runs of each property: enough to find a rule that is missing, few enough to run all the time.
const CASES: u32 = 80;
