//! Providers over tokens, as the tests open them.

use std::path::Path;

use waxseal::Mechanism;
pub use waxseal::pkcs11::Pkcs11KeyProvider;
use waxseal::pkcs11::{PinSource, Pkcs11Config, Pkcs11Error, TokenWrapping, Vendor};

use crate::tokens::PIN;

/// The token with this label, by the PIN of the tests.
pub fn config(module: &Path, label: &str) -> Pkcs11Config {
    Pkcs11Config::new(module)
        .with_token_label(label)
        .with_pin(PinSource::value(PIN.as_bytes()).unwrap())
}

pub fn try_open(config: Pkcs11Config) -> Result<Pkcs11KeyProvider, Pkcs11Error> {
    Pkcs11KeyProvider::open(config)
}

/// With whatever the token can do first.
pub fn open(module: &Path, label: &str) -> Pkcs11KeyProvider {
    try_open(config(module, label)).unwrap()
}

/// As a vendor's tokens wrap.
pub fn open_as(
    module: &Path,
    label: &str,
    wrapping: impl Into<TokenWrapping>,
) -> Pkcs11KeyProvider {
    open(module, label).with_wrapping(wrapping)
}

pub fn by(vendor: Vendor, mechanism: Mechanism) -> TokenWrapping {
    TokenWrapping::new(vendor).with_mechanism(mechanism)
}
