//! Keys in an HSM, or another token that speaks PKCS#11.

#![allow(dead_code, reason = "the provider over this is being written")]

mod canary;
mod config;
mod error;
mod failure;
mod module;
mod objects;
mod pin;
mod pool;
mod session;
mod slot;
mod token;
mod uri;

pub use config::{Pkcs11Config, Reinitialise};
pub use error::Pkcs11Error;
pub use pin::{PinFailure, PinSource};
pub use slot::TokenDescription;
pub use uri::{Pkcs11Uri, UriError};

/// The provider's name, in errors.
const NAME: &str = "pkcs11";
