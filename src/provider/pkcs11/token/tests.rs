//! The runtime over SoftHSM: what others do to its module, and what becomes of the token.

mod soft_hsm;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use self::soft_hsm::{PIN, SoftHsm};
use super::super::config::Reinitialise;
use super::super::pin::{PinFailure, PinSource};
use super::*;

/// Wraps with AES-GCM under a nonce that is never used again, since nothing is sealed here.
struct Gcm;

fn gcm(iv: &mut [u8; 12]) -> Mechanism<'_> {
    Mechanism::AesGcm(GcmParams::new(iv, b"aad", 128.into()).unwrap())
}

fn wrap(session: &Session, key: ObjectHandle, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
    Ok(session.encrypt(&gcm(&mut [7; 12]), key, plaintext)?)
}

fn unwrap(session: &Session, key: ObjectHandle, wrapped: &[u8]) -> Result<Vec<u8>, Failure> {
    Ok(session.decrypt(&gcm(&mut [7; 12]), key, wrapped)?)
}

impl Canary for Gcm {
    fn lay(&self, session: &Session, key: ObjectHandle) -> Result<Option<Box<[u8]>>, Failure> {
        Ok(Some(wrap(session, key, &[1; 32])?.into()))
    }

    fn check(&self, session: &Session, key: ObjectHandle, canary: &[u8]) -> Result<(), Failure> {
        match unwrap(session, key, canary)? == [1; 32] {
            true => Ok(()),
            false => Err(Failure::Rejected),
        }
    }
}

/// The longest pause between two attempts to initialise a module, and some time to do it.
const RECOVERS_WITHIN: Duration = Duration::from_secs(6);

fn config(token: &str) -> Pkcs11Config {
    Pkcs11Config::new(SoftHsm::module())
        .with_token_label(token)
        .with_pin(PinSource::value(PIN).unwrap())
}

/// Opens a token that was made just now. SoftHSM shows it when it is initialised anew, for which it may
/// be too early.
fn open_token(config: Pkcs11Config) -> Token {
    let begin = Instant::now();
    loop {
        match Token::open(config.clone()) {
            Err(Pkcs11Error::NoToken { .. }) if begin.elapsed() < RECOVERS_WITHIN => {
                thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.unwrap(),
        }
    }
}

fn create_key(token: &Token, id: &[u8]) -> KeyName {
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
        Attribute::Id(id.to_vec()),
    ];
    token
        .with_session(Access::ReadWrite, |session| {
            Ok(session.generate_key(&Mechanism::AesKeyGen, &template)?)
        })
        .unwrap();
    KeyName::secret(id)
}

fn seal(token: &Token, key: &KeyName, data: &[u8]) -> Result<Vec<u8>, ProviderError> {
    token.with_key(key, Some(&Gcm), |session, handle| {
        wrap(session, handle, data)
    })
}

fn open(token: &Token, key: &KeyName, sealed: &[u8]) -> Result<Vec<u8>, ProviderError> {
    token.with_key(key, Some(&Gcm), |session, handle| {
        unwrap(session, handle, sealed)
    })
}

#[test]
fn what_was_wrapped_unwraps_and_what_was_changed_is_rejected() {
    SoftHsm::run(|hsm| {
        hsm.init_token("plain");
        let token = open_token(config("plain"));
        assert_eq!(token.description().unwrap().label, "plain");
        let key = create_key(&token, b"a");
        let mut sealed = seal(&token, &key, b"data").unwrap();
        assert_eq!(open(&token, &key, &sealed).unwrap(), b"data");
        sealed[0] ^= 1;
        for _ in 0..3 {
            let error = open(&token, &key, &sealed).unwrap_err();
            assert!(matches!(error, ProviderError::Rejected), "{error:?}");
        }
        let unknown = seal(&token, &KeyName::secret(b"b"), b"data").unwrap_err();
        assert!(matches!(unknown, ProviderError::UnknownKey { .. }));
        create_key(&token, b"a");
        token.forget_key(&key);
        let error = seal(&token, &key, b"data").unwrap_err();
        let ProviderError::Refused { source, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(source.to_string().contains("2 keys"), "{source}");
    });
}

fn others() -> Pkcs11 {
    Pkcs11::new(SoftHsm::module()).unwrap()
}

fn initialise(context: &Pkcs11) {
    context
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .unwrap();
}

#[test]
fn others_log_out() {
    SoftHsm::run(|hsm| {
        hsm.init_token("logout");
        let token = open_token(config("logout"));
        let key = create_key(&token, b"a");
        let sealed = seal(&token, &key, b"data").unwrap();
        for _ in 0..20 {
            let slot = token.description().unwrap().slot.try_into().unwrap();
            others().open_ro_session(slot).unwrap().logout().unwrap();
            assert_eq!(open(&token, &key, &sealed).unwrap(), b"data");
            others().open_ro_session(slot).unwrap().logout().unwrap();
            seal(&token, &key, b"data").unwrap();
            others().open_ro_session(slot).unwrap().logout().unwrap();
            token.forget_key(&key);
            assert_eq!(open(&token, &key, &sealed).unwrap(), b"data");
        }
    });
}

#[test]
fn another_key_in_the_place_of_one_is_noticed() {
    SoftHsm::run(|hsm| {
        hsm.init_token("replaced");
        let token = open_token(config("replaced"));
        let key = create_key(&token, b"a");
        let sealed = seal(&token, &key, b"data").unwrap();
        token
            .with_session(Access::ReadWrite, |session| {
                Ok(session.destroy_object(key.find(session)?)?)
            })
            .unwrap();
        create_key(&token, b"a");
        for result in [open(&token, &key, &sealed), seal(&token, &key, b"data")] {
            let Err(ProviderError::Refused { source, .. }) = &result else {
                panic!("{result:?}");
            };
            assert!(source.to_string().contains("another key"), "{source}");
        }
    });
}

#[test]
fn others_initialise_the_module_anew() {
    SoftHsm::run(|hsm| {
        hsm.init_token("finalised");
        let token = open_token(config("finalised"));
        let key = create_key(&token, b"a");
        create_key(&token, b"b");
        let sealed = seal(&token, &key, b"data").unwrap();
        let mut theirs = Vec::new();
        for round in 0..30 {
            theirs.drain(..).for_each(std::mem::forget);
            others().finalize().unwrap();
            if round % 2 == 0 {
                initialise(&others());
                let slot = token.description().unwrap().slot.try_into().unwrap();
                let sessions = (0..round).map(|_| others().open_rw_session(slot).unwrap());
                theirs.extend(sessions);
            }
            if round % 3 == 0 && !theirs.is_empty() {
                let pin = AuthPin::from("1234");
                theirs[0].login(UserType::User, Some(&pin)).unwrap();
            }
            let begin = Instant::now();
            let opened = loop {
                match open(&token, &key, &sealed) {
                    Ok(opened) => break opened,
                    Err(error) => assert!(error.is_retryable(), "{error:?}"),
                }
                assert!(begin.elapsed() < RECOVERS_WITHIN);
                thread::sleep(Duration::from_millis(10));
            };
            assert_eq!(opened, b"data");
            for their in &theirs {
                their.get_session_info().unwrap();
            }
        }
    });
}

#[test]
fn the_store_goes_away_and_comes_back() {
    SoftHsm::run(|hsm| {
        hsm.init_token("away");
        let token = open_token(config("away"));
        let key = create_key(&token, b"a");
        let sealed = seal(&token, &key, b"data").unwrap();
        let aside = hsm.tokens().with_extension("aside");
        for round in 0..3 {
            fs::rename(hsm.tokens(), &aside).unwrap();
            fs::create_dir(hsm.tokens()).unwrap();
            if round == 1 {
                token.forget_key(&key);
            }
            for _ in 0..50 {
                for result in [seal(&token, &key, b"data"), open(&token, &key, &sealed)] {
                    assert!(matches!(result, Err(ProviderError::Unavailable { .. })));
                }
                thread::sleep(Duration::from_millis(5));
            }
            fs::remove_dir(hsm.tokens()).unwrap();
            fs::rename(&aside, hsm.tokens()).unwrap();
            let begin = Instant::now();
            loop {
                match open(&token, &key, &sealed) {
                    Ok(opened) => {
                        assert_eq!(opened, b"data");
                        break;
                    }
                    Err(error) => assert!(error.is_retryable(), "{error:?}"),
                }
                assert!(begin.elapsed() < RECOVERS_WITHIN);
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
}

/// Eight threads wrap and unwrap under two keys each, while `disturb` disturbs them. Nothing may go
/// wrong but that the token is unavailable. Gives how many operations were done, and how many were
/// not.
fn under_load(token: &Token, keys: &[KeyName], disturb: impl FnOnce()) -> (usize, usize) {
    let sealed: Vec<_> = keys
        .iter()
        .map(|key| seal(token, key, key.id()).unwrap())
        .collect();
    let (done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    let count = |result: Result<Vec<u8>, ProviderError>, expected: &[u8]| match result {
        Ok(result) => {
            assert_eq!(result, expected);
            done.fetch_add(1, Ordering::Relaxed);
        }
        Err(ProviderError::Unavailable { .. }) => {
            failed.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
        Err(error) => panic!("{error:?}"),
    };
    thread::scope(|scope| {
        for thread in 0..8 {
            let (sealed, count, is_over) = (&sealed, &count, &is_over);
            scope.spawn(move || {
                for round in 0.. {
                    let at = (thread + round) % keys.len();
                    count(open(token, &keys[at], &sealed[at]), keys[at].id());
                    count(seal(token, &keys[at], keys[at].id()), &sealed[at]);
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        disturb();
        is_over.store(true, Ordering::Relaxed);
    });
    (done.into_inner(), failed.into_inner())
}

#[test]
fn eight_threads_while_others_log_out() {
    SoftHsm::run(|hsm| {
        hsm.init_token("busy logout");
        let token = open_token(config("busy logout"));
        let keys = [b"a", b"b", b"c"].map(|id| create_key(&token, id));
        let slot = token.description().unwrap().slot.try_into().unwrap();
        let (done, failed) = under_load(&token, &keys, || {
            for _ in 0..200 {
                others().open_ro_session(slot).unwrap().logout().unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        });
        println!("{done} done, {failed} unavailable");
        assert!(done > 10 * failed);
    });
}

#[test]
fn eight_threads_while_the_module_is_initialised_anew() {
    SoftHsm::run(|hsm| {
        hsm.init_token("busy anew");
        let token = open_token(config("busy anew"));
        let keys = [b"a", b"b", b"c"].map(|id| create_key(&token, id));
        let (done, failed) = under_load(&token, &keys, || {
            for _ in 0..100 {
                let entered = token.0.module.enter().unwrap();
                entered.works();
                let epoch = entered.epoch();
                drop(entered);
                let failure = Failure::Answer("a test");
                token
                    .0
                    .module
                    .reinitialise(epoch, Reinitialise::Always, &failure)
                    .unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        });
        println!("{done} done, {failed} unavailable");
        assert!(done > 10 * failed);
    });
}

#[test]
fn eight_threads_while_the_store_is_away() {
    SoftHsm::run(|hsm| {
        hsm.init_token("busy away");
        let token = open_token(config("busy away"));
        let keys = [b"a", b"b", b"c"].map(|id| create_key(&token, id));
        let aside = hsm.tokens().with_extension("aside");
        let (done, failed) = under_load(&token, &keys, || {
            for _ in 0..3 {
                fs::rename(hsm.tokens(), &aside).unwrap();
                fs::create_dir(hsm.tokens()).unwrap();
                thread::sleep(Duration::from_millis(300));
                fs::remove_dir(hsm.tokens()).unwrap();
                fs::rename(&aside, hsm.tokens()).unwrap();
                let begin = Instant::now();
                while open(
                    &token,
                    &keys[0],
                    &seal(&token, &keys[0], b"x").unwrap_or_default(),
                )
                .is_err()
                {
                    assert!(begin.elapsed() < RECOVERS_WITHIN);
                    thread::sleep(Duration::from_millis(10));
                }
                println!("back after {:?}", begin.elapsed());
            }
        });
        println!("{done} done, {failed} unavailable");
    });
}

#[test]
fn a_refused_pin_is_not_tried_again() {
    SoftHsm::run(|hsm| {
        hsm.init_token("pin");
        let wrong = |pin: &[u8]| config("pin").with_pin(PinSource::value(pin).unwrap());
        open_token(config("pin").with_pin(PinSource::none()));
        for _ in 0..3 {
            let error = Token::open(wrong(b"9999")).unwrap_err();
            let Pkcs11Error::Login { token, failure } = &error else {
                panic!("{error:?}");
            };
            assert_eq!((token.as_str(), *failure), ("pin", PinFailure::Incorrect));
        }
        let error = Token::open(wrong(b"99")).unwrap_err();
        assert!(matches!(
            error,
            Pkcs11Error::Login {
                failure: PinFailure::Malformed | PinFailure::Incorrect,
                ..
            }
        ));
        open_token(config("pin"));
        let without = Pkcs11Config::new(SoftHsm::module()).with_token_label("pin");
        assert!(matches!(
            Token::open(without).unwrap_err(),
            Pkcs11Error::NoPin { .. }
        ));
    });
}

#[test]
fn a_pin_that_was_changed_is_taken_anew_when_asked() {
    SoftHsm::run(|hsm| {
        hsm.init_token("new pin");
        let asked = Arc::new(AtomicUsize::new(0));
        let pin = {
            let asked = Arc::clone(&asked);
            PinSource::callback(move |token| {
                assert_eq!(token.label, "new pin");
                let pin = match asked.fetch_add(1, Ordering::Relaxed) {
                    0 => b"1234".to_vec(),
                    1 => b"5678".to_vec(),
                    _ => b"1234".to_vec(),
                };
                Ok(pin.into())
            })
        };
        let token = open_token(config("new pin").with_pin(pin));
        let slot = token.description().unwrap().slot.try_into().unwrap();
        let log_out = || others().open_ro_session(slot).unwrap().logout().unwrap();
        log_out();
        assert!(matches!(
            token.log_in_anew().unwrap_err(),
            Pkcs11Error::Login {
                failure: PinFailure::Incorrect,
                ..
            }
        ));
        let error = seal(&token, &KeyName::secret(b"a"), b"data").unwrap_err();
        assert!(!error.is_retryable(), "{error:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        token.log_in_anew().unwrap();
        create_key(&token, b"a");
        seal(&token, &KeyName::secret(b"a"), b"data").unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn a_forked_child_has_sessions_of_its_own() {
    SoftHsm::run(|hsm| {
        hsm.init_token("fork");
        let token = open_token(config("fork"));
        let key = create_key(&token, b"a");
        let sealed = seal(&token, &key, b"data").unwrap();
        let works = || open(&token, &key, &sealed).is_ok_and(|opened| opened == b"data");
        match fork::fork().unwrap() {
            fork::Fork::Child => {
                let code = if works() { 0 } else { 1 };
                std::process::exit(code);
            }
            fork::Fork::Parent(child) => {
                assert!(works());
                assert!(fork::waitpid(child).is_ok());
                assert!(works());
            }
        }
    });
}

#[test]
fn no_such_token_or_several() {
    SoftHsm::run(|hsm| {
        hsm.init_token("twin");
        hsm.init_token("twin");
        hsm.init_token("single");
        open_token(config("single"));
        let several = Token::open(config("twin")).unwrap_err().to_string();
        assert!(several.contains("serial"), "{several}");
        let none = Token::open(config("missing")).unwrap_err().to_string();
        assert!(
            none.contains("\"missing\"") && none.contains("\"twin\""),
            "{none}"
        );
        let other = Pkcs11Config::from_uri(
            "pkcs11:token=twin;library-manufacturer=Acme?module-path=/usr/lib/softhsm/libsofthsm2.so",
        );
        let other = Token::open(other.unwrap()).unwrap_err().to_string();
        assert!(
            other.contains("Acme") && other.contains("SoftHSM"),
            "{other}"
        );
    });
}
