//! One contract, over every token and every way of wrapping.

use std::path::Path;
use std::thread;
use std::time::Duration;

use waxseal::pkcs11::{TokenWrapping, Vendor, WrappingRsaSize};
use waxseal::{
    CreateKeyRequest, DataKey, KeyProvider, Mechanism, SoftwareKeyProvider, UnwrapRequest,
    WrapRequest,
};

use crate::common::provider_contract;
use crate::load::Load;
use crate::providers::{Pkcs11KeyProvider, by, open_as};
use crate::tokens::{FULL, KEY_WRAP_ONLY, MAC_ONLY, OAEP_ONLY, SOFTHSM, token_tests};

token_tests! {
    fn software(_tokens) {
        let provider = SoftwareKeyProvider::generate().unwrap();
        provider_contract::check(&provider);
        many_threads(&provider);
    }

    fn softhsm_by_gcm(tokens) {
        let module = tokens.softhsm();
        check(&module, SOFTHSM, Vendor::SoftHsm, Mechanism::GCM_CALLER_IV);
    }

    fn softhsm_by_key_wrap(tokens) {
        let module = tokens.softhsm();
        check(&module, SOFTHSM, by(Vendor::SoftHsm, Mechanism::AES_KEY_WRAP), Mechanism::AES_KEY_WRAP);
    }

    fn softhsm_by_oaep(tokens) {
        let module = tokens.softhsm();
        let wrapping = by(Vendor::SoftHsm, Mechanism::RSA_OAEP_SHA1);
        let wrapping = wrapping.with_rsa_size(WrappingRsaSize::Bits2048);
        check(&module, SOFTHSM, wrapping, Mechanism::RSA_OAEP_SHA1);
    }

    fn softhsm_by_cbc_and_hmac(tokens) {
        let module = tokens.softhsm();
        check(&module, SOFTHSM, by(Vendor::SoftHsm, Mechanism::CBC_HMAC_SHA256), Mechanism::CBC_HMAC_SHA256);
    }

    fn kryoptic(tokens) {
        let module = tokens.kryoptic();
        check(&module, FULL, Vendor::Kryoptic, Mechanism::GCM_CALLER_IV);
    }

    fn kryoptic_that_only_wraps_keys(tokens) {
        let module = tokens.kryoptic();
        check(&module, KEY_WRAP_ONLY, Vendor::Kryoptic, Mechanism::AES_KEY_WRAP);
    }

    fn kryoptic_that_has_only_oaep(tokens) {
        let module = tokens.kryoptic();
        let wrapping = TokenWrapping::new(Vendor::Kryoptic);
        let wrapping = wrapping.with_rsa_size(WrappingRsaSize::Bits2048);
        check(&module, OAEP_ONLY, wrapping, Mechanism::RSA_OAEP_SHA256);
    }

    fn kryoptic_that_has_only_cbc_and_hmac(tokens) {
        let module = tokens.kryoptic();
        let wrapping = by(Vendor::Kryoptic, Mechanism::CBC_HMAC_SHA256);
        check(&module, MAC_ONLY, wrapping, Mechanism::CBC_HMAC_SHA256);
    }

    fn iv_returned_as_by_cloudhsm(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["iv returned"]);
        check(&shim.path, SOFTHSM, Vendor::CloudHsm, Mechanism::GCM_RETURNED_IV);
    }

    fn iv_returned_early(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["iv returned-at-init"]);
        let wrapping = by(Vendor::Generic, Mechanism::GCM_RETURNED_IV);
        check(&shim.path, SOFTHSM, wrapping, Mechanism::GCM_RETURNED_IV);
    }

    fn iv_returned_as_by_google(tokens) {
        let rules = ["alias 0x8001e101 0x1087", "hide 0x1087", "iv returned"];
        let shim = tokens.shim(&tokens.softhsm(), &rules);
        check(&shim.path, SOFTHSM, Vendor::GoogleKms, Mechanism::GCM_RETURNED_IV);
    }

    fn iv_prepended_as_by_cloudhsm(tokens) {
        let rules = ["alias 0x80001087 0x1087", "hide 0x1087", "iv prepended"];
        let shim = tokens.shim(&tokens.softhsm(), &rules);
        let wrapping = by(Vendor::CloudHsm, Mechanism::GCM_PREPENDED_IV);
        check(&shim.path, SOFTHSM, wrapping, Mechanism::GCM_PREPENDED_IV);
    }

    fn iv_appended_as_by_luna(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["iv appended", "value-len"]);
        check(&shim.path, SOFTHSM, Vendor::Luna, Mechanism::GCM_APPENDED_LONG_IV);
    }

    fn short_iv_appended_as_by_newer_luna(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["iv appended"]);
        let wrapping = by(Vendor::Luna, Mechanism::GCM_APPENDED_IV);
        check(&shim.path, SOFTHSM, wrapping, Mechanism::GCM_APPENDED_IV);
    }

    fn key_wrap_with_lengths_as_by_luna(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["hide 0x1087", "value-len"]);
        check(&shim.path, SOFTHSM, Vendor::Luna, Mechanism::AES_KEY_WRAP);
    }
}

fn check(module: &Path, label: &str, wrapping: impl Into<TokenWrapping>, mechanism: Mechanism) {
    let wrapping = wrapping.into();
    let provider = open_as(module, label, wrapping.clone());
    let handle = provider.create_key(CreateKeyRequest::default()).unwrap();
    let description = provider.describe_key(&handle).unwrap();
    assert_eq!(description.mechanism, Some(mechanism));
    provider_contract::check(&provider);
    many_threads(&provider);
    opened_anew(&provider, || open_as(module, label, wrapping.clone()));
}

fn many_threads(provider: &dyn KeyProvider) {
    let load = Load::new(provider);
    let tally = load.under(|| thread::sleep(Duration::from_millis(200)));
    assert_eq!(tally.unavailable, 0, "{tally:?}");
    load.check();
}

/// Another instance, as after a restart, has the same keys.
fn opened_anew(provider: &Pkcs11KeyProvider, open: impl Fn() -> Pkcs11KeyProvider) {
    let data_key = DataKey::from_bytes(&[7; 32]).unwrap();
    let handle = provider.create_key(CreateKeyRequest::default()).unwrap();
    let request = WrapRequest::new(&handle, &data_key, b"bound");
    let wrapped = provider.wrap_key(request).unwrap();
    let request = UnwrapRequest::new(&handle, wrapped.as_bytes(), b"bound");
    assert_eq!(open().unwrap_key(request).unwrap(), data_key);
}
