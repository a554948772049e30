//! The PKCS#11 provider over real tokens: SoftHSM, kryoptic, and both behind a module that fails as
//! tokens fail (`tests/pkcs11_shim`).

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod campaigns;
mod conformance;
mod crossing;
mod faults;
mod faults_made;
mod keys;
mod kms_origin;
mod load;
mod providers;
mod raw;
mod secrets;
mod sentences;
mod sessions;
mod tokens;
mod vectors;
