use super::*;

/// Every function that this crate calls, but those whose failure is not looked at.
const FUNCTIONS: &[Function] = &[
    Function::Initialize,
    Function::GetInfo,
    Function::GetSlotList,
    Function::GetSlotInfo,
    Function::GetTokenInfo,
    Function::GetMechanismList,
    Function::GetMechanismInfo,
    Function::OpenSession,
    Function::GetSessionInfo,
    Function::Login,
    Function::CreateObject,
    Function::DestroyObject,
    Function::GetAttributeValue,
    Function::SetAttributeValue,
    Function::FindObjectsInit,
    Function::FindObjects,
    Function::GenerateKey,
    Function::GenerateKeyPair,
    Function::GenerateRandom,
    Function::EncryptInit,
    Function::Encrypt,
    Function::DecryptInit,
    Function::Decrypt,
    Function::WrapKey,
    Function::UnwrapKey,
    Function::SignInit,
    Function::Sign,
];

/// Every number that the standard names, some that it does not, and some of vendors.
fn codes() -> impl Iterator<Item = RvError> {
    let numbers = (1..=0x2ff).chain([0x8000_0000, 0x8000_0001, 0xdead_beef, u64::MAX >> 1]);
    numbers.filter_map(|number| match cryptoki::error::Rv::from(number) {
        cryptoki::error::Rv::Ok => None,
        cryptoki::error::Rv::Error(code) => Some(code),
    })
}

fn each(check: impl Fn(Function, RvError, Class)) {
    for &function in FUNCTIONS {
        for code in codes() {
            check(function, code, classify(function, code));
        }
    }
}

fn told(function: Function, code: RvError) -> ProviderError {
    Failure::Token(Error::Pkcs11(code, function)).into_provider_error()
}

#[test]
fn only_what_opens_rejects() {
    each(|function, code, class| {
        let opens = kind(function) == Kind::Opens;
        let may = matches!(class.verdict, Verdict::Rejected | Verdict::Suspect);
        assert!(!may || opens, "{function:?} {code:?}");
        let is_rejection = matches!(told(function, code), ProviderError::Rejected);
        assert_eq!(is_rejection, class.verdict == Verdict::Rejected);
    });
}

#[test]
fn a_pin_is_never_tried_again() {
    each(|function, code, class| {
        let of_a_pin = format!("{code:?}").contains("Pin") && code != RvError::NewPinMode;
        let is_pin = matches!(class.verdict, Verdict::Pin(_));
        assert_eq!(of_a_pin, is_pin, "{function:?} {code:?}");
        if is_pin {
            assert_eq!(class.again, No);
            assert!(!told(function, code).is_retryable());
        }
    });
}

#[test]
fn what_may_have_been_done_is_not_done_again() {
    for function in [
        Function::GenerateKey,
        Function::GenerateKeyPair,
        Function::CreateObject,
        Function::DestroyObject,
    ] {
        for code in [
            RvError::GeneralError,
            RvError::DeviceError,
            RvError::FunctionFailed,
            RvError::VendorDefined(0x8000_0001),
        ] {
            let class = classify(function, code);
            assert_eq!(class.again, No, "{function:?} {code:?}");
            assert_eq!(class.verdict, Verdict::Unavailable);
        }
    }
}

#[test]
fn what_passes_is_retryable_and_what_does_not_is_not() {
    each(|function, code, class| match class.verdict {
        Verdict::Unavailable | Verdict::Suspect => {
            assert!(told(function, code).is_retryable(), "{function:?} {code:?}");
        }
        _ => assert!(
            !told(function, code).is_retryable(),
            "{function:?} {code:?}"
        ),
    });
}

#[test]
fn lost_sessions_are_forgotten_and_taken_anew() {
    each(|function, code, class| {
        let is_lost = [
            RvError::SessionHandleInvalid,
            RvError::SessionClosed,
            RvError::CryptokiNotInitialized,
            RvError::DeviceRemoved,
            RvError::TokenNotPresent,
        ]
        .contains(&code);
        if is_lost {
            assert_eq!(class, GONE, "{function:?} {code:?}");
        }
    });
}

#[test]
fn errors_name_function_and_code() {
    let cases = [
        (
            RvError::DeviceError,
            Function::Decrypt,
            "C_Decrypt answered DeviceError; the log of the module or the token may say why",
        ),
        (
            RvError::VendorDefined(0x8000_0001),
            Function::Login,
            "C_Login answered 0x80000001; the log of the module or the token may say why",
        ),
        (
            RvError::SessionCount,
            Function::OpenSession,
            "C_OpenSession answered SessionCount; the token has no more sessions: allow fewer here, or close those of others",
        ),
    ];
    for (code, function, text) in cases {
        let error = Pkcs11Error::from(Error::Pkcs11(code, function));
        assert_eq!(error.to_string(), text);
    }
}
