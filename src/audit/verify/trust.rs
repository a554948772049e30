use base64ct::{Base64, Encoding};

use super::super::AuditKey;
use super::super::checkpoint::{MAC_SIGNER, message, signer_id};
use super::super::parse::{Checkpoint, Line};
use crate::crypto::{MacAlgorithm, MessageInput, SigningAlgorithm, constant_time_eq};
use crate::provider::PublicKey;

/// Whose checkpoints are trusted.
#[derive(Debug, Clone, Default)]
pub(super) struct Trust<'a> {
    keys: Vec<(String, PublicKey)>,
    pub(super) mac: Option<&'a AuditKey>,
}

/// What a checkpoint's signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    Bad,
    /// Of nobody who is trusted.
    Unknown,
    /// Nobody is trusted, or it is no checkpoint.
    None,
}

impl Trust<'_> {
    pub(super) fn add(&mut self, key: PublicKey) {
        self.keys.push((signer_id(&key), key));
    }

    pub(super) fn verify(&self, line: &[u8], checkpoint: &Checkpoint) -> Signature {
        if self.keys.is_empty() && self.mac.is_none() {
            return Signature::None;
        }
        let signed = Line::signed_part(line, &checkpoint.signature).map(message);
        let signature = Base64::decode_vec(&checkpoint.signature).ok();
        let (Some(signed), Some(signature)) = (signed, signature) else {
            return Signature::Bad;
        };
        let is_good = if checkpoint.signer == MAC_SIGNER {
            let Some(key) = self.mac else {
                return Signature::Unknown;
            };
            checkpoint.algorithm == MacAlgorithm::HmacSha256.name()
                && constant_time_eq(&key.mac(&signed), &signature)
        } else {
            let named = self
                .keys
                .iter()
                .find(|(signer, _)| *signer == checkpoint.signer);
            let Some((_, key)) = named else {
                return Signature::Unknown;
            };
            let algorithm = checkpoint.algorithm.parse::<SigningAlgorithm>();
            algorithm.is_ok_and(|algorithm| {
                key.verify(algorithm, MessageInput::Raw(&signed), &signature)
                    .is_ok()
            })
        };
        if is_good {
            Signature::Good
        } else {
            Signature::Bad
        }
    }
}
