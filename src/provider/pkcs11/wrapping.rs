//! How a token wraps: what is configured, and what follows from who made the token.

use cryptoki::mechanism::MechanismType;
use cryptoki::mechanism::vendor_defined::CKM_VENDOR_DEFINED;
use cryptoki_sys::CK_ULONG;

use crate::crypto::RsaSize;
use crate::format::Mechanism;

/// Who made a token, where that decides how it wraps. Presets, which
/// [`TokenWrapping`] changes one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Vendor {
    /// Whoever keeps to the standard: AES-GCM with the caller's IV, else AES key wrap, else RSA-OAEP,
    /// which does not authenticate who wraps ([`TokenWrapping::with_mechanism`]).
    #[default]
    Generic,
    /// SoftHSM 2: as `Generic`. Its RSA-OAEP has SHA-1 alone.
    SoftHsm,
    /// kryoptic: as `Generic`.
    Kryoptic,
    /// AWS CloudHSM: AES-GCM with an IV that it writes into the parameters, else AES key wrap. With
    /// [`Mechanism::GCM_PREPENDED_IV`], its `CKM_CLOUDHSM_AES_GCM`.
    CloudHsm,
    /// Thales Luna in FIPS mode: AES-GCM with an IV of 16 bytes that it appends, else AES key wrap.
    /// From firmware 7.9.3 on, [`Mechanism::GCM_APPENDED_IV`] has 12.
    Luna,
    /// The PKCS#11 library of Google Cloud KMS: `CKM_CLOUDKMS_AES_GCM`, and nothing else.
    GoogleKms,
}

/// How keys of a token wrap data keys.
///
/// The mechanism of a new key is the first of its candidates that the token has and that passes a
/// test; the key keeps it for life. Who makes the IV of AES-GCM is said here and never found out: a
/// token that ignores a caller's IV looks as if it had taken it.
///
/// ```
/// use waxseal::Mechanism;
/// use waxseal::pkcs11::{TokenWrapping, Vendor};
///
/// let luna = TokenWrapping::new(Vendor::Luna).with_mechanism(Mechanism::GCM_APPENDED_IV);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWrapping {
    vendor: Vendor,
    candidates: Vec<Mechanism>,
    rsa_size: RsaSize,
}

/// The size of RSA keys that wrap by RSA-OAEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WrappingRsaSize {
    /// 2048 bits.
    Bits2048,
    /// 3072 bits.
    #[default]
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

impl TokenWrapping {
    /// As tokens of a vendor wrap.
    #[must_use]
    pub fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            candidates: vendor.candidates().to_vec(),
            rsa_size: WrappingRsaSize::default().into(),
        }
    }

    /// Wraps by this mechanism alone.
    ///
    /// [`Mechanism::CBC_HMAC_SHA256`] is used only if it is named: it takes two keys and twice the
    /// calls. RSA-OAEP does not authenticate the writer: whoever has the public key can make a
    /// message that opens.
    #[must_use]
    pub fn with_mechanism(mut self, mechanism: Mechanism) -> Self {
        self.candidates = vec![mechanism];
        self
    }

    /// Makes RSA keys of this size, where keys wrap by RSA-OAEP; 3072 bits unless it is said.
    #[must_use]
    pub fn with_rsa_size(mut self, size: WrappingRsaSize) -> Self {
        self.rsa_size = size.into();
        self
    }

    pub(super) fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// In the order in which they are tried.
    pub(super) fn candidates(&self) -> &[Mechanism] {
        &self.candidates
    }

    pub(super) fn rsa_size(&self) -> RsaSize {
        self.rsa_size
    }
}

impl Default for TokenWrapping {
    fn default() -> Self {
        Self::new(Vendor::default())
    }
}

impl From<Vendor> for TokenWrapping {
    fn from(vendor: Vendor) -> Self {
        Self::new(vendor)
    }
}

impl From<WrappingRsaSize> for RsaSize {
    fn from(size: WrappingRsaSize) -> Self {
        match size {
            WrappingRsaSize::Bits2048 => Self::Bits2048,
            WrappingRsaSize::Bits3072 => Self::Bits3072,
            WrappingRsaSize::Bits4096 => Self::Bits4096,
        }
    }
}

/// `CKM_CLOUDHSM_AES_GCM`: `CKM_AES_GCM` in the range of vendors.
const CLOUDHSM_AES_GCM: CK_ULONG = CKM_VENDOR_DEFINED | 0x1087;
/// `CKM_CLOUDKMS_AES_GCM`: the first mechanism of Google's part of that range.
const CLOUDKMS_AES_GCM: CK_ULONG = CKM_VENDOR_DEFINED | 0x1_E101;

impl Vendor {
    fn candidates(self) -> &'static [Mechanism] {
        match self {
            Self::Generic | Self::Kryoptic => &[
                Mechanism::GCM_CALLER_IV,
                Mechanism::AES_KEY_WRAP,
                Mechanism::RSA_OAEP_SHA256,
                Mechanism::RSA_OAEP_SHA1,
            ],
            Self::SoftHsm => &[
                Mechanism::GCM_CALLER_IV,
                Mechanism::AES_KEY_WRAP,
                Mechanism::RSA_OAEP_SHA1,
            ],
            Self::CloudHsm => &[Mechanism::GCM_RETURNED_IV, Mechanism::AES_KEY_WRAP],
            Self::Luna => &[Mechanism::GCM_APPENDED_LONG_IV, Mechanism::AES_KEY_WRAP],
            Self::GoogleKms => &[Mechanism::GCM_RETURNED_IV],
        }
    }

    /// The number by which the vendor's tokens know AES-GCM with such an IV.
    pub(super) fn gcm(self, mechanism: Mechanism) -> Option<MechanismType> {
        let own = match (self, mechanism) {
            (Self::CloudHsm, Mechanism::GCM_PREPENDED_IV) => CLOUDHSM_AES_GCM,
            (Self::GoogleKms, _) => CLOUDKMS_AES_GCM,
            _ => return Some(MechanismType::AES_GCM),
        };
        MechanismType::new_vendor_defined(own).ok()
    }

    /// Whether `C_Decrypt` takes the IV where `C_Encrypt` has put it, before the ciphertext, and not
    /// as a parameter.
    pub(super) fn decrypts_with_prepended_iv(self, mechanism: Mechanism) -> bool {
        self == Self::CloudHsm && mechanism == Mechanism::GCM_PREPENDED_IV
    }

    /// Whether `C_UnwrapKey` must be told the length of the key, which others refuse to be told.
    pub(super) fn unwrap_wants_length(self) -> bool {
        self == Self::Luna
    }
}
