//! The module behind this one.

use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::OnceLock;

use cryptoki_sys::{CK_FUNCTION_LIST, CKR_OK, Pkcs11};

use crate::plan;

/// The functions of the real module, which is loaded once and stays loaded.
pub fn functions() -> &'static CK_FUNCTION_LIST {
    static FUNCTIONS: OnceLock<CK_FUNCTION_LIST> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let path = plan::with(|plan| plan.module.clone());
        // SAFETY: a PKCS#11 module, whose initialisers are as safe as the tests that name it.
        let module = unsafe { Pkcs11::new(&path) }
            .unwrap_or_else(|error| panic!("the shim cannot load {}: {error}", path.display()));
        let module: &'static Pkcs11 = Box::leak(Box::new(module));
        let mut list = std::ptr::null_mut();
        // SAFETY: the pointer to write is our own; what comes back is valid while the module is
        // loaded, which is for good.
        unsafe {
            assert_eq!(module.C_GetFunctionList(&mut list), CKR_OK);
            *list
        }
    })
}

/// Where this very module was loaded from.
pub fn own_path() -> PathBuf {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let address = crate::C_GetFunctionList as *const libc::c_void;
    // SAFETY: an address inside this module, and memory for the answer; the name that comes back
    // is valid while the module is loaded.
    let path = unsafe {
        assert_ne!(libc::dladdr(address, info.as_mut_ptr()), 0);
        CStr::from_ptr(info.assume_init().dli_fname)
    };
    PathBuf::from(path.to_str().expect("a path in UTF-8"))
}
