//! Tokens used directly: by those who prepare them, and by other users in the same process.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::tokens::PIN;

/// A module, initialised by us if by nobody before.
pub fn module(path: &Path) -> Pkcs11 {
    let module = Pkcs11::new(path).unwrap();
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => module,
        Err(error) => panic!("{error}"),
    }
}

/// The slot of the token with this label.
pub fn slot(module: &Pkcs11, label: &str) -> Slot {
    let slots = module.get_slots_with_token().unwrap();
    let has_label = |slot: &Slot| {
        let token = module.get_token_info(*slot);
        token.is_ok_and(|token| token.label() == label)
    };
    slots.into_iter().find(has_label).unwrap()
}

/// A session in which the user is logged in.
pub fn session(module: &Pkcs11, label: &str) -> Session {
    let session = module.open_rw_session(slot(module, label)).unwrap();
    match session.login(UserType::User, Some(&AuthPin::new(PIN.into()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session,
        Err(error) => panic!("{error}"),
    }
}

/// What a key may do.
pub enum Use {
    /// `C_Encrypt` and `C_Decrypt`.
    Encrypts,
    /// `C_WrapKey` and `C_UnwrapKey`.
    Wraps,
}

/// Puts a known AES-256 key into the token.
pub fn put_aes_key(session: &Session, id: &[u8], value: &[u8; 32], usage: Use) -> ObjectHandle {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Id(id.to_vec()),
        Attribute::Label(b"known to the tests".to_vec()),
        Attribute::Value(value.to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
    ];
    template.extend(match usage {
        Use::Encrypts => [Attribute::Encrypt(true), Attribute::Decrypt(true)],
        Use::Wraps => [Attribute::Wrap(true), Attribute::Unwrap(true)],
    });
    session.create_object(&template).unwrap()
}

/// An AES-256 key of the session, which encrypts.
pub fn session_key(session: &Session) -> ObjectHandle {
    let template = [
        Attribute::ValueLen(32.into()),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Token(false),
    ];
    session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap()
}
