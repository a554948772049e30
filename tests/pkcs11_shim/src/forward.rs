//! The functions of this module: each goes through [`call`](crate::call), most then straight to the
//! real module.

#![expect(non_snake_case, reason = "the names of PKCS#11")]

use std::ffi::c_void;
use std::ptr::addr_of_mut;
use std::sync::OnceLock;

use cryptoki_sys::*;

use crate::call::{call, change_length};
use crate::{gcm, lists, plan, real};

/// The functions of this module, those that no test calls left out.
pub fn function_list() -> *mut CK_FUNCTION_LIST {
    struct List(CK_FUNCTION_LIST);
    // SAFETY: pointers to functions, which any thread may call.
    unsafe impl Send for List {}
    // SAFETY: the same; nobody writes the list.
    unsafe impl Sync for List {}
    static LIST: OnceLock<List> = OnceLock::new();
    let list = LIST.get_or_init(|| {
        let mut list = CK_FUNCTION_LIST {
            C_GetFunctionList: Some(crate::C_GetFunctionList),
            ..CK_FUNCTION_LIST::default()
        };
        list.version.major = 2;
        list.version.minor = 40;
        enlist(&mut list);
        enlist_own(&mut list);
        List(list)
    });
    std::ptr::from_ref(&list.0).cast_mut()
}

macro_rules! forward {
    ($($function:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            unsafe extern "C" fn $function($($argument: $type),*) -> CK_RV {
                call(stringify!($function), || match real::functions().$function {
                    // SAFETY: the caller's arguments, unchanged.
                    Some(real) => unsafe { real($($argument),*) },
                    None => CKR_FUNCTION_NOT_SUPPORTED,
                })
            }
        )*

        fn enlist(list: &mut CK_FUNCTION_LIST) {
            $(list.$function = Some($function);)*
        }
    };
}

forward! {
    C_Initialize(arguments: *mut c_void);
    C_Finalize(reserved: *mut c_void);
    C_GetInfo(info: *mut CK_INFO);
    C_GetSlotList(present: CK_BBOOL, list: *mut CK_SLOT_ID, len: *mut CK_ULONG);
    C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO);
    C_InitToken(slot: CK_SLOT_ID, pin: *mut CK_UTF8CHAR, len: CK_ULONG, label: *mut CK_UTF8CHAR);
    C_InitPIN(session: CK_SESSION_HANDLE, pin: *mut CK_UTF8CHAR, len: CK_ULONG);
    C_SetPIN(session: CK_SESSION_HANDLE, old: *mut CK_UTF8CHAR, old_len: CK_ULONG, new: *mut CK_UTF8CHAR, new_len: CK_ULONG);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, application: *mut c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE);
    C_CloseSession(session: CK_SESSION_HANDLE);
    C_CloseAllSessions(slot: CK_SLOT_ID);
    C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO);
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, len: CK_ULONG);
    C_Logout(session: CK_SESSION_HANDLE);
    C_CreateObject(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG, object: *mut CK_OBJECT_HANDLE);
    C_CopyObject(session: CK_SESSION_HANDLE, from: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG, to: *mut CK_OBJECT_HANDLE);
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG);
    C_SetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG);
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG);
    C_FindObjects(session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, room: CK_ULONG, found: *mut CK_ULONG);
    C_FindObjectsFinal(session: CK_SESSION_HANDLE);
    C_Digest(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, len: CK_ULONG, digest: *mut CK_BYTE, digest_len: *mut CK_ULONG);
    C_SignUpdate(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, len: CK_ULONG);
    C_SignFinal(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_len: *mut CK_ULONG);
    C_Verify(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG);
    C_VerifyUpdate(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, len: CK_ULONG);
    C_VerifyFinal(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_len: CK_ULONG);
    C_SeedRandom(session: CK_SESSION_HANDLE, seed: *mut CK_BYTE, len: CK_ULONG);
    C_GenerateRandom(session: CK_SESSION_HANDLE, bytes: *mut CK_BYTE, len: CK_ULONG);
}

macro_rules! own {
    ($($function:ident($($argument:ident: $type:ty),*) $body:block)*) => {
        $(
            unsafe extern "C" fn $function($($argument: $type),*) -> CK_RV {
                // SAFETY: what PKCS#11 demands of the caller is what each of these asks.
                call(stringify!($function), || unsafe { $body })
            }
        )*

        fn enlist_own(list: &mut CK_FUNCTION_LIST) {
            $(list.$function = Some($function);)*
        }
    };
}

/// Calls the function of the real module, if it has it.
macro_rules! real {
    ($function:ident($($argument:expr),*)) => {
        match real::functions().$function {
            Some(real) => real($($argument),*),
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}

/// The same with the mechanism as the real module knows it.
macro_rules! real_by {
    ($mechanism:ident, $function:ident($($argument:expr),*)) => {
        match gcm::real_mechanism($mechanism) {
            Ok(mut known) => {
                let $mechanism = addr_of_mut!(known);
                real!($function($($argument),*))
            }
            Err(code) => code,
        }
    };
}

/// The length that a result claims, changed as the plan wants it.
macro_rules! with_length {
    ($function:literal, $output:ident, $len:ident, $code:expr) => {{
        let capacity = if $len.is_null() { 0 } else { *$len };
        let code = $code;
        if code == CKR_OK && !$output.is_null() {
            change_length($function, capacity, $len);
        }
        code
    }};
}

own! {
    C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) {
        let code = real!(C_GetTokenInfo(slot, info));
        if code == CKR_OK {
            lists::set_clock(slot, info);
        }
        code
    }

    C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, len: *mut CK_ULONG) {
        lists::mechanisms(slot, list, len)
    }

    C_GetMechanismInfo(slot: CK_SLOT_ID, mechanism: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO) {
        match plan::with(|plan| plan.real_mechanism(mechanism)) {
            Some(mechanism) => real!(C_GetMechanismInfo(slot, mechanism, info)),
            None => CKR_MECHANISM_INVALID,
        }
    }

    C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) {
        gcm::encrypt_init(session, mechanism, key)
    }

    C_Encrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG) {
        with_length!("C_Encrypt", output, output_len, gcm::encrypt(session, data, len, output, output_len))
    }

    C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) {
        gcm::decrypt_init(session, mechanism, key)
    }

    C_Decrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG) {
        with_length!("C_Decrypt", output, output_len, gcm::decrypt(session, data, len, output, output_len))
    }

    C_DigestInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM) {
        real_by!(mechanism, C_DigestInit(session, mechanism))
    }

    C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) {
        gcm::init_real(real::functions().C_SignInit, session, mechanism, key)
    }

    C_Sign(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, len: CK_ULONG, signature: *mut CK_BYTE, signature_len: *mut CK_ULONG) {
        with_length!("C_Sign", signature, signature_len, real!(C_Sign(session, data, len, signature, signature_len)))
    }

    C_VerifyInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) {
        gcm::init_real(real::functions().C_VerifyInit, session, mechanism, key)
    }

    C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, len: CK_ULONG, key: *mut CK_OBJECT_HANDLE) {
        real_by!(mechanism, C_GenerateKey(session, mechanism, template, len, key))
    }

    C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE, public_len: CK_ULONG, private: *mut CK_ATTRIBUTE, private_len: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE) {
        real_by!(mechanism, C_GenerateKeyPair(session, mechanism, public, public_len, private, private_len, public_key, private_key))
    }

    C_WrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, by: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, wrapped_len: *mut CK_ULONG) {
        with_length!("C_WrapKey", wrapped, wrapped_len, real_by!(mechanism, C_WrapKey(session, mechanism, by, key, wrapped, wrapped_len)))
    }

    C_UnwrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, by: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, wrapped_len: CK_ULONG, template: *mut CK_ATTRIBUTE, len: CK_ULONG, key: *mut CK_OBJECT_HANDLE) {
        let mut attributes = attributes(template, len);
        if plan::with(|plan| plan.value_len) {
            let all = attributes.len();
            attributes.retain(|attribute| attribute.type_ != CKA_VALUE_LEN);
            if attributes.len() == all {
                return CKR_TEMPLATE_INCOMPLETE;
            }
        }
        let (template, len) = (attributes.as_mut_ptr(), attributes.len() as CK_ULONG);
        real_by!(mechanism, C_UnwrapKey(session, mechanism, by, wrapped, wrapped_len, template, len, key))
    }

    C_DeriveKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, from: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG, key: *mut CK_OBJECT_HANDLE) {
        real_by!(mechanism, C_DeriveKey(session, mechanism, from, template, len, key))
    }
}

/// # Safety
///
/// `template` has `len` attributes, or `len` is 0.
unsafe fn attributes(template: *mut CK_ATTRIBUTE, len: CK_ULONG) -> Vec<CK_ATTRIBUTE> {
    if len == 0 || template.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(template, len as usize) }.to_vec()
}
