//! A whole server in this process, spoken to over real sockets.

mod connections;
mod fixture;
mod ordering;
mod recovery;
mod sessions;
