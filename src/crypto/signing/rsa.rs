//! RSASSA-PSS and RSASSA-PKCS1-v1_5 (RFC 8017).
//!
//! Private operations are blinded: their timing depends on a random number and not on what is
//! signed.

use rand_core::CryptoRng;
use rsa::{Pkcs1v15Sign, PrivateKey, Pss, PublicKey};
use sha2::{Sha256, Sha384, Sha512};

use super::{Hash, Rejected};

pub(super) fn sign_pss(
    key: &PrivateKey,
    hash: Hash,
    digest: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, Rejected> {
    let signature = match hash {
        Hash::Sha256 => key.sign_with_rng(rng, Pss::<Sha256>::new_blinded(), digest),
        Hash::Sha384 => key.sign_with_rng(rng, Pss::<Sha384>::new_blinded(), digest),
        Hash::Sha512 => key.sign_with_rng(rng, Pss::<Sha512>::new_blinded(), digest),
    };
    signature.map_err(|_| Rejected)
}

pub(super) fn verify_pss(
    key: &PublicKey,
    hash: Hash,
    digest: &[u8],
    signature: &[u8],
) -> Result<(), Rejected> {
    let verified = match hash {
        Hash::Sha256 => key.verify(Pss::<Sha256>::new(), digest, signature),
        Hash::Sha384 => key.verify(Pss::<Sha384>::new(), digest, signature),
        Hash::Sha512 => key.verify(Pss::<Sha512>::new(), digest, signature),
    };
    verified.map_err(|_| Rejected)
}

pub(super) fn sign_pkcs1(
    key: &PrivateKey,
    hash: Hash,
    digest: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, Rejected> {
    key.sign_with_rng(rng, pkcs1(hash), digest)
        .map_err(|_| Rejected)
}

pub(super) fn verify_pkcs1(
    key: &PublicKey,
    hash: Hash,
    digest: &[u8],
    signature: &[u8],
) -> Result<(), Rejected> {
    key.verify(pkcs1(hash), digest, signature)
        .map_err(|_| Rejected)
}

fn pkcs1(hash: Hash) -> Pkcs1v15Sign {
    match hash {
        Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
        Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
        Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
    }
}
