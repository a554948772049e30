//! AES-256-GCM by `C_Encrypt` and `C_Decrypt`.

use std::ptr;

use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism as TokenMechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys::{CK_GCM_PARAMS, CK_ULONG};
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::super::wrapping::Vendor;
use crate::crypto::{Expand, KEY_LEN, NONCE_LEN, TAG_LEN, sha256};
use crate::format::{Mechanism, label};
use crate::provider::WrappedKey;
use crate::secret::DataKey;

const LONG_IV_LEN: usize = 16;
const SEALED_LEN: usize = KEY_LEN + TAG_LEN;
const TAG_BITS: CK_ULONG = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Gcm {
    iv: Iv,
    /// By which number the token knows the mechanism, if not by that of the standard.
    number: MechanismType,
    decrypts_with_prepended_iv: bool,
}

/// Who makes the IV, and where it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Iv {
    Caller,
    Returned,
    Prepended,
    Appended { len: usize },
}

impl Gcm {
    pub(super) fn new(mechanism: Mechanism, vendor: Vendor) -> Option<Self> {
        let iv = match mechanism {
            Mechanism::GCM_CALLER_IV => Iv::Caller,
            Mechanism::GCM_RETURNED_IV => Iv::Returned,
            Mechanism::GCM_PREPENDED_IV => Iv::Prepended,
            Mechanism::GCM_APPENDED_IV => Iv::Appended { len: NONCE_LEN },
            Mechanism::GCM_APPENDED_LONG_IV => Iv::Appended { len: LONG_IV_LEN },
            _ => return None,
        };
        Some(Self {
            iv,
            number: vendor.gcm(mechanism)?,
            decrypts_with_prepended_iv: vendor.decrypts_with_prepended_iv(mechanism),
        })
    }

    pub(in super::super) fn number(&self) -> MechanismType {
        self.number
    }

    pub(super) fn wrapped_len(&self) -> usize {
        self.iv_len() + SEALED_LEN
    }

    fn iv_len(&self) -> usize {
        match self.iv {
            Iv::Caller | Iv::Returned | Iv::Prepended => NONCE_LEN,
            Iv::Appended { len } => len,
        }
    }

    pub(super) fn wrap(
        &self,
        session: &Session,
        key: ObjectHandle,
        data_key: &DataKey,
        binding: &[u8],
    ) -> Result<WrappedKey, Failure> {
        match self.iv {
            Iv::Caller => {
                let iv = own_iv(data_key, binding);
                let (used, sealed) = self.encrypt_with(session, key, data_key, binding, iv)?;
                if used != iv {
                    return Err(Failure::Answer(
                        "it made an IV of its own where the caller's was to be used; configure a mechanism with the IV returned",
                    ));
                }
                wrapped(&used, &sealed)
            }
            Iv::Returned => {
                let zeros = [0; NONCE_LEN];
                let (used, sealed) = self.encrypt_with(session, key, data_key, binding, zeros)?;
                wrapped(made(&used)?, &sealed)
            }
            Iv::Prepended => {
                let given = self.encrypt_without_iv(session, key, data_key, binding)?;
                let (iv, sealed) = given.split_at_checked(NONCE_LEN).ok_or(WRONG_LENGTH)?;
                wrapped(made(iv)?, sealed)
            }
            Iv::Appended { .. } => {
                let given = self.encrypt_without_iv(session, key, data_key, binding)?;
                let (sealed, iv) = given.split_at_checked(SEALED_LEN).ok_or(WRONG_LENGTH)?;
                if iv.len() != self.iv_len() {
                    return Err(WRONG_LENGTH);
                }
                wrapped(made(iv)?, sealed)
            }
        }
    }

    pub(super) fn unwrap(
        &self,
        session: &Session,
        key: ObjectHandle,
        wrapped: &[u8],
        binding: &[u8],
    ) -> Result<DataKey, Failure> {
        if wrapped.len() != self.wrapped_len() {
            return Err(Failure::Rejected);
        }
        let opened = if self.decrypts_with_prepended_iv {
            let params = self.without_iv(binding)?;
            session.decrypt(&self.own_mechanism(&params), key, wrapped)?
        } else {
            let (iv, sealed) = wrapped
                .split_at_checked(self.iv_len())
                .ok_or(Failure::Rejected)?;
            let mut iv = iv.to_vec();
            if self.number == MechanismType::AES_GCM {
                let params = GcmParams::new(&mut iv, binding, TAG_BITS.into())?;
                session.decrypt(&TokenMechanism::AesGcm(params), key, sealed)?
            } else {
                let params = with_iv(&mut iv, binding)?;
                session.decrypt(&self.own_mechanism(&params), key, sealed)?
            }
        };
        let opened = Zeroizing::new(opened);
        DataKey::from_bytes(&opened).map_err(|_| Failure::Rejected)
    }

    /// Encrypts with an IV as a parameter; gives that IV as the token left it.
    fn encrypt_with(
        &self,
        session: &Session,
        key: ObjectHandle,
        data_key: &DataKey,
        binding: &[u8],
        mut iv: [u8; NONCE_LEN],
    ) -> Result<([u8; NONCE_LEN], Vec<u8>), Failure> {
        let sealed = if self.number == MechanismType::AES_GCM {
            let params = GcmParams::new(&mut iv, binding, TAG_BITS.into())?;
            session.encrypt(&TokenMechanism::AesGcm(params), key, data_key.expose())?
        } else {
            let params = with_iv(&mut iv, binding)?;
            session.encrypt(&self.own_mechanism(&params), key, data_key.expose())?
        };
        Ok((iv, sealed))
    }

    /// Encrypts with no IV as a parameter, so that the token makes one.
    fn encrypt_without_iv(
        &self,
        session: &Session,
        key: ObjectHandle,
        data_key: &DataKey,
        binding: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let params = self.without_iv(binding)?;
        Ok(session.encrypt(&self.own_mechanism(&params), key, data_key.expose())?)
    }

    /// Parameters with a null IV. cryptoki's own would point an empty IV somewhere. Luna learns
    /// from the bits of the IV that 12 bytes are wanted; otherwise it makes 16.
    fn without_iv(&self, binding: &[u8]) -> Result<CK_GCM_PARAMS, Failure> {
        let mut params = with_iv(&mut [], binding)?;
        params.pIv = ptr::null_mut();
        if self.iv == (Iv::Appended { len: NONCE_LEN }) {
            params.ulIvBits = 96;
        }
        Ok(params)
    }

    fn own_mechanism<'p>(&self, params: &'p CK_GCM_PARAMS) -> TokenMechanism<'p> {
        TokenMechanism::VendorDefined(VendorDefinedMechanism::new(self.number, Some(params)))
    }
}

fn with_iv(iv: &mut [u8], binding: &[u8]) -> Result<CK_GCM_PARAMS, Failure> {
    let len = |bytes: &[u8]| CK_ULONG::try_from(bytes.len()).map_err(|_| WRONG_LENGTH);
    Ok(CK_GCM_PARAMS {
        ulIvLen: len(iv)?,
        ulIvBits: len(iv)? * 8,
        pIv: iv.as_mut_ptr(),
        pAAD: binding.as_ptr().cast_mut(),
        ulAADLen: len(binding)?,
        ulTagBits: TAG_BITS,
    })
}

/// The caller's IV. It depends on all that is encrypted, so it repeats only with the same data key
/// and the same binding, which then give the same bytes.
fn own_iv(data_key: &DataKey, binding: &[u8]) -> [u8; NONCE_LEN] {
    *Expand::new(data_key.expose()).derive(&[label!("wrap-iv"), &sha256(&[binding])])
}

/// Passes an IV that the token made. Zeros are what stood there before.
fn made(iv: &[u8]) -> Result<&[u8], Failure> {
    if iv.iter().all(|&byte| byte == 0) {
        return Err(Failure::Answer(
            "it gave an IV of zeros, so it made none; configure the mechanism whose IV is made as this token makes it",
        ));
    }
    Ok(iv)
}

fn wrapped(iv: &[u8], sealed: &[u8]) -> Result<WrappedKey, Failure> {
    if sealed.len() != SEALED_LEN {
        return Err(WRONG_LENGTH);
    }
    Ok(WrappedKey::from([iv, sealed].concat()))
}

const WRONG_LENGTH: Failure = Failure::Answer(
    "what it encrypted has a wrong length; configure the mechanism whose IV is made as this token makes it",
);
