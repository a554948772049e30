//! PINs, and what is said of tokens.

use std::time::Duration;

use super::*;
use crate::pkcs11::{
    PinFailure, PinSource, Pkcs11Config, Pkcs11Error, Pkcs11KeyProvider, Pkcs11Uri, UriError,
};

#[test]
fn every_source_of_a_pin() {
    for source in [
        PinSource::none(),
        PinSource::keypad(),
        PinSource::value(SECRET_WORD.as_bytes()).unwrap(),
        PinSource::callback(|_| Ok(SECRET_WORD.as_bytes().to_vec().into())),
        PinSource::environment("TOKEN_PIN"),
        PinSource::file("/etc/pin"),
    ] {
        assert_debug_clean(&source);
        assert_debug_clean(&Pkcs11Config::new("/no/module.so").with_pin(source));
    }
    let uri = format!("pkcs11:token=a?module-path=/no/module.so&pin-value={SECRET_WORD}");
    assert_debug_clean(&Pkcs11Uri::parse(&uri).unwrap());
    let config = Pkcs11Config::from_uri(&uri).unwrap();
    assert_debug_clean(&config);
    assert_error_clean(&Pkcs11KeyProvider::open(config).unwrap_err());
}

#[test]
fn uris_that_are_wrong() {
    for uri in [
        SECRET_WORD.to_owned(),
        format!("pkcs11:{SECRET_WORD}"),
        format!("pkcs11:?{SECRET_WORD}"),
        format!("pkcs11:pin-value={SECRET_WORD}"),
        format!("pkcs11:slot-id={SECRET_WORD}"),
        format!("pkcs11:?pin-value={SECRET_WORD}%"),
        format!("pkcs11:?pin-value={SECRET_WORD}&pin-value=b"),
        format!("pkcs11:?pin-value={SECRET_WORD}&pin-source=/b"),
        format!("pkcs11:?pin-value={SECRET_WORD} "),
    ] {
        if let Err(error) = Pkcs11Uri::parse(&uri) {
            assert_error_clean(&error);
        }
    }
    for uri in [
        format!("pkcs11:?pin-source=|/bin/echo%20{SECRET_WORD}"),
        format!("pkcs11:?pin-source={SECRET_WORD}"),
    ] {
        let uri = Pkcs11Uri::parse(&uri).unwrap();
        assert_error_clean(&uri.pin().unwrap_err());
    }
}

#[test]
fn values_that_are_no_pins() {
    let long = SECRET_WORD.repeat(200);
    for pin in ["", &long] {
        assert_error_clean(&PinSource::value(pin.as_bytes()).unwrap_err());
    }
}

/// One of each. A new variant does not compile until it is listed here.
#[test]
fn every_error_of_a_token() {
    let path = || PathBuf::from("/usr/lib/module.so");
    let text = || "text".to_owned();
    let texts = || vec![text()];
    let uri_errors = [
        UriError::Scheme,
        UriError::NoAttribute { part: 2 },
        UriError::Attribute {
            name: text(),
            reason: "is given twice; give it once",
        },
    ];
    for error in &uri_errors {
        match error {
            UriError::Scheme | UriError::NoAttribute { .. } | UriError::Attribute { .. } => {}
        }
        assert_error_clean(error);
    }
    let failures = [
        PinFailure::Incorrect,
        PinFailure::Locked,
        PinFailure::LastTry,
        PinFailure::Expired,
        PinFailure::NotInitialised,
        PinFailure::Malformed,
    ];
    let logins = failures.map(|failure| {
        match failure {
            PinFailure::Incorrect
            | PinFailure::Locked
            | PinFailure::LastTry
            | PinFailure::Expired
            | PinFailure::NotInitialised
            | PinFailure::Malformed => {}
        }
        Pkcs11Error::Login {
            token: text(),
            failure,
        }
    });
    let errors = [
        Pkcs11Error::NoModule,
        Pkcs11Error::NoSuchModule { path: path() },
        Pkcs11Error::NoModuleOfName {
            name: text(),
            directories: vec![path()],
        },
        Pkcs11Error::NotALibrary { path: path() },
        Pkcs11Error::WrongArchitecture {
            path: path(),
            found: text(),
            expected: text(),
        },
        Pkcs11Error::Load {
            path: path(),
            reason: text(),
        },
        Pkcs11Error::NotPkcs11 { path: path() },
        Pkcs11Error::OtherLibrary {
            name: "library-version",
            wanted: text(),
            is: text(),
        },
        Pkcs11Error::NoToken {
            wanted: text(),
            found: texts(),
            skipped: texts(),
        },
        Pkcs11Error::SeveralTokens {
            wanted: text(),
            found: texts(),
        },
        Pkcs11Error::NoPin { token: text() },
        Pkcs11Error::PinFile {
            path: path(),
            source: io::Error::other("denied"),
        },
        Pkcs11Error::PinReadableByOthers {
            path: path(),
            mode: 0o644,
        },
        Pkcs11Error::NoPinVariable { name: text() },
        Pkcs11Error::NotAPin {
            place: text(),
            reason: "it is empty",
        },
        Pkcs11Error::PinCallback {
            source: "no answer".into(),
        },
        Pkcs11Error::SecurityOfficer { token: text() },
        Pkcs11Error::LoggedOut,
        Pkcs11Error::Busy {
            sessions: 8,
            waited: Duration::from_secs(10),
        },
        Pkcs11Error::Waiting {
            after: Duration::from_secs(1),
            reason: text(),
        },
        Pkcs11Error::NotOurs { reason: text() },
        Pkcs11Error::Call {
            function: text(),
            code: text(),
        },
        Pkcs11Error::Answer { what: "nothing" },
        Pkcs11Error::SeveralKeys {
            id: text(),
            count: 2,
        },
        Pkcs11Error::SeveralKeysOfLabel {
            label: text(),
            count: 2,
        },
        Pkcs11Error::KeyWithoutId { label: text() },
        Pkcs11Error::Mechanism { what: "nothing" },
        Pkcs11Error::NoMechanism {
            passed_over: texts(),
        },
        Pkcs11Error::OtherKey { id: text() },
    ];
    let uris = uri_errors.map(Pkcs11Error::Uri);
    for error in errors.into_iter().chain(logins).chain(uris) {
        match &error {
            Pkcs11Error::NoModule
            | Pkcs11Error::NoSuchModule { .. }
            | Pkcs11Error::NoModuleOfName { .. }
            | Pkcs11Error::NotALibrary { .. }
            | Pkcs11Error::WrongArchitecture { .. }
            | Pkcs11Error::Load { .. }
            | Pkcs11Error::NotPkcs11 { .. }
            | Pkcs11Error::Uri(_)
            | Pkcs11Error::OtherLibrary { .. }
            | Pkcs11Error::NoToken { .. }
            | Pkcs11Error::SeveralTokens { .. }
            | Pkcs11Error::NoPin { .. }
            | Pkcs11Error::PinFile { .. }
            | Pkcs11Error::PinReadableByOthers { .. }
            | Pkcs11Error::NoPinVariable { .. }
            | Pkcs11Error::NotAPin { .. }
            | Pkcs11Error::PinCallback { .. }
            | Pkcs11Error::Login { .. }
            | Pkcs11Error::SecurityOfficer { .. }
            | Pkcs11Error::LoggedOut
            | Pkcs11Error::Busy { .. }
            | Pkcs11Error::Waiting { .. }
            | Pkcs11Error::NotOurs { .. }
            | Pkcs11Error::Call { .. }
            | Pkcs11Error::Answer { .. }
            | Pkcs11Error::SeveralKeys { .. }
            | Pkcs11Error::SeveralKeysOfLabel { .. }
            | Pkcs11Error::KeyWithoutId { .. }
            | Pkcs11Error::Mechanism { .. }
            | Pkcs11Error::NoMechanism { .. }
            | Pkcs11Error::OtherKey { .. } => {}
        }
        assert_error_clean(&error);
        assert_error_clean(&ProviderError::from(error));
    }
}
