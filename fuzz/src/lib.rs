//! What the fuzz targets do with their input. The same functions run in ordinary tests over the
//! seeds, so that they hold wherever `cargo test` does.

mod client_targets;
mod config_targets;
mod data_dir_targets;
mod replica_targets;
mod storage_targets;
mod types_targets;
mod wire_targets;

pub use client_targets::client_session;
pub use config_targets::configuration;
pub use data_dir_targets::small_files;
pub use replica_targets::identities;
pub use storage_targets::{log_file, received_snapshot, snapshot_file};
pub use types_targets::membership;
pub use wire_targets::{
    client_request, connect_request, election, multi, quorum_packets, server_reply,
    snapshot_records, txn_entry,
};
