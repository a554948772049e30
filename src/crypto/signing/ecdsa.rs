//! ECDSA (FIPS 186-5), deterministic (RFC 6979), with signatures in DER.

use p256::ecdsa::signature::SignatureEncoding;
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::elliptic_curve::Generate;
use rand_core::CryptoRng;

use super::Rejected;

pub(super) fn generate<K: Generate>(rng: &mut impl CryptoRng) -> K {
    K::generate_from_rng(rng)
}

pub(super) fn sign<K, S>(key: &K, digest: &[u8]) -> Result<Vec<u8>, Rejected>
where
    K: PrehashSigner<S>,
    S: SignatureEncoding,
{
    let signature = key.sign_prehash(digest).map_err(|_| Rejected)?;
    Ok(signature.to_vec())
}

pub(super) fn verify<K, S>(key: &K, digest: &[u8], signature: &[u8]) -> Result<(), Rejected>
where
    K: PrehashVerifier<S>,
    S: SignatureEncoding,
{
    let signature = S::try_from(signature).map_err(|_| Rejected)?;
    key.verify_prehash(digest, &signature).map_err(|_| Rejected)
}
