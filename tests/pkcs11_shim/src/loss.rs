//! What happens to a token between two calls.

use std::ffi::c_void;
use std::ptr::{addr_of_mut, null_mut};

use cryptoki_sys::{
    CK_C_INITIALIZE_ARGS, CK_SLOT_ID, CK_TRUE, CK_ULONG, CKF_OS_LOCKING_OK, CKR_OK,
};

use crate::plan::Lost;
use crate::real;

/// Nobody may be in the real module.
pub fn happens(lost: Lost) {
    match lost {
        Lost::Sessions => close_sessions(),
        Lost::Module => finalize(true),
        Lost::Everything => finalize(false),
    }
}

fn close_sessions() {
    let functions = real::functions();
    let (Some(list), Some(close)) = (functions.C_GetSlotList, functions.C_CloseAllSessions) else {
        return;
    };
    let mut slots: [CK_SLOT_ID; 64] = [0; 64];
    let mut count = slots.len() as CK_ULONG;
    // SAFETY: a buffer of as many as are said. What cannot be closed is not open.
    unsafe {
        if list(CK_TRUE, slots.as_mut_ptr(), &mut count) == CKR_OK {
            for slot in slots.iter().take(count as usize) {
                close(*slot);
            }
        }
    }
}

fn finalize(and_begin_anew: bool) {
    let functions = real::functions();
    let (Some(finalize), Some(initialize)) = (functions.C_Finalize, functions.C_Initialize) else {
        return;
    };
    let mut arguments = CK_C_INITIALIZE_ARGS {
        flags: CKF_OS_LOCKING_OK,
        ..CK_C_INITIALIZE_ARGS::default()
    };
    let arguments: *mut CK_C_INITIALIZE_ARGS = addr_of_mut!(arguments);
    // SAFETY: valid arguments, and nobody is in the module.
    unsafe {
        finalize(null_mut());
        if and_begin_anew {
            initialize(arguments.cast::<c_void>());
        }
    }
}
