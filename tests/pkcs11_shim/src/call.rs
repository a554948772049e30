//! What every call goes through.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::thread::sleep;
use std::time::Duration;

use cryptoki_sys::{CK_RV, CK_ULONG, CKR_OK, CKR_SESSION_COUNT};

use crate::{loss, plan};

/// Held shared by calls, and alone by those that take sessions from others.
static RUNNING: RwLock<()> = RwLock::new(());

/// Sessions that are open, as far as this module saw them open and close.
static SESSIONS: AtomicUsize = AtomicUsize::new(0);

/// Calls `forward`, unless the plan has something else for this call.
pub fn call(function: &'static str, forward: impl FnOnce() -> CK_RV) -> CK_RV {
    let (fault, delay, loss) = plan::with(|plan| {
        let fault = plan.fault(function, false);
        (fault, plan.delay(function), plan.loss())
    });
    if let Some(lost) = loss {
        let _guard = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
        SESSIONS.store(0, Ordering::SeqCst);
        loss::happens(lost);
        log("lost", CKR_OK);
    }
    if let Some(milliseconds) = delay {
        sleep(Duration::from_millis(milliseconds));
    }
    let code = fault.unwrap_or_else(|| {
        let code = run(function, forward);
        let late = plan::with(|plan| plan.fault(function, true));
        late.unwrap_or(code)
    });
    log(function, code);
    code
}

/// Changes the length of a result as the plan wants it; it can only become shorter than the buffer.
///
/// # Safety
///
/// `buffer` and `len` are as PKCS#11 demands of them.
pub unsafe fn change_length(function: &str, capacity: CK_ULONG, len: *mut CK_ULONG) {
    let Some(change) = plan::with(|plan| plan.length(function)) else {
        return;
    };
    // SAFETY: the call succeeded, so that `len` was written by it.
    unsafe { *len = (*len).saturating_add_signed(change).min(capacity) };
}

fn run(function: &'static str, forward: impl FnOnce() -> CK_RV) -> CK_RV {
    let alone = matches!(
        function,
        "C_Initialize" | "C_Finalize" | "C_CloseAllSessions" | "C_Logout" | "C_InitToken"
    );
    if alone {
        let _guard = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
        let code = forward();
        if code == CKR_OK && matches!(function, "C_Finalize" | "C_CloseAllSessions") {
            SESSIONS.store(0, Ordering::SeqCst);
        }
        return code;
    }
    let _guard = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    match function {
        "C_OpenSession" => {
            let limit = plan::with(|plan| plan.sessions).unwrap_or(usize::MAX);
            if SESSIONS.fetch_add(1, Ordering::SeqCst) >= limit {
                SESSIONS.fetch_sub(1, Ordering::SeqCst);
                return CKR_SESSION_COUNT;
            }
            let code = forward();
            if code != CKR_OK {
                SESSIONS.fetch_sub(1, Ordering::SeqCst);
            }
            code
        }
        "C_CloseSession" => {
            let code = forward();
            if code == CKR_OK {
                let _ = SESSIONS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |open| {
                    open.checked_sub(1)
                });
            }
            code
        }
        _ => forward(),
    }
}

fn log(function: &str, code: CK_RV) {
    let Some(path) = plan::with(|plan| plan.log.clone()) else {
        return;
    };
    let file = OpenOptions::new().create(true).append(true).open(path);
    let line = format!("{function} {code:#x}\n");
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the shim's log");
}
