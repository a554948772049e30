//! The PKCS#11 provider over real tokens: SoftHSM, kryoptic, and both behind a module that fails as
//! tokens fail (`tests/pkcs11_shim`).
#![allow(dead_code, unused_imports, reason = "more tests use these")]

mod faults_made;
mod keys;
mod kms_origin;
mod raw;
mod tokens;
mod vectors;
