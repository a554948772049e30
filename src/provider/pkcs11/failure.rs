//! What a failed call means, and what is done about it.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use super::error::Pkcs11Error;
use super::pin::PinFailure;
use super::session::Lease;
use crate::provider::ProviderError;

/// Why something that was tried on a session did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A function of the module failed.
    Token(Error),
    /// What the module gave is nothing that it may give: an IV of zeros, a wrong length.
    Answer(&'static str),
    /// What was to be unwrapped is not what was wrapped; seen here and not by the token.
    Rejected,
    /// The token has no such key, though somebody is logged in who would see it.
    NotFound,
    /// The token shows no key at all: it is empty, or what holds its keys is away.
    NothingFound,
    /// Nobody is logged in any more.
    LoggedOut,
    /// The runtime itself says so.
    Runtime(Pkcs11Error),
    /// Handed on as it is.
    Provider(ProviderError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}

impl From<Pkcs11Error> for Failure {
    fn from(error: Pkcs11Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) again: Again,
    pub(super) session: AfterFailure,
    pub(super) verdict: Verdict,
}

/// Whether the same is tried once more, on a new session and with the key found anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    No,
    Once,
}

/// What becomes of the session: in no case is it used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFailure {
    Close,
    /// It is gone already, and its number may by now be another's.
    Forget,
}

/// What the caller is told when it was not tried again, or failed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The token does not work now.
    Unavailable,
    /// What was to be unwrapped is not what was wrapped.
    Rejected,
    /// It is that, or the token does not work: a canary tells.
    Suspect,
    /// The token has no such key.
    NotFound,
    /// The login was refused.
    Pin(PinFailure),
    /// The token does not do this, now or later.
    Refused,
}

impl Class {
    const fn new(again: Again, session: AfterFailure, verdict: Verdict) -> Self {
        Self {
            again,
            session,
            verdict,
        }
    }
}

use AfterFailure::{Close, Forget};
use Again::{No, Once};

/// The session, or the module's whole state, is gone.
const GONE: Class = Class::new(Once, Forget, Verdict::Unavailable);
/// A handle is stale, or nobody is logged in any more.
const STALE: Class = Class::new(Once, Close, Verdict::Unavailable);
/// It may be a fault that passes.
const FAULT: Class = Class::new(Once, Close, Verdict::Unavailable);
/// It may have been done nevertheless, so it is not done again.
const UNCERTAIN: Class = Class::new(No, Close, Verdict::Unavailable);
/// The token is short of something.
const EXHAUSTED: Class = Class::new(No, Close, Verdict::Unavailable);
const SUSPECT: Class = Class::new(Once, Close, Verdict::Suspect);
const REJECTED: Class = Class::new(No, Close, Verdict::Rejected);
const REFUSED: Class = Class::new(No, Close, Verdict::Refused);
/// The handle may be stale and name another key now; if not, the key is not for this.
const WRONG_KEY: Class = Class::new(Once, Close, Verdict::Refused);
const NOT_FOUND: Class = Class::new(No, Close, Verdict::NotFound);

impl Failure {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Token(Error::Pkcs11(code, function)) => classify(*function, *code),
            Self::Token(Error::NullFunctionPointer | Error::NotSupported) => REFUSED,
            Self::Token(_) => FAULT,
            Self::Answer(_) => FAULT,
            Self::LoggedOut | Self::NothingFound => STALE,
            Self::Rejected => REJECTED,
            Self::NotFound => NOT_FOUND,
            Self::Runtime(Pkcs11Error::Login { failure, .. }) => {
                Class::new(No, Close, Verdict::Pin(*failure))
            }
            Self::Runtime(error) if error.is_retryable() => EXHAUSTED,
            Self::Runtime(_) | Self::Provider(_) => REFUSED,
        }
    }

    /// The same, where it was a PIN that a function complained of.
    pub(super) fn of(self, lease: &Lease<'_>) -> Self {
        match (&self, self.class().verdict) {
            (Self::Token(_), Verdict::Pin(failure)) => lease.token().login_failed(failure),
            _ => self,
        }
    }

    /// Somebody else finalised the module.
    pub(super) fn says_not_initialised(&self) -> bool {
        let not_initialised = RvError::CryptokiNotInitialized;
        matches!(self, Self::Token(Error::Pkcs11(code, _)) if *code == not_initialised)
    }

    /// The module may work well for others.
    pub(super) fn is_about_one_token(&self) -> bool {
        use RvError::{
            DeviceRemoved, SessionCount, SlotIdInvalid, TokenNotPresent, TokenNotRecognized,
        };

        match self {
            Self::Runtime(_) => true,
            Self::Token(Error::Pkcs11(code, _)) => [
                DeviceRemoved,
                SessionCount,
                SlotIdInvalid,
                TokenNotPresent,
                TokenNotRecognized,
            ]
            .contains(code),
            _ => false,
        }
    }

    /// The token has all the sessions that it can have.
    pub(super) fn says_no_more_sessions(&self) -> bool {
        let count = RvError::SessionCount;
        matches!(self, Self::Token(Error::Pkcs11(code, _)) if *code == count)
    }

    /// It is no fault of the module.
    pub(super) fn is_about_this_process(&self) -> bool {
        matches!(self, Self::Runtime(error) if !matches!(error, Pkcs11Error::NoToken { .. }))
    }

    /// What failed, in words.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Token(Error::Pkcs11(code, function)) => {
                format!("C_{function:?} answered {code:?}")
            }
            Self::Runtime(error) => error.to_string(),
            Self::NothingFound => "it shows no keys any more".to_owned(),
            _ => "its answers make no sense".to_owned(),
        }
    }

    pub(super) fn into_pkcs11_error(self) -> Pkcs11Error {
        match self {
            Self::Token(error) => error.into(),
            Self::Runtime(error) => error,
            Self::Answer(what) => Pkcs11Error::Answer { what },
            Self::LoggedOut
            | Self::NotFound
            | Self::NothingFound
            | Self::Rejected
            | Self::Provider(_) => Pkcs11Error::Answer {
                what: "it speaks of keys when it was asked for a session",
            },
        }
    }

    /// The same, said of a canary: that is no rejection of what the caller gave.
    pub(super) fn unless_rejected(self) -> Self {
        match self.class().verdict {
            Verdict::Rejected => Self::LoggedOut,
            _ => self,
        }
    }

    /// What the caller is told, if there is no telling what the failure means.
    pub(super) fn into_outage(self) -> ProviderError {
        match self.class().verdict {
            Verdict::Suspect | Verdict::Rejected | Verdict::NotFound => {
                Self::LoggedOut.into_provider_error()
            }
            _ => self.into_provider_error(),
        }
    }

    /// What the caller is told, if the failure is final.
    pub(super) fn into_provider_error(self) -> ProviderError {
        let verdict = self.class().verdict;
        let error = match self {
            Self::Provider(error) => return error,
            Self::Runtime(error) => return error.into(),
            Self::Rejected => return ProviderError::Rejected,
            Self::NotFound => {
                return ProviderError::UnknownKey {
                    provider: super::NAME.to_owned(),
                };
            }
            Self::LoggedOut => Pkcs11Error::LoggedOut,
            Self::NothingFound => Pkcs11Error::Answer {
                what: "it has no keys any more",
            },
            Self::Answer(what) => Pkcs11Error::Answer { what },
            Self::Token(error) => error.into(),
        };
        let (provider, source) = (super::NAME.to_owned(), Box::new(error));
        match verdict {
            Verdict::Rejected => ProviderError::Rejected,
            Verdict::Refused | Verdict::Pin(_) => ProviderError::Refused { provider, source },
            _ => ProviderError::Unavailable { provider, source },
        }
    }
}

/// What a function is for decides what its codes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Takes bytes that an attacker may have made, and a key.
    Opens,
    /// Uses a key, or looks for one.
    Uses,
    /// Changes what is in the token.
    Changes,
    /// Logs in.
    LogsIn,
    /// Begins, ends, or looks at what there is.
    Connects,
}

fn kind(function: Function) -> Kind {
    match function {
        Function::DecryptInit
        | Function::Decrypt
        | Function::DecryptUpdate
        | Function::DecryptFinal
        | Function::UnwrapKey
        | Function::VerifyInit
        | Function::Verify => Kind::Opens,
        Function::CreateObject
        | Function::CopyObject
        | Function::DestroyObject
        | Function::SetAttributeValue
        | Function::GenerateKey
        | Function::GenerateKeyPair => Kind::Changes,
        Function::Login | Function::LoginUser => Kind::LogsIn,
        Function::Initialize
        | Function::Finalize
        | Function::GetInfo
        | Function::GetFunctionList
        | Function::GetInterface
        | Function::GetInterfaceList
        | Function::GetSlotList
        | Function::GetSlotInfo
        | Function::GetTokenInfo
        | Function::GetMechanismList
        | Function::GetMechanismInfo
        | Function::OpenSession
        | Function::CloseSession
        | Function::CloseAllSessions
        | Function::GetSessionInfo => Kind::Connects,
        _ => Kind::Uses,
    }
}

fn classify(function: Function, code: RvError) -> Class {
    use RvError as Rv;

    let kind = kind(function);
    match code {
        Rv::SessionHandleInvalid
        | Rv::SessionClosed
        | Rv::CryptokiNotInitialized
        | Rv::DeviceRemoved
        | Rv::TokenNotPresent
        | Rv::TokenNotRecognized
        | Rv::SlotIdInvalid => GONE,

        Rv::KeyHandleInvalid
        | Rv::ObjectHandleInvalid
        | Rv::WrappingKeyHandleInvalid
        | Rv::UnwrappingKeyHandleInvalid
        | Rv::UserNotLoggedIn
        | Rv::OperationActive
        | Rv::OperationNotInitialized
        | Rv::SessionReadOnly => STALE,

        Rv::KeyTypeInconsistent
        | Rv::KeyFunctionNotPermitted
        | Rv::KeyNotWrappable
        | Rv::KeyUnextractable
        | Rv::WrappingKeyTypeInconsistent
        | Rv::WrappingKeySizeRange
        | Rv::UnwrappingKeyTypeInconsistent => WRONG_KEY,

        Rv::KeySizeRange | Rv::UnwrappingKeySizeRange => match kind {
            Kind::Opens => SUSPECT,
            _ => WRONG_KEY,
        },

        Rv::EncryptedDataInvalid
        | Rv::EncryptedDataLenRange
        | Rv::WrappedKeyInvalid
        | Rv::WrappedKeyLenRange
        | Rv::SignatureInvalid
        | Rv::SignatureLenRange => match kind {
            Kind::Opens => REJECTED,
            _ => FAULT,
        },

        Rv::GeneralError
        | Rv::DeviceError
        | Rv::FunctionFailed
        | Rv::FunctionCanceled
        | Rv::Cancel
        | Rv::FipsSelfTestFailed
        | Rv::VendorDefined(_)
        | Rv::UnknownErrorCode(_) => match kind {
            Kind::Opens => SUSPECT,
            Kind::Changes => UNCERTAIN,
            Kind::LogsIn => EXHAUSTED,
            Kind::Uses | Kind::Connects => FAULT,
        },

        Rv::HostMemory
        | Rv::DeviceMemory
        | Rv::SessionCount
        | Rv::SessionExists
        | Rv::SessionReadOnlyExists
        | Rv::SessionReadWriteSoExists
        | Rv::UserAlreadyLoggedIn
        | Rv::UserAnotherAlreadyLoggedIn
        | Rv::UserTooManyTypes
        | Rv::MutexBad
        | Rv::MutexNotLocked
        | Rv::CantLock
        | Rv::NeedToCreateThreads
        | Rv::LibraryLoadFailed
        | Rv::NoEvent
        | Rv::CryptokiAlreadyInitialized => match kind {
            Kind::Opens => SUSPECT,
            _ => EXHAUSTED,
        },

        Rv::PinIncorrect => pin(PinFailure::Incorrect),
        Rv::PinLocked => pin(PinFailure::Locked),
        Rv::PinExpired => pin(PinFailure::Expired),
        Rv::UserPinNotInitialized => pin(PinFailure::NotInitialised),
        Rv::PinInvalid | Rv::PinLenRange | Rv::PinTooWeak => pin(PinFailure::Malformed),

        Rv::ArgumentsBad
        | Rv::AttributeReadOnly
        | Rv::AttributeSensitive
        | Rv::AttributeTypeInvalid
        | Rv::AttributeValueInvalid
        | Rv::ActionProhibited
        | Rv::BufferTooSmall
        | Rv::DataInvalid
        | Rv::DataLenRange
        | Rv::DomainParamsInvalid
        | Rv::ExceededMaxIterations
        | Rv::FunctionRejected
        | Rv::InformationSensitive
        | Rv::KeyChanged
        | Rv::KeyIndigestible
        | Rv::KeyNeeded
        | Rv::KeyNotNeeded
        | Rv::MechanismParamInvalid
        | Rv::NewPinMode
        | Rv::NextOtp
        | Rv::PublicKeyInvalid
        | Rv::SavedStateInvalid
        | Rv::StateUnsaveable
        | Rv::TemplateIncomplete
        | Rv::TemplateInconsistent => match kind {
            // Bytes that were changed may bring these about.
            Kind::Opens => SUSPECT,
            _ => REFUSED,
        },

        Rv::CurveNotSupported
        | Rv::FunctionNotParallel
        | Rv::FunctionNotSupported
        | Rv::MechanismInvalid
        | Rv::RandomNoRng
        | Rv::RandomSeedNotSupported
        | Rv::SessionParallelNotSupported
        | Rv::TokenWriteProtected
        | Rv::UserTypeInvalid => REFUSED,
    }
}

/// A PIN is never tried again by itself, whichever function it was that spoke of it.
const fn pin(failure: PinFailure) -> Class {
    Class::new(No, Close, Verdict::Pin(failure))
}

impl From<Error> for Pkcs11Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(code, function) => Self::Call {
                function: format!("{function:?}"),
                code: match code {
                    RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) => {
                        format!("{number:#x}")
                    }
                    named => format!("{named:?}"),
                },
            },
            Error::NullFunctionPointer | Error::MissingSymbol(_) => Self::Answer {
                what: "it lacks a function of the standard",
            },
            _ => Self::Answer {
                what: "a number or a text in its answer is none",
            },
        }
    }
}

#[cfg(test)]
mod tests;
