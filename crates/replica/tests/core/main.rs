//! What clients may rely on, shown on the server without its I/O: each test is named by a promise.

mod durability;
mod long_transactions;
mod ordering;
mod pressure;
mod sessions;
mod throttles;
mod watches;
mod world;
mod writes;
