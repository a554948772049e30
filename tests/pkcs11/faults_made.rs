//! The module that fails fails as it is told to, so that what is tested by it is what it says.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use crate::raw;
use crate::tokens::{FULL, KEY_WRAP_ONLY, SOFTHSM, token_tests};

const PLAINTEXT: [u8; 32] = [0x42; 32];
const AAD: &[u8] = b"bound";

token_tests! {
    fn without_rules_nothing_is_changed(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let session = raw::session(&raw::module(&shim.path), SOFTHSM);
        let key = raw::session_key(&session);
        let (sealed, iv) = encrypt(&session, key, [7; 12]).unwrap();
        assert_eq!((sealed.len(), iv), (48, [7; 12]));
        assert_eq!(decrypt(&session, key, &mut iv.clone(), &sealed).unwrap(), PLAINTEXT);
        assert_eq!(shim.count("C_EncryptInit"), 1);
        assert!(shim.calls().iter().all(|(_, code)| *code == 0), "{:?}", shim.calls());
    }

    fn a_call_fails_as_often_as_it_is_told_to(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let session = raw::session(&raw::module(&shim.path), SOFTHSM);
        let key = raw::session_key(&session);
        shim.obey(&["fail C_EncryptInit 0x30 1 2"]);
        let works = [0; 5].map(|_| match encrypt(&session, key, [7; 12]) {
            Ok(_) => true,
            Err(Error::Pkcs11(RvError::DeviceError, _)) => false,
            Err(error) => panic!("{error}"),
        });
        assert_eq!(works, [true, false, false, true, true]);
    }

    fn a_returned_iv_is_written_where_the_zeros_were(tokens) {
        for rule in ["iv returned", "iv returned-at-init"] {
            let shim = tokens.shim(&tokens.softhsm(), &[rule]);
            let session = raw::session(&raw::module(&shim.path), SOFTHSM);
            let key = raw::session_key(&session);
            let (sealed, iv) = encrypt(&session, key, [0; 12]).unwrap();
            let (other, other_iv) = encrypt(&session, key, [0; 12]).unwrap();
            assert!(iv != [0; 12] && iv != other_iv && sealed != other, "{rule}");
            assert_eq!(decrypt(&session, key, &mut iv.clone(), &sealed).unwrap(), PLAINTEXT);
            encrypt(&session, key, [7; 12]).unwrap_err();
        }
    }

    fn a_zero_iv_stays(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["iv zero"]);
        let session = raw::session(&raw::module(&shim.path), SOFTHSM);
        let key = raw::session_key(&session);
        let (_, iv) = encrypt(&session, key, [0; 12]).unwrap();
        assert_eq!(iv, [0; 12]);
    }

    fn an_appended_iv_follows_the_ciphertext(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["iv appended"]);
        let session = raw::session(&raw::module(&shim.path), SOFTHSM);
        let key = raw::session_key(&session);
        let sealed = session.encrypt(&gcm(&mut [], AAD), key, &PLAINTEXT).unwrap();
        assert_eq!(sealed.len(), 64);
        let (ciphertext, iv) = sealed.split_at(48);
        assert_eq!(decrypt(&session, key, &mut iv.to_vec(), ciphertext).unwrap(), PLAINTEXT);
        assert_eq!(decrypt(&session, key, &mut [], &sealed).unwrap(), PLAINTEXT);
    }

    fn a_vendors_mechanism_is_its_own(tokens) {
        let cloud_hsm = MechanismType::new_vendor_defined(0x8000_1087).unwrap();
        let rules = ["alias 0x80001087 0x1087", "iv prepended", "hide 0x1087"];
        let shim = tokens.shim(&tokens.softhsm(), &rules);
        let module = raw::module(&shim.path);
        let session = raw::session(&module, SOFTHSM);
        let slot = raw::slot(&module, SOFTHSM);
        module.get_mechanism_info(slot, cloud_hsm).unwrap();
        module.get_mechanism_info(slot, MechanismType::AES_GCM).unwrap_err();
        assert!(!module.get_mechanism_list(slot).unwrap().contains(&MechanismType::AES_GCM));
        let key = raw::session_key(&session);
        encrypt(&session, key, [0; 12]).unwrap_err();
        let sealed = |bytes: &[u8]| {
            let parameters = GcmParams::new(&mut [], AAD, 128.into()).unwrap();
            let mechanism = VendorDefinedMechanism::new(cloud_hsm, Some(&parameters));
            let mechanism = Mechanism::VendorDefined(mechanism);
            match bytes {
                [] => session.encrypt(&mechanism, key, &PLAINTEXT),
                _ => session.decrypt(&mechanism, key, bytes),
            }
        };
        let message = sealed(&[]).unwrap();
        assert_eq!(message.len(), 60);
        assert_eq!(sealed(&message).unwrap(), PLAINTEXT);
    }

    fn lengths_are_claimed_that_are_not(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["length C_Encrypt -5"]);
        let session = raw::session(&raw::module(&shim.path), SOFTHSM);
        let key = raw::session_key(&session);
        assert_eq!(encrypt(&session, key, [7; 12]).unwrap().0.len(), 43);
    }

    fn sessions_run_out_and_are_given_back(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["sessions 2"]);
        let module = raw::module(&shim.path);
        let slot = raw::slot(&module, SOFTHSM);
        let _first = module.open_ro_session(slot).unwrap();
        let second = module.open_ro_session(slot).unwrap();
        let refused = module.open_ro_session(slot).map(drop);
        assert!(matches!(refused, Err(Error::Pkcs11(RvError::SessionCount, _))));
        drop(second);
        module.open_ro_session(slot).unwrap();
    }

    fn kryoptics_tokens_have_what_they_are_to_have(tokens) {
        let module = raw::module(&tokens.kryoptic());
        let mechanisms = |label| module.get_mechanism_list(raw::slot(&module, label)).unwrap();
        assert!(mechanisms(FULL).contains(&MechanismType::AES_GCM));
        assert!(!mechanisms(KEY_WRAP_ONLY).contains(&MechanismType::AES_GCM));
        assert!(mechanisms(KEY_WRAP_ONLY).contains(&MechanismType::AES_KEY_WRAP));
    }
}

fn gcm<'a>(iv: &'a mut [u8], aad: &'a [u8]) -> Mechanism<'a> {
    Mechanism::AesGcm(GcmParams::new(iv, aad, 128.into()).unwrap())
}

type Sealed = (Vec<u8>, [u8; 12]);

fn encrypt(session: &Session, key: ObjectHandle, mut iv: [u8; 12]) -> Result<Sealed, Error> {
    let sealed = session.encrypt(&gcm(&mut iv, AAD), key, &PLAINTEXT)?;
    Ok((sealed, iv))
}

fn decrypt(
    session: &Session,
    key: ObjectHandle,
    iv: &mut [u8],
    sealed: &[u8],
) -> Result<Vec<u8>, Error> {
    session.decrypt(&gcm(iv, AAD), key, sealed)
}
