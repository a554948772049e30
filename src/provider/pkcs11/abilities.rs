//! What a token can do: asked of it once, mechanism by mechanism.

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{MechanismInfo, MechanismType};
use cryptoki::slot::Slot;

use super::failure::Failure;
use super::wrap::Method;
use super::wrapping::TokenWrapping;
use crate::crypto::{KeyPair, MacAlgorithm, RsaSize};
use crate::provider::{KeySpec, KeySpecs};

/// What a token says it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) creates: KeySpecs,
}

impl Abilities {
    pub(super) fn ask(
        context: &Pkcs11,
        slot: Slot,
        wrapping: &TokenWrapping,
    ) -> Result<Self, Failure> {
        let asked = Asked { context, slot };
        let mut creates = KeySpecs::NONE;
        for &spec in KeySpec::ALL {
            if asked.makes(spec, wrapping)? {
                creates = creates.with(spec);
            }
        }
        Ok(Self { creates })
    }
}

/// Whether a token says that it makes keys for a method and wraps by it.
pub(super) fn offers(
    context: &Pkcs11,
    slot: Slot,
    method: &Method,
    size: RsaSize,
) -> Result<bool, Failure> {
    Asked { context, slot }.wraps_by(method, size)
}

struct Asked<'a> {
    context: &'a Pkcs11,
    slot: Slot,
}

impl Asked<'_> {
    fn makes(&self, spec: KeySpec, wrapping: &TokenWrapping) -> Result<bool, Failure> {
        if spec.wraps() {
            for &mechanism in wrapping.candidates() {
                let method = Method::new(mechanism, wrapping.vendor());
                if let Some(method) = method
                    && self.wraps_by(&method, wrapping.rsa_size())?
                {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        if let Some(algorithm) = spec.mac_algorithm() {
            let mac = match algorithm {
                MacAlgorithm::HmacSha256 => MechanismType::SHA256_HMAC,
                MacAlgorithm::HmacSha384 => MechanismType::SHA384_HMAC,
                MacAlgorithm::HmacSha512 => MechanismType::SHA512_HMAC,
            };
            return self.have(&[(MechanismType::GENERIC_SECRET_KEY_GEN, 0), (mac, 0)]);
        }
        match spec.key_pair() {
            None => Ok(false),
            Some(KeyPair::Ed25519) => self.have(&[
                (MechanismType::ECC_EDWARDS_KEY_PAIR_GEN, 0),
                (MechanismType::EDDSA, 0),
            ]),
            Some(KeyPair::EcdsaP256) => self.have_ecdsa(256),
            Some(KeyPair::EcdsaP384) => self.have_ecdsa(384),
            Some(KeyPair::Rsa(size)) => {
                let bits = size.bits().into();
                self.have(&[
                    (MechanismType::RSA_PKCS_KEY_PAIR_GEN, bits),
                    (MechanismType::RSA_PKCS, bits),
                    (MechanismType::RSA_PKCS_PSS, bits),
                ])
            }
        }
    }

    fn have_ecdsa(&self, bits: usize) -> Result<bool, Failure> {
        self.have(&[
            (MechanismType::ECC_KEY_PAIR_GEN, bits),
            (MechanismType::ECDSA, bits),
        ])
    }

    fn wraps_by(&self, method: &Method, size: RsaSize) -> Result<bool, Failure> {
        match method {
            Method::Gcm(gcm) => self.have(&[(MechanismType::AES_KEY_GEN, 0), (gcm.number(), 0)]),
            Method::KeyWrap(_) => self.have(&[
                (MechanismType::AES_KEY_GEN, 0),
                (MechanismType::AES_KEY_WRAP, 0),
            ]),
            Method::Oaep(_) => {
                let bits = size.bits().into();
                self.have(&[
                    (MechanismType::RSA_PKCS_KEY_PAIR_GEN, bits),
                    (MechanismType::RSA_PKCS_OAEP, bits),
                ])
            }
            Method::CbcHmac => self.have(&[
                (MechanismType::AES_KEY_GEN, 0),
                (MechanismType::AES_CBC_PAD, 0),
                (MechanismType::GENERIC_SECRET_KEY_GEN, 0),
                (MechanismType::SHA256_HMAC, 0),
            ]),
        }
    }

    /// Whether the token has all of these, for keys of so many bits where that is said.
    fn have(&self, wanted: &[(MechanismType, usize)]) -> Result<bool, Failure> {
        for &(mechanism, bits) in wanted {
            let has = self
                .info(mechanism)?
                .is_some_and(|info| bits == 0 || takes(&info, bits));
            if !has {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn info(&self, mechanism: MechanismType) -> Result<Option<MechanismInfo>, Failure> {
        match self.context.get_mechanism_info(self.slot, mechanism) {
            Ok(info) => Ok(Some(info)),
            Err(Error::Pkcs11(
                RvError::MechanismInvalid
                | RvError::FunctionNotSupported
                | RvError::ArgumentsBad
                | RvError::MechanismParamInvalid,
                _,
            )) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Some tokens state no sizes: 0 to 0.
fn takes(info: &MechanismInfo, bits: usize) -> bool {
    let (min, max) = (info.min_key_size(), info.max_key_size());
    max == 0 || (min..=max).contains(&bits)
}
