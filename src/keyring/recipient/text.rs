//! The keys of recipients as text: `waxseal-`, the algorithm, `-public:` or `-private:`, the key id in
//! hexadecimal, `:`, the key in padded base64 (RFC 4648, section 4).

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::{InvalidRecipientKey, RecipientAlgorithm, RecipientPublicKey};
use crate::crypto::KEY_LEN;
use crate::format::KeyId;
use crate::secret::SecretBytes;

pub(super) fn write_public(key: &RecipientPublicKey) -> String {
    let start = start(key.algorithm(), PUBLIC);
    format!(
        "{start}{}:{}",
        key.id(),
        Base64::encode_string(&key.to_bytes())
    )
}

pub(super) fn read_public(
    text: &str,
) -> Result<(RecipientAlgorithm, KeyId, Vec<u8>), InvalidRecipientKey> {
    let text = text.trim_ascii();
    if split(text, PRIVATE).is_some() {
        return Err(InvalidRecipientKey::Private);
    }
    split(text, PUBLIC)
        .filter(|(algorithm, _, base64)| base64.len() == base64_len(algorithm.public_key_len()))
        .and_then(|(algorithm, id, base64)| Some((algorithm, id, Base64::decode_vec(base64).ok()?)))
        .ok_or(InvalidRecipientKey::Text {
            what: "public key",
            example: "waxseal-x25519-public:KEY ID:KEY or waxseal-x-wing-public:KEY ID:KEY",
        })
}

pub(super) fn write_private(
    algorithm: RecipientAlgorithm,
    id: KeyId,
    key: &[u8; KEY_LEN],
) -> SecretBytes {
    let start = format!("{}{id}:", start(algorithm, PRIVATE));
    let mut base64 = Zeroizing::new([0; base64_len(KEY_LEN)]);
    let encoded = Base64::encode(key, base64.as_mut_slice()).map_or("", |encoded| encoded);
    SecretBytes::from([start.as_bytes(), encoded.as_bytes()].concat())
}

pub(super) fn read_private(
    text: &[u8],
) -> Result<(RecipientAlgorithm, KeyId, Zeroizing<[u8; KEY_LEN]>), InvalidRecipientKey> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    std::str::from_utf8(text.trim_ascii())
        .ok()
        .and_then(|text| split(text, PRIVATE))
        .filter(|(_, _, base64)| {
            let decoded = Base64::decode(base64, key.as_mut_slice());
            decoded.is_ok_and(|decoded| decoded.len() == KEY_LEN)
        })
        .map(|(algorithm, id, _)| (algorithm, id, key.clone()))
        .ok_or(InvalidRecipientKey::Text {
            what: "private key",
            example: "waxseal-x25519-private:KEY ID:KEY or waxseal-x-wing-private:KEY ID:KEY",
        })
}

const PUBLIC: &str = "public";
const PRIVATE: &str = "private";

fn start(algorithm: RecipientAlgorithm, half: &str) -> String {
    format!("waxseal-{algorithm}-{half}:")
}

fn split<'t>(text: &'t str, half: &str) -> Option<(RecipientAlgorithm, KeyId, &'t str)> {
    RecipientAlgorithm::ALL.iter().find_map(|algorithm| {
        let rest = text.strip_prefix(&start(*algorithm, half))?;
        let (id, base64) = rest.split_once(':')?;
        Some((*algorithm, id.parse().ok()?, base64))
    })
}

const fn base64_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}
