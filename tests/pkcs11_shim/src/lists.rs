//! Answers about slots and mechanisms, changed as the plan wants them.

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_RV, CK_SLOT_ID, CK_TOKEN_INFO, CK_ULONG, CKF_CLOCK_ON_TOKEN,
    CKR_BUFFER_TOO_SMALL, CKR_OK,
};

use crate::{plan, real};

/// `C_GetMechanismList`, without hidden mechanisms and with aliases.
///
/// # Safety
///
/// As PKCS#11 demands of the caller.
pub unsafe fn mechanisms(
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    len: *mut CK_ULONG,
) -> CK_RV {
    let Some(real) = real::functions().C_GetMechanismList else {
        return cryptoki_sys::CKR_FUNCTION_NOT_SUPPORTED;
    };
    let mut count = 0;
    // SAFETY: a question about the length, and then a buffer of that length.
    let mut all = unsafe {
        let code = real(slot, std::ptr::null_mut(), &mut count);
        if code != CKR_OK {
            return code;
        }
        let mut all: Vec<CK_MECHANISM_TYPE> = vec![0; count as usize];
        let code = real(slot, all.as_mut_ptr(), &mut count);
        if code != CKR_OK {
            return code;
        }
        all.truncate(count as usize);
        all
    };
    plan::with(|plan| {
        all.extend(plan.aliases.iter().map(|(alias, _)| *alias));
        all.retain(|mechanism| !plan.hidden.contains(mechanism));
    });
    // SAFETY: `len` is the caller's, and `list` has room for as many as it says.
    unsafe {
        let room = std::mem::replace(&mut *len, all.len() as CK_ULONG);
        if list.is_null() {
            return CKR_OK;
        }
        if (room as usize) < all.len() {
            return CKR_BUFFER_TOO_SMALL;
        }
        std::ptr::copy_nonoverlapping(all.as_ptr(), list, all.len());
    }
    CKR_OK
}

/// Gives the token of one slot the clock that the plan wants.
///
/// # Safety
///
/// `info` was written by `C_GetTokenInfo`.
pub unsafe fn set_clock(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) {
    let clock = plan::with(|plan| plan.clock.clone());
    if let Some((_, time)) = clock.filter(|(of, _)| *of == slot) {
        // SAFETY: written by the real module, and the caller's to write.
        let info = unsafe { &mut *info };
        info.flags |= CKF_CLOCK_ON_TOKEN;
        info.utcTime.fill(b' ');
        for (to, from) in info.utcTime.iter_mut().zip(time.bytes()) {
            *to = from;
        }
    }
}
