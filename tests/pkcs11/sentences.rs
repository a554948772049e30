//! What is wrong with a configuration or a token is said in one sentence, with what to do about it.

use std::fs;
use std::path::Path;
use std::process::Command;

use waxseal::pkcs11::{AdoptKey, PinSource, Pkcs11Config, Pkcs11Error};
use waxseal::{CreateKeyRequest, KeyProvider, ProviderError};

use crate::raw::{self, Use};
use crate::tokens::{PIN, SOFTHSM, token_tests};
use crate::{providers, tokens};

token_tests! {
    fn no_such_module(tokens) {
        let path = tokens.path("nothing.so");
        says(config(&path), &format!(
            "there is no PKCS#11 module at {}; install the token's software, or correct the path",
            path.display()
        ));
    }

    fn no_library(tokens) {
        let path = tokens.path("text.so");
        fs::write(&path, "not a library, but long enough to be looked at").unwrap();
        says(config(&path), &format!(
            "{} is no shared library; give the path of the PKCS#11 module itself, which usually ends in .so",
            path.display()
        ));
    }

    fn a_module_for_another_processor(tokens) {
        let path = tokens.path("other.so");
        let mut library = fs::read(tokens.softhsm()).unwrap();
        // The number of an ELF file's machine, which is none that this can be.
        library[18..20].copy_from_slice(&0x2A_u16.to_le_bytes());
        fs::write(&path, library).unwrap();
        let sentence = sentence(config(&path));
        assert!(sentence.contains("machine 42"), "{sentence}");
        assert!(sentence.contains(std::env::consts::ARCH), "{sentence}");
        assert!(sentence.contains("; install the PKCS#11 module for"), "{sentence}");
    }

    fn a_library_that_is_no_module(tokens) {
        let path = tokens.path("empty.so");
        let source = tokens.path("empty.c");
        fs::write(&source, "int nothing;\n").unwrap();
        let status = Command::new("cc").args(["-shared", "-o"]).args([&path, &source]).status();
        assert!(status.unwrap().success());
        says(config(&path), &format!(
            "{} is a library, but no PKCS#11 module: it has no C_GetFunctionList; give the path of the module",
            path.display()
        ));
    }

    fn a_wrong_pin_is_not_tried_again(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let wrong = |pin: &[u8]| config(&shim.path).with_pin(PinSource::value(pin).unwrap());
        for _ in 0..5 {
            says(wrong(b"wrong"), "the token \"softhsm\" refused the login: the PIN is wrong, and is not tried again, because tokens lock after a few tries; correct it, then start anew or call log_in_anew");
        }
        assert_eq!(shim.count("C_Login"), 1);
        providers::open(&shim.path, SOFTHSM);
        assert_eq!(shim.count("C_Login"), 2);
    }

    fn a_pin_that_becomes_wrong_is_tried_once_by_all_threads(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let provider = providers::open(&shim.path, SOFTHSM);
        let key = provider.create_key(CreateKeyRequest::default()).unwrap();
        shim.obey(&["lose sessions 1 1", "fail C_Login 0xa0"]);
        shim.forget();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let error = provider.describe_key(&key).unwrap_err();
                        assert!(matches!(error, ProviderError::Refused { .. }), "{error:?}");
                    }
                });
            }
        });
        assert_eq!(shim.count("C_Login"), 1);
        shim.obey(&[]);
        provider.describe_key(&key).unwrap_err();
        provider.log_in_anew().unwrap();
        provider.describe_key(&key).unwrap();
    }

    fn a_locked_pin(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["fail C_Login 0xa4"]);
        says(config(&shim.path), "the token \"softhsm\" refused the login: the PIN is locked after too many wrong ones; let the security officer unlock it (C_InitPIN), then start anew or call log_in_anew");
    }

    fn an_expired_pin(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["fail C_Login 0xa3"]);
        says(config(&shim.path), "the token \"softhsm\" refused the login: the PIN has expired; set a new one with the token's own tool, configure it, then start anew or call log_in_anew");
    }

    fn a_pin_that_was_never_set(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["fail C_Login 0x102"]);
        says(config(&shim.path), "the token \"softhsm\" refused the login: the user PIN was never set; let the security officer set it (C_InitPIN), then start anew or call log_in_anew");
    }

    fn no_pin(tokens) {
        let config = Pkcs11Config::new(tokens.softhsm()).with_token_label(SOFTHSM);
        says(config, "the token \"softhsm\" wants a PIN; configure where to take it from");
    }

    fn a_pin_file_for_all_to_read(tokens) {
        use std::os::unix::fs::PermissionsExt;
        let file = tokens.pin_file();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let config = config(&tokens.softhsm()).with_pin(PinSource::file(&file));
        says(config, &format!(
            "the PIN file {0} can be read by others (mode 0644); make it yours alone with: chmod 600 {0}",
            file.display()
        ));
    }

    fn a_token_that_is_not_there(tokens) {
        let module = tokens.softhsm();
        let sentence = sentence(providers::config(&module, "elsewhere"));
        assert!(sentence.starts_with("no token is labelled \"elsewhere\"; use one of these, or insert the token: \"softhsm\" (serial "), "{sentence}");
    }

    fn two_tokens_of_one_label(tokens) {
        let module = tokens.softhsm();
        tokens.softhsm_token(SOFTHSM);
        let sentence = sentence(config(&module));
        assert!(sentence.starts_with("more than one token is labelled \"softhsm\": \"softhsm\" (serial "), "{sentence}");
        assert!(sentence.ends_with("; name the token by its serial number"), "{sentence}");
    }

    fn two_keys_of_one_label(tokens) {
        let module = tokens.softhsm();
        let session = raw::session(&raw::module(&module), SOFTHSM);
        for id in [b"one", b"two"] {
            raw::put_aes_key(&session, id, &[7; 32], Use::Encrypts);
        }
        let provider = providers::open(&module, SOFTHSM);
        let label = AdoptKey::by_label("known to the tests");
        let error = provider.adopt(&label).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the pkcs11 provider refuses: 2 keys of the token have the label \"known to the tests\"; name the key by its id, which list_keys tells, or give each a label of its own"
        );
        provider.adopt(&AdoptKey::by_id(*b"two")).unwrap();
    }

    fn two_keys_of_one_id(tokens) {
        let module = tokens.softhsm();
        let session = raw::session(&raw::module(&module), SOFTHSM);
        for value in [7, 8] {
            raw::put_aes_key(&session, b"twin", &[value; 32], Use::Encrypts);
        }
        let provider = providers::open(&module, SOFTHSM);
        let error = provider.adopt(&AdoptKey::by_id(*b"twin")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the pkcs11 provider refuses: 2 keys of the token have the id 7477696e; remove all but one, for instance with pkcs11-tool --delete-object"
        );
    }

    fn one_bad_slot_hides_no_other(tokens) {
        let module = tokens.softhsm();
        tokens.softhsm_token("neighbour");
        let context = raw::module(&module);
        let bad = raw::slot(&context, "neighbour").id();
        let shim = tokens.shim(&module, &[&format!("clock {bad} 2026-13-99T99:99:")]);
        let through = raw::module(&shim.path);
        through.get_slots_with_initialized_token().unwrap_err();
        providers::open(&shim.path, SOFTHSM);
        let sentence = sentence(providers::config(&shim.path, "neighbour"));
        assert!(sentence.contains(&format!("not readable: slot {bad}")), "{sentence}");
    }

    fn a_security_officer_who_is_logged_in(tokens) {
        let module = tokens.softhsm();
        let context = raw::module(&module);
        let officer = context.open_rw_session(raw::slot(&context, SOFTHSM)).unwrap();
        let pin = cryptoki::types::AuthPin::new(tokens::SO_PIN.into());
        officer.login(cryptoki::session::UserType::So, Some(&pin)).unwrap();
        says(config(&module), "the security officer is logged in to the token \"softhsm\" in this process; log it out, or administer the token from another process");
    }
}

fn config(module: &Path) -> Pkcs11Config {
    providers::config(module, SOFTHSM)
}

fn says(config: Pkcs11Config, expected: &str) {
    assert_eq!(sentence(config), expected);
}

fn sentence(config: Pkcs11Config) -> String {
    let error: Pkcs11Error = providers::try_open(config).map(drop).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains(PIN) && !format!("{error:?}").contains(PIN));
    text
}
