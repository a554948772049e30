//! RSA-OAEP by `C_Encrypt` and `C_Decrypt`. Who has the public key can wrap.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism as TokenMechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::BoundSecret;
use crate::crypto::token::OaepHash;
use crate::format::Mechanism;
use crate::provider::WrappedKey;

/// The bytes of the moduli that there are: 2048 to 4096 bits.
pub(super) const MODULUS_LENS: [usize; 3] = [256, 384, MAX_WRAPPED_LEN];
pub(super) const MAX_WRAPPED_LEN: usize = 512;

pub(super) fn hash_of(mechanism: Mechanism) -> Option<OaepHash> {
    Some(match mechanism {
        Mechanism::RSA_OAEP_SHA1 => OaepHash::Sha1,
        Mechanism::RSA_OAEP_SHA256 => OaepHash::Sha256,
        Mechanism::RSA_OAEP_SHA384 => OaepHash::Sha384,
        Mechanism::RSA_OAEP_SHA512 => OaepHash::Sha512,
        _ => return None,
    })
}

fn mechanism_of(hash: OaepHash) -> TokenMechanism<'static> {
    let (hash, mgf) = match hash {
        OaepHash::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        OaepHash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        OaepHash::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        OaepHash::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
    };
    PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()).into()
}

pub(super) fn wrap(
    session: &Session,
    public: ObjectHandle,
    hash: OaepHash,
    secret: &BoundSecret,
) -> Result<WrappedKey, Failure> {
    let wrapped = session.encrypt(&mechanism_of(hash), public, secret.as_bytes())?;
    if !MODULUS_LENS.contains(&wrapped.len()) {
        return Err(Failure::Answer(
            "what it encrypted has not the length of an RSA key of 2048, 3072 or 4096 bits",
        ));
    }
    Ok(WrappedKey::from(wrapped))
}

pub(super) fn unwrap(
    session: &Session,
    private: ObjectHandle,
    hash: OaepHash,
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if !MODULUS_LENS.contains(&wrapped.len()) {
        return Err(Failure::Rejected);
    }
    Ok(Zeroizing::new(session.decrypt(
        &mechanism_of(hash),
        private,
        wrapped,
    )?))
}
