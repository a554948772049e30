//! Keys in an HSM, or another token that speaks PKCS#11.

mod abilities;
mod adopt;
mod canary;
mod config;
mod error;
mod failure;
mod handle;
mod inventory;
mod module;
mod objects;
mod pin;
mod pool;
mod provider;
mod self_test;
mod session;
mod sign;
mod slot;
mod templates;
mod token;
mod uri;
mod wrap;
mod wrapping;

pub use adopt::AdoptKey;
pub use config::{Pkcs11Config, Reinitialise};
pub use error::Pkcs11Error;
pub use inventory::{TokenKeyInfo, TokenKeyKind};
pub use pin::{PinFailure, PinSource};
pub use provider::Pkcs11KeyProvider;
pub use slot::TokenDescription;
pub use uri::{Pkcs11Uri, UriError};
pub use wrapping::{TokenWrapping, Vendor, WrappingRsaSize};

/// The provider's name, in errors.
const NAME: &str = "pkcs11";
