//! What the fuzz targets do with their input. The same functions run in ordinary tests over the
//! seeds, so that they hold wherever `cargo test` does.

mod wire_targets;

pub use wire_targets::{client_request, connect_request, multi, snapshot_records, txn_entry};
