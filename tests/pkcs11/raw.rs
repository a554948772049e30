//! Tokens used directly: by those who prepare them, and by other users in the same process.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use rsa::pkcs1::der::Decode;
use rsa::pkcs1::{self, EncodeRsaPrivateKey};
use rsa::{BoxedUint, PrivateKey};

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

/// Puts a known key for HMAC into the token.
pub fn put_mac_key(session: &Session, id: &[u8], value: &[u8]) {
    session
        .create_object(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Id(id.to_vec()),
            Attribute::Value(value.to_vec()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sign(true),
            Attribute::Verify(true),
        ])
        .unwrap();
}

/// Puts a known RSA key of 2048 bits, which wraps, into the token: that of `tests/reference`.
pub fn put_rsa_key(session: &Session, id: &[u8]) {
    let [p, q] = RSA_PRIMES.map(|prime| BoxedUint::from_be_hex(prime, 1024).unwrap());
    let key = PrivateKey::from_p_q(p, q, 65537_u32.into()).unwrap();
    let key = key.to_pkcs1_der().unwrap();
    let key = pkcs1::RsaPrivateKey::from_der(key.as_bytes()).unwrap();
    let bytes = |number: pkcs1::UintRef<'_>| number.as_bytes().to_vec();
    let modulus = Attribute::Modulus(bytes(key.modulus));
    let exponent = Attribute::PublicExponent(bytes(key.public_exponent));
    let common = |class| {
        [
            Attribute::Class(class),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Id(id.to_vec()),
            Attribute::Token(true),
            modulus.clone(),
            exponent.clone(),
        ]
    };
    let mut public = common(ObjectClass::PUBLIC_KEY).to_vec();
    public.extend([Attribute::Encrypt(true), Attribute::Wrap(true)]);
    let mut private = common(ObjectClass::PRIVATE_KEY).to_vec();
    private.extend([
        Attribute::PrivateExponent(bytes(key.private_exponent)),
        Attribute::Prime1(bytes(key.prime1)),
        Attribute::Prime2(bytes(key.prime2)),
        Attribute::Exponent1(bytes(key.exponent1)),
        Attribute::Exponent2(bytes(key.exponent2)),
        Attribute::Coefficient(bytes(key.coefficient)),
        Attribute::Private(true),
        Attribute::Decrypt(true),
        Attribute::Unwrap(true),
    ]);
    for template in [public, private] {
        session.create_object(&template).unwrap();
    }
}

const RSA_PRIMES: [&str; 2] = [
    "e0d4e8784b8c232c43f084e3e873f7a8bf787d9d4bd391285104e3774cbde5643b348384a5fa4a7fb98703ae\
     a2fcce195e9387d5d3904ba9bd482b8ec380496e00d5912d1e9f70513d2e6bdfdb78f6450a37a32b2506a5a9\
     07ac3a11acef6a656a7c9cf36b3d06f8a47f615e2922ea39bc8e493cd90e784908eb89e1edae4c9f",
    "b6ad42df8f834d122bb7fe8d3ca17b745674756838701e1fda25b296114a9339d537ff227e81d4b59150d6b3\
     a5157b6aa6083fdbe9551dd7e9f85e9ae38d2c8a4067b6415728690d13b10aa7a87d4948ad110e190257c8a2\
     8dc77cfa8c0d6b37f9f1934517169e848f2b52d568491f34958c994291280cdecedee10fddf55c19",
];
