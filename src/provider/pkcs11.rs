//! Keys in an HSM, or another token that speaks PKCS#11 (feature `pkcs11`).
//!
//! [`Pkcs11KeyProvider`] is a [`KeyProvider`](crate::KeyProvider) whose keys are made in the token and
//! never leave it: data keys go in and come out wrapped. This page says how the token is found, and
//! what happens when it, or something else in the process, does not do as it should. How a token is set
//! up, and what to configure for which, stands in HSM.md.
//!
//! # Finding the token
//!
//! [`Pkcs11Config`] names a module, which is a shared library that comes with the token; a token in it,
//! by label, serial number or slot; and where the PIN is. A [`pkcs11:` URI](Pkcs11Uri) says all of it in
//! one text. Exactly one token must be meant: otherwise the error lists those that there are. A slot
//! that cannot be looked into hides no other.
//!
//! # The PIN
//!
//! A [`PinSource`] is a file that is readable for this user alone, the environment, the application
//! itself, or the token's own keypad. It is asked once. In memory the PIN is masked.
//!
//! **A PIN that was refused is not tried again**, by nobody in this process, because tokens lock after
//! three to ten tries: every call that needs a login fails at once and says what to do, until
//! [`Pkcs11KeyProvider::log_in_anew`] or the next start. Where the token says that one more wrong PIN
//! locks it, none is tried at all, so that a service that is started again and again locks nothing.
//!
//! # Sessions
//!
//! At most eight sessions ([`with_max_sessions`](Pkcs11Config::with_max_sessions)) are opened as they are
//! needed, and one more that stays idle, because a token logs out when its last session is closed. Each
//! is used by one thread at a time; they may only read, except to make and destroy keys. If all are in
//! use a thread waits for one, 10 seconds unless it is said otherwise. A token that has fewer sets the
//! bound for half a minute.
//!
//! How many are best depends on the token. SoftHSM and many HSMs work on several calls at once; others
//! get slower.
//!
//! # What fails and passes
//!
//! A session that failed is never used again. Where the reason may pass, the same is done once more on a
//! new session, with the key found anew; more than once only where something else in the process logs out
//! in between. What may have changed the token, such as making a key, is not repeated.
//!
//! | what happened | what is done | what the caller sees |
//! | --- | --- | --- |
//! | a session is lost | a new one | nothing |
//! | something else in the process logs out | a login | nothing |
//! | something else finalises the module, or initialises it anew | all sessions are forgotten, not closed: their numbers may be others' by now | nothing, or [`Unavailable`](crate::ProviderError::Unavailable) |
//! | the token, its server or its store is away | the module is initialised anew ([`Reinitialise`]): at once, then after 0.1 s, and after twice as long each time, up to 5 s | `Unavailable`, until at the latest 5 s after it is back a call succeeds |
//! | a wrapped key does not unwrap | a canary, wrapped when the key was first used, is unwrapped before and after | [`Rejected`](crate::ProviderError::Rejected), which a message's reader sees as `Decrypt`; if the canary fails too, `Unavailable` |
//! | the key is not found | whether anybody is logged in, and whether other keys are there, is looked at | [`UnknownKey`](crate::ProviderError::UnknownKey), or `Unavailable` |
//! | another key has its id | the canary tells | [`Refused`](crate::ProviderError::Refused) |
//! | the login is refused | nothing | `Refused`, with a [`PinFailure`] |
//! | the token cannot do it | nothing | `Refused` |
//!
//! [`ProviderError::is_retryable`](crate::ProviderError::is_retryable) tells what may pass.
//!
//! # Others in the same process
//!
//! Another library may use the same module: it may log in and out, and open and close sessions. If it
//! calls `C_Finalize` while this crate is at work, what happens is up to the module, and some crash.
//! That it was done is noticed with the first call that fails, and within a second even if none does.
//! This crate does it only to a module that fails altogether, and, unless it is told otherwise, only if it
//! was the one that initialised it. All providers of this crate that use one module share it: they wait
//! for each other then, and a token that is missing does not disturb those of others.
//!
//! A forked child initialises the module for itself, and leaves its parent's sessions alone.
//!
//! # What it costs
//!
//! With SoftHSM on one thread, wrapping takes 1.07 times as long as the same calls made through cryptoki
//! alone, and unwrapping 1.05 times (`benches/pkcs11.rs`). A key is found once and kept in mind. Put a
//! [`CachingKeyring`](crate::CachingKeyring) over a token that many messages a second go through.

mod abilities;
mod adopt;
mod canary;
mod choice;
mod config;
mod error;
mod failure;
mod handle;
mod inventory;
mod life;
mod module;
mod objects;
mod pin;
mod pool;
mod provider;
mod self_test;
mod session;
mod sign;
mod slot;
mod templates;
mod token;
mod token_key;
mod uri;
mod wrap;
mod wrapping;

pub use adopt::AdoptKey;
pub use config::{Pkcs11Config, Reinitialise};
pub use error::Pkcs11Error;
#[cfg(fuzzing)]
pub use handle::reread_handle;
pub use inventory::{TokenKeyInfo, TokenKeyKind};
pub use pin::{PinFailure, PinSource};
pub use provider::Pkcs11KeyProvider;
pub use slot::TokenDescription;
pub use uri::{Pkcs11Uri, UriError};
pub use wrapping::{TokenWrapping, Vendor, WrappingRsaSize};

/// The provider's name, in errors.
const NAME: &str = "pkcs11";
