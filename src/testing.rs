//! Tests that implementations of this crate's traits must pass, as functions to call from tests.
//!
//! They panic where a contract is not kept, and say which. Only with the feature `testing`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "tests fail by panicking"
)]

mod key_store;
mod keyring;

pub use key_store::{durable_key_store, key_store, shared_key_store};
pub use keyring::{keyring, keyrings};
