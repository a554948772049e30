//! AES-GCM as tokens do it that make the IV themselves.
//!
//! Returned: the caller gives 12 zero bytes, and finds the IV there afterwards (CloudHSM's and Google
//! Cloud KMS's PKCS#11 libraries). Appended: no IV is given, it follows the ciphertext, 16 bytes or as
//! many bits as the caller wishes (Luna in FIPS mode); to decrypt it is given, or left behind the
//! ciphertext. Prepended: it precedes the ciphertext, 12 bytes, both ways (CKM_CLOUDHSM_AES_GCM).

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use cryptoki_sys::{
    CK_BYTE, CK_GCM_PARAMS, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG,
    CKM_AES_GCM, CKR_BUFFER_TOO_SMALL, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_FUNCTION_NOT_SUPPORTED,
    CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID, CKR_OK,
};

use crate::plan::IvMode;
use crate::{plan, real};

const TAG_LEN: usize = 16;

type Init =
    Option<unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV>;

/// What `C_Encrypt` or `C_Decrypt` has left to do for its IV.
#[derive(Clone)]
enum Pending {
    /// Write it where the caller's zeros are.
    WriteBack { to: usize, iv: Vec<u8> },
    /// Put it beside the ciphertext.
    Beside { iv: Vec<u8>, before: bool },
    /// Take it from beside the ciphertext; only then can decryption begin.
    TakeFrom {
        key: CK_OBJECT_HANDLE,
        aad: Vec<u8>,
        iv_len: usize,
        before: bool,
    },
}

fn pending() -> MutexGuard<'static, HashMap<CK_SESSION_HANDLE, Pending>> {
    static PENDING: LazyLock<Mutex<HashMap<CK_SESSION_HANDLE, Pending>>> =
        LazyLock::new(Mutex::default);
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `C_EncryptInit`.
///
/// # Safety
///
/// As PKCS#11 demands of the caller; a returned IV is written where `mechanism` says, which must
/// stay valid until the operation is over.
pub unsafe fn encrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    pending().remove(&session);
    // SAFETY: the caller's mechanism.
    let Some(own) = (unsafe { Gcm::of(mechanism) }) else {
        // SAFETY: as the caller called.
        return unsafe { init_real(real::functions().C_EncryptInit, session, mechanism, key) };
    };
    let zeros = own.iv.len() == 12 && own.iv.iter().all(|byte| *byte == 0);
    let (iv, then) = match plan::with(|plan| plan.iv) {
        IvMode::Caller => (own.iv.clone(), None),
        IvMode::Zero => (own.iv.clone(), None),
        IvMode::Returned if zeros => {
            let iv = random(12);
            let to = own.iv_at as usize;
            (iv.clone(), Some(Pending::WriteBack { to, iv }))
        }
        IvMode::ReturnedAtInit if zeros => {
            let iv = random(12);
            // SAFETY: the caller gave 12 bytes to write.
            unsafe { std::ptr::copy_nonoverlapping(iv.as_ptr(), own.iv_at, iv.len()) };
            (iv, None)
        }
        IvMode::Appended if own.iv.is_empty() => {
            let iv = random(own.appended_len());
            (iv.clone(), Some(Pending::Beside { iv, before: false }))
        }
        IvMode::Prepended if own.iv.is_empty() => {
            let iv = random(12);
            (iv.clone(), Some(Pending::Beside { iv, before: true }))
        }
        _ => return CKR_MECHANISM_PARAM_INVALID,
    };
    // SAFETY: the session and key are the caller's, the parameters our own.
    let code = unsafe { own.init(real::functions().C_EncryptInit, session, key, &iv) };
    if let (CKR_OK, Some(then)) = (code, then) {
        pending().insert(session, then);
    }
    code
}

/// `C_Encrypt`.
///
/// # Safety
///
/// As PKCS#11 demands of the caller.
pub unsafe fn encrypt(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    output: *mut CK_BYTE,
    output_len: *mut CK_ULONG,
) -> CK_RV {
    let Some(real) = real::functions().C_Encrypt else {
        return CKR_FUNCTION_NOT_SUPPORTED;
    };
    let then = pending().get(&session).cloned();
    // SAFETY: as the caller called; where an IV stands beside the ciphertext, into a buffer of our
    // own, copied into the caller's when that has room.
    unsafe {
        let Some(Pending::Beside { iv, before }) = then else {
            let code = real(session, data, data_len, output, output_len);
            if code == CKR_OK && !output.is_null() {
                pending().remove(&session);
                if let Some(Pending::WriteBack { to, iv }) = then {
                    std::ptr::copy_nonoverlapping(iv.as_ptr(), to as *mut CK_BYTE, iv.len());
                }
            }
            return code;
        };
        let needed = data_len as usize + TAG_LEN + iv.len();
        if output.is_null() {
            *output_len = needed as CK_ULONG;
            return CKR_OK;
        }
        if (*output_len as usize) < needed {
            *output_len = needed as CK_ULONG;
            return CKR_BUFFER_TOO_SMALL;
        }
        pending().remove(&session);
        let mut sealed = vec![0; needed];
        let mut sealed_len = needed as CK_ULONG;
        let code = real(
            session,
            data,
            data_len,
            sealed.as_mut_ptr(),
            &mut sealed_len,
        );
        if code != CKR_OK {
            return code;
        }
        sealed.truncate(sealed_len as usize);
        let result = if before {
            [iv, sealed].concat()
        } else {
            [sealed, iv].concat()
        };
        std::ptr::copy_nonoverlapping(result.as_ptr(), output, result.len());
        *output_len = result.len() as CK_ULONG;
        CKR_OK
    }
}

/// `C_DecryptInit`.
///
/// # Safety
///
/// As PKCS#11 demands of the caller.
pub unsafe fn decrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    pending().remove(&session);
    // SAFETY: the caller's mechanism.
    let own = unsafe { Gcm::of(mechanism) };
    let mode = plan::with(|plan| plan.iv);
    match own {
        Some(own) if own.iv.is_empty() && matches!(mode, IvMode::Appended | IvMode::Prepended) => {
            let before = mode == IvMode::Prepended;
            let iv_len = if before { 12 } else { own.appended_len() };
            let take = Pending::TakeFrom {
                key,
                aad: own.aad,
                iv_len,
                before,
            };
            pending().insert(session, take);
            CKR_OK
        }
        Some(_) if mode == IvMode::Prepended => CKR_MECHANISM_PARAM_INVALID,
        // SAFETY: as the caller called.
        _ => unsafe { init_real(real::functions().C_DecryptInit, session, mechanism, key) },
    }
}

/// `C_Decrypt`.
///
/// # Safety
///
/// As PKCS#11 demands of the caller.
pub unsafe fn decrypt(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    output: *mut CK_BYTE,
    output_len: *mut CK_ULONG,
) -> CK_RV {
    let Some(real) = real::functions().C_Decrypt else {
        return CKR_FUNCTION_NOT_SUPPORTED;
    };
    let then = pending().get(&session).cloned();
    let Some(Pending::TakeFrom {
        key,
        aad,
        iv_len,
        before,
    }) = then
    else {
        // SAFETY: as the caller called.
        return unsafe { real(session, data, data_len, output, output_len) };
    };
    if (data_len as usize) < iv_len + TAG_LEN {
        pending().remove(&session);
        return CKR_ENCRYPTED_DATA_LEN_RANGE;
    }
    // SAFETY: `data` has `data_len` bytes, and `output_len` is the caller's.
    unsafe {
        if output.is_null() {
            *output_len = data_len - (iv_len + TAG_LEN) as CK_ULONG;
            return CKR_OK;
        }
        pending().remove(&session);
        let all = std::slice::from_raw_parts(data, data_len as usize);
        let (iv, sealed) = if before {
            all.split_at(iv_len)
        } else {
            let (sealed, iv) = all.split_at(all.len() - iv_len);
            (iv, sealed)
        };
        let own = Gcm {
            iv_at: std::ptr::null_mut(),
            iv: Vec::new(),
            iv_bits: 0,
            aad,
        };
        let code = own.init(real::functions().C_DecryptInit, session, key, iv);
        if code != CKR_OK {
            return code;
        }
        let mut sealed = sealed.to_vec();
        let sealed_len = sealed.len() as CK_ULONG;
        let mut opened = sealed.clone();
        let mut opened_len = sealed_len;
        let code = real(
            session,
            sealed.as_mut_ptr(),
            sealed_len,
            opened.as_mut_ptr(),
            &mut opened_len,
        );
        if code != CKR_OK {
            return code;
        }
        let room = std::mem::replace(&mut *output_len, opened_len);
        if room < opened_len {
            return CKR_BUFFER_TOO_SMALL;
        }
        std::ptr::copy_nonoverlapping(opened.as_ptr(), output, opened_len as usize);
        CKR_OK
    }
}

/// The parameters of the caller's AES-GCM.
struct Gcm {
    iv_at: *mut CK_BYTE,
    iv: Vec<u8>,
    iv_bits: CK_ULONG,
    aad: Vec<u8>,
}

impl Gcm {
    /// Nothing for another mechanism, and where the IV is the caller's.
    ///
    /// # Safety
    ///
    /// `mechanism` is valid, and for AES-GCM its parameters are.
    unsafe fn of(mechanism: *mut CK_MECHANISM) -> Option<Self> {
        // SAFETY: valid, as the caller says; lengths are those of the buffers.
        unsafe {
            let mechanism = mechanism.as_ref()?;
            let (real, mode) =
                plan::with(|plan| (plan.real_mechanism(mechanism.mechanism), plan.iv));
            let is_gcm = real == Some(CKM_AES_GCM)
                && mechanism.ulParameterLen as usize == size_of::<CK_GCM_PARAMS>();
            if !is_gcm || mode == IvMode::Caller {
                return None;
            }
            let parameters = (mechanism.pParameter as *const CK_GCM_PARAMS).read_unaligned();
            Some(Self {
                iv_at: parameters.pIv,
                iv: copy(parameters.pIv, parameters.ulIvLen),
                iv_bits: parameters.ulIvBits,
                aad: copy(parameters.pAAD, parameters.ulAADLen),
            })
        }
    }

    fn appended_len(&self) -> usize {
        if self.iv_bits == 96 { 12 } else { 16 }
    }

    /// Begins the operation in the real module, with this IV.
    ///
    /// # Safety
    ///
    /// As PKCS#11 demands of the caller.
    unsafe fn init(
        &self,
        real: Init,
        session: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
        iv: &[u8],
    ) -> CK_RV {
        let Some(real) = real else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        let (mut iv, mut aad) = (iv.to_vec(), self.aad.clone());
        let mut parameters = CK_GCM_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: iv.len() as CK_ULONG,
            ulIvBits: iv.len() as CK_ULONG * 8,
            pAAD: aad.as_mut_ptr(),
            ulAADLen: aad.len() as CK_ULONG,
            ulTagBits: 128,
        };
        let mut mechanism = CK_MECHANISM {
            mechanism: CKM_AES_GCM,
            pParameter: (&raw mut parameters).cast(),
            ulParameterLen: size_of::<CK_GCM_PARAMS>() as CK_ULONG,
        };
        // SAFETY: the parameters are copied by the module when the operation begins.
        unsafe { real(session, &mut mechanism, key) }
    }
}

/// Begins an operation in the real module, by the real mechanism.
///
/// # Safety
///
/// As PKCS#11 demands of the caller.
pub unsafe fn init_real(
    real: Init,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let Some(real) = real else {
        return CKR_FUNCTION_NOT_SUPPORTED;
    };
    // SAFETY: as the caller called; the mechanism is a copy that lives as long as the call.
    unsafe {
        match real_mechanism(mechanism) {
            Ok(mut mechanism) => real(session, &mut mechanism, key),
            Err(code) => code,
        }
    }
}

/// The caller's mechanism, by the name that the real module has for it.
///
/// # Safety
///
/// `mechanism` is valid.
pub unsafe fn real_mechanism(mechanism: *mut CK_MECHANISM) -> Result<CK_MECHANISM, CK_RV> {
    // SAFETY: valid, as the caller says.
    let mut copy = unsafe { mechanism.as_ref() }.copied();
    let mechanism = copy.as_mut().ok_or(CKR_MECHANISM_PARAM_INVALID)?;
    let real = plan::with(|plan| plan.real_mechanism(mechanism.mechanism));
    mechanism.mechanism = real.ok_or(CKR_MECHANISM_INVALID)?;
    Ok(*mechanism)
}

/// # Safety
///
/// `from` has `len` bytes, or `len` is 0.
unsafe fn copy(from: *const CK_BYTE, len: CK_ULONG) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(from, len as usize) }.to_vec()
}

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes
}
