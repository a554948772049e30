//! A PKCS#11 module that forwards every call to another module, and does to it what the tokens of
//! vendors, networks and bad days do: returns any code from any function, writes IVs back, loses
//! sessions, hides mechanisms, lies about lengths, waits.
//!
//! Which module, and what is done, stands in a file beside this one, of the same name with
//! `.control` after it; see [`plan`]. It is read again whenever it was replaced, so that a test steers
//! the token while it is used. Copies of this module, each with its own file, are modules of their own.
//!
//! Calls that take sessions from under others (`C_Finalize`, `C_CloseAllSessions`, `C_Logout`, ...)
//! wait for those that run, as a network token would let them: software tokens crash there.

mod call;
mod forward;
mod gcm;
mod lists;
mod loss;
mod plan;
mod real;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CKR_ARGUMENTS_BAD, CKR_OK};

/// Gives out the functions of this module.
///
/// # Safety
///
/// `list` is null or points to writable memory for a pointer, as PKCS#11 demands of its caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: not null, and the caller's to write.
    unsafe { *list = forward::function_list() };
    CKR_OK
}
