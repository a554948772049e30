//! Keys that live, rotate and die: [`Kms`] and the operations of [`KmsHandle`].
//!
//! What is stored of a key is one record (`record`), so every change of a key is one
//! compare-and-swap. All operations go through one gate (`perform`).

mod acting;
mod alias;
mod asked;
mod attempt;
mod audit;
mod authority;
mod backup;
mod builder;
mod cache;
mod ciphertext;
mod commit;
mod data_key;
mod deletion;
mod destroy_version;
mod entry;
mod error;
mod explain;
mod grant;
mod import;
mod in_use;
mod inner;
mod key;
mod keyring;
mod lifecycle;
mod list;
mod name;
mod new_material;
mod observe;
mod operation;
mod perform;
mod policies;
pub mod policy;
mod providers;
mod record;
mod recording;
mod rekey;
mod rotation;
mod scan;
mod session;
mod sign;
mod states;
mod store_key;
mod stored_policy;
mod subject;
#[cfg(test)]
mod tests;
mod tick;
mod trail;
mod usage;
mod values;
mod wrap;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::alias::{Alias, AliasPage, ListAliases};
pub use self::authority::STORE_POLICY;
pub use self::backup::{Backup, BackupError, BackupReport};
pub use self::builder::{Authorisation, KmsBuilder};
pub use self::ciphertext::{Ciphertext, Decrypted};
pub use self::data_key::KmsDataKey;
pub use self::deletion::WaitingPeriod;
pub use self::error::KmsError;
pub use self::explain::{Access, Explanation, GrantMismatch};
pub use self::grant::{
    CreateGrant, GivenGrant, Grant, GrantConstraint, GrantId, GrantPage, GrantToken,
    InvalidGrantToken, ListGrants,
};
pub use self::import::{ImportKeySize, ImportParameters, ParametersForImport};
pub use self::in_use::{InventoryError, UsageInventory};
use self::inner::Inner;
pub use self::key::{
    KeyMetadata, KeyOrigin, KeyState, KeyUsage, KeyVersionMetadata, VersionCause, VersionState,
};
pub use self::keyring::KmsKeyring;
pub use self::lifecycle::CreateKey;
pub use self::list::{KeyPage, ListKeys};
pub use self::name::{AliasName, KeySelector, Principal};
pub use self::operation::Operation;
use self::perform::Gate;
pub use self::policy::{Policy, PolicyError};
pub use self::rekey::RekeyReport;
pub use self::rotation::{RotationPolicy, RotationStatus};
use self::session::Session;
pub use self::states::Rule;
pub use self::subject::{ErasureProof, SubjectKeyring, SubjectMetadata, SubjectRewrapReport};
pub use self::tick::{TickFailure, TickReport, Ticker};
use crate::provider::KeyProvider;
use crate::store::KeyStore;

/// A KMS in this process: keys with a life, in a [`KeyStore`], made and used by [`KeyProvider`]s.
///
/// A KMS key is a name for a series of *versions*. The newest promoted one is *primary*: it wraps.
/// All others go on to unwrap. Each version is a key of a provider; the store has its handle, bound
/// to key and version. All operations are methods of [`KmsHandle`], which
/// [`as_principal`](Self::as_principal) gives.
///
/// Clones share everything. Any number of processes may open one store.
///
/// # What others change
///
/// A change is durable when the call that made it has returned, and the next operation in this
/// process sees it. An operation in another process sees it if it begins a
/// [refresh interval](KmsBuilder::refresh_interval) later: so long at most is a key still used there
/// that was disabled here. When the store cannot be asked what has changed, operations fail.
///
/// # Who may
///
/// Everybody may do everything with a store that was never given a policy. With one
/// ([`KmsBuilder::authorisation`], [`KmsHandle::put_store_policy`]), nobody may do what neither a policy
/// nor a grant allows, in any process. A statement that denies wins over all that allow. Of a key, its
/// own [policy](KmsHandle::put_key_policy) decides, and that of the store so far as the key's leaves it
/// to that, by naming [`STORE_POLICY`] as a principal; so does the policy that new keys have unless they
/// are [given one](CreateKey::with_policy). [Grants](KmsHandle::create_grant) allow some operations for
/// a time. Aliases are the store's.
///
/// A change of a policy or a grant counts from the next call on here, and within the refresh
/// interval elsewhere.
///
/// # Who did
///
/// With an [audit trail](KmsBuilder::audit), each operation leaves a record, also those that are
/// denied or fail. What cannot be recorded is not done: what changes something is recorded
/// before it is committed, or with it, and what gives something out before it is given out. A call
/// that is refused for its arguments alone is no operation. With the features `tracing` and `metrics`,
/// each operation is a span `waxseal.kms` with the fields `operation`, `principal`, `dry_run`, `key`,
/// `key_version`, `outcome` (`allowed`, `denied`, `failed`) and `error` ([`KmsError::kind`]); and is
/// counted in `waxseal_kms_operations_total` (labels `operation`, `outcome`) and, if it does not end
/// well, `waxseal_kms_errors_total` (`operation`, `error`), and its duration, in seconds, in the
/// histogram `waxseal_kms_operation_seconds` (`operation`). What async code asks of a keyring ends, for
/// both, when its record is handed over, and not when that is durable: it is counted as allowed, also
/// if it cannot be recorded then, and is not given out.
///
/// # Time
///
/// Rotation, promotion and deletion are done by [`KmsHandle::tick`], which the application calls
/// now and then, or [`spawn_ticker`](Self::spawn_ticker). If several processes do, each piece of
/// work is done once. Dates are those of the system's clock: where it is set forward by mistake, keys
/// are deleted too early.
///
/// ```
/// use waxseal::{CreateKey, Kms, KeyState, MemoryKeyStore, RootKey, SoftwareKeyProvider};
///
/// let provider = SoftwareKeyProvider::new(&RootKey::generate()?);
/// let kms = Kms::open(MemoryKeyStore::new(), provider)?;
/// let admin = kms.as_principal("ops:alice");
///
/// let key = admin.create_key(CreateKey::new().with_description("card numbers"))?;
/// admin.create_alias("alias/cards", &key)?;
/// admin.disable_key("alias/cards")?;
/// assert_eq!(admin.describe_key(key.id)?.state, KeyState::Disabled);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Kms(Arc<Inner>);

impl Kms {
    /// How long what other processes change may stay unnoticed, unless set otherwise: a second.
    pub const DEFAULT_REFRESH_INTERVAL: Duration = Duration::from_secs(1);
    /// How many keys are kept in memory, unless set otherwise.
    pub const DEFAULT_CACHED_KEYS: usize = 10_000;

    /// Opens a store whose keys live in one provider. One that is empty becomes the store of a new
    /// KMS.
    ///
    /// # Errors
    ///
    /// As [`KmsBuilder::open`].
    pub fn open(
        store: impl KeyStore + 'static,
        provider: impl KeyProvider + 'static,
    ) -> Result<Self, KmsError> {
        Self::builder(store).provider(provider).open()
    }

    /// Begins to put a KMS together that has several providers, or another clock.
    pub fn builder(store: impl KeyStore + 'static) -> KmsBuilder {
        KmsBuilder::new(store)
    }

    /// The operations, done in the name of somebody: any text that the application has reason to
    /// believe. With an empty one, operations are refused as [`KmsError::InvalidName`].
    #[must_use]
    pub fn as_principal(&self, principal: impl Into<Principal>) -> KmsHandle {
        KmsHandle {
            kms: Arc::clone(&self.0),
            session: Arc::new(Session::new(principal.into())),
        }
    }

    fn from_inner(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kms({})", self.0.store.name())
    }
}

/// The operations of a [`Kms`], done in the name of a principal. Cloning is cheap.
#[derive(Clone)]
pub struct KmsHandle {
    kms: Arc<Inner>,
    session: Arc<Session>,
}

impl KmsHandle {
    /// In whose name it acts.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.session.principal
    }

    pub(crate) fn gate(&self) -> Gate<'_> {
        Gate::new(&self.kms, &self.session)
    }
}

impl fmt::Debug for KmsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsHandle")
            .field("store", &self.kms.store.name())
            .field("principal", self.principal())
            .finish()
    }
}
