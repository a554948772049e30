//! Why a KMS did not do what it was asked.

mod kind;
mod words;

use self::words::{advice, named, root_advice, version_advice};
use super::backup::BackupError;
use super::grant::GrantId;
use super::in_use::InventoryError;
use super::key::{KeyOrigin, KeyState, KeyUsage, VersionState};
use super::name::AliasName;
use super::operation::Operation;
use super::policy::PolicyError;
use crate::audit::{AuditError, VerifyTrailError};
use crate::clock::Timestamp;
use crate::crypto::ImportWrapping;
use crate::error::Error;
use crate::format::{KeyId, KeyVersion};
use crate::provider::{KeySpec, ProviderError, VerifyError};
use crate::rng::RandomError;
use crate::store::{RecordKey, StoreError};

/// Why a KMS did not do what it was asked. Nothing was changed, unless the variant says otherwise.
///
/// `store` is the name of the store: for a file, its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KmsError {
    /// Policies and grants do not allow it, whether there is such a key or not. Who may ask the KMS
    /// to explain it learns why.
    #[error(
        "{operation}{} is denied to this principal; ask those who look after the key for permission",
        .key.as_ref().map(|key| format!(" with the key {key}")).unwrap_or_default()
    )]
    Denied {
        /// What was asked.
        operation: Operation,
        /// The key, as it was named; none for what is not about one key.
        key: Option<String>,
    },
    /// It would have been done, and was not because the handle is one for
    /// [dry runs](crate::KmsHandle::dry_run).
    #[error("{operation} would be done; ask a handle that is not for dry runs to do it")]
    DryRun {
        /// What was asked.
        operation: Operation,
    },
    /// The policy is not one.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy would lock its author out.
    #[error(
        "under this policy, who puts it could not change it again; allow yourself {operation} in it, or put it by the call for those who mean to be locked out"
    )]
    PolicyLockout {
        /// What its author could not do any more.
        operation: Operation,
    },
    /// It could not be recorded, and so was not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The audit trail is not as it was written.
    #[error(transparent)]
    VerifyTrail(Box<VerifyTrailError>),
    /// The KMS has no audit trail.
    #[error("this Kms was opened without an audit trail; give its builder one")]
    NoTrail,
    /// There is no such key.
    #[error(
        "no key {key} is in {store}; check the id, and that this is the store that the key was created in"
    )]
    NoKey {
        /// The id.
        key: KeyId,
        /// The store's name.
        store: String,
    },
    /// The key has no such grant: it has ended, or there never was one.
    #[error(
        "the key {key} has no grant {grant}; it has ended already, or it is one of another key"
    )]
    NoGrant {
        /// The grant.
        grant: GrantId,
        /// The key.
        key: KeyId,
    },
    /// A grant was asked for that cannot be given.
    #[error("the grant cannot be given: {reason}")]
    InvalidGrant {
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// The token is of no grant of this store.
    #[error(
        "the grant token was not given by this store, or was changed; give the one that create_grant gave, or name the grant by its id"
    )]
    InvalidGrantToken,
    /// There is no such alias.
    #[error("no {alias} is in {store}; create it, or name the key by its id")]
    NoAlias {
        /// The alias.
        alias: AliasName,
        /// The store's name.
        store: String,
    },
    /// There was such a key.
    #[error("the key {key} was deleted on {on}; what is under it cannot be opened any more")]
    Deleted {
        /// The key.
        key: KeyId,
        /// When it was deleted.
        on: Timestamp,
    },
    /// The key's state forbids it.
    #[error("{operation} is refused because the key {key} is {}", advice(*.state, *.operation))]
    InvalidState {
        /// The key.
        key: KeyId,
        /// Its state.
        state: KeyState,
        /// What was asked.
        operation: Operation,
    },
    /// The key is for something else.
    #[error(
        "{operation} is refused because the key {key} is for {usage}; use a key that is for it"
    )]
    InvalidUsage {
        /// The key.
        key: KeyId,
        /// What it is for.
        usage: KeyUsage,
        /// What was asked.
        operation: Operation,
    },
    /// It is not done with keys whose material is of this origin.
    #[error(
        "{operation} is refused because the material of the key {key} {}",
        match .origin {
            KeyOrigin::Provider => "was made by its provider; use a key that was created for import",
            KeyOrigin::External => "is imported, and only its owner can make more of it; use a key that was not created for import",
        }
    )]
    InvalidOrigin {
        /// The key.
        key: KeyId,
        /// Who made its material.
        origin: KeyOrigin,
        /// What was asked.
        operation: Operation,
    },
    /// A key was to be created for something that its spec is not for.
    #[error("a key of spec {spec} is for {}, not for {usage}; leave the usage out, or choose another spec", KeyUsage::of(*.spec))]
    UsageOfSpec {
        /// The spec.
        spec: KeySpec,
        /// The usage asked for.
        usage: KeyUsage,
    },
    /// Only keys that wrap, and whose provider makes their material, are rotated by themselves.
    #[error(
        "a key that does not wrap data keys, or whose material is imported, is not rotated by itself; create it without a rotation policy"
    )]
    NoRotation,
    /// The key has no such version.
    #[error(
        "the key {key} has no version {version}; its store may have been put back to an older state"
    )]
    NoVersion {
        /// The key.
        key: KeyId,
        /// The version.
        version: KeyVersion,
    },
    /// There was such a version.
    #[error(
        "version {version} of the key {key} was destroyed on {on}; what is under it cannot be opened any more"
    )]
    VersionDestroyed {
        /// The key.
        key: KeyId,
        /// The version.
        version: KeyVersion,
        /// When it was destroyed.
        on: Timestamp,
    },
    /// The primary version is not destroyed.
    #[error(
        "version {version} of the key {key} is primary; rotate the key and rewrap what is under the version first, or schedule the deletion of the key"
    )]
    PrimaryVersion {
        /// The key.
        key: KeyId,
        /// The version.
        version: KeyVersion,
    },
    /// What was to be destroyed is in use.
    #[error("{} is not destroyed because {inventory} needs it for {uses} messages, headers or seeds; rewrap them under another key or version first, or say that they may be lost by the call whose name ends in even_if_used", named(*.key, *.version))]
    InUse {
        /// The key.
        key: KeyId,
        /// The version, if it was not the whole key.
        version: Option<KeyVersion>,
        /// How many messages and headers for records, or seeds of subjects, are under it.
        uses: u64,
        /// The name of the inventory that found them.
        inventory: String,
    },
    /// An inventory could not tell whether a key is in use, so nothing was destroyed.
    #[error(
        "nothing of the key {key} is destroyed because {inventory} could not tell whether it is in use: {source}; see to that, then try again"
    )]
    Inventory {
        /// The key.
        key: KeyId,
        /// The name of the inventory.
        inventory: String,
        /// Why it could not tell.
        source: InventoryError,
    },
    /// The subject was never created under this key.
    #[error(
        "no such subject is under the key {key} in {store}; check its name, or create it with create_subject"
    )]
    NoSubject {
        /// The key.
        key: KeyId,
        /// The store's name.
        store: String,
    },
    /// The key of the subject was erased.
    #[error(
        "the key {subject} of a subject under the key {key} was erased on {on}; what is under it cannot be opened any more, and to seal anew takes create_subject"
    )]
    SubjectErased {
        /// The key.
        key: KeyId,
        /// The id of the subject's key.
        subject: KeyId,
        /// When it was erased.
        on: Timestamp,
    },
    /// The proof of an erasure is not one that this store made, or is about another subject.
    #[error(
        "this is no proof of an erasure that this store made under the key {key}, or not of that subject; take the proof as erase_subject gave it, and the store that made it"
    )]
    InvalidErasureProof {
        /// The key that it names.
        key: KeyId,
    },
    /// The version is in a state that forbids it.
    #[error("version {version} of the key {key} is {}", version_advice(*.state))]
    InvalidVersionState {
        /// The key.
        key: KeyId,
        /// The version.
        version: KeyVersion,
        /// Its state.
        state: VersionState,
    },
    /// The key has a version already that waits to be promoted.
    #[error(
        "version {version} of the key {key} already waits to be promoted; promote it with promote_version first"
    )]
    PendingVersion {
        /// The key.
        key: KeyId,
        /// The version that waits.
        version: KeyVersion,
    },
    /// There is such an alias already.
    #[error(
        "{alias} is an alias of the key {key} already; give it to another key with update_alias, or choose another name"
    )]
    AliasExists {
        /// The alias.
        alias: AliasName,
        /// The key that has it.
        key: KeyId,
    },
    /// A name or text is not of its form.
    #[error("{what} is {rule}; what was given is not")]
    InvalidName {
        /// What was given.
        what: &'static str,
        /// How it must be.
        rule: &'static str,
    },
    /// The text names no key.
    #[error(
        "a key is named by its id, 32 hexadecimal digits, or by an alias that begins with 'alias/'"
    )]
    InvalidSelector,
    /// A number is out of its range.
    #[error("{what} must be {min} to {max} {unit}, and {given} was given")]
    OutOfRange {
        /// What it is.
        what: &'static str,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
        /// What it counts.
        unit: &'static str,
        /// The number given.
        given: u64,
    },
    /// The key would have more of something than it may have.
    #[error("the key {key} may have at most {max} {what}; remove some, or use another key")]
    Limit {
        /// The key.
        key: KeyId,
        /// What it would have more of.
        what: &'static str,
        /// How many it may have.
        max: usize,
    },
    /// The new root key is not in use yet.
    #[error(
        "this Kms was opened without the root key that its keys are to be moved to; open it with that provider first, in every process that has the store"
    )]
    RootNotInUse,
    /// Others changed the same records again and again. Trying again helps.
    #[error("others kept changing the record {record} at the same time; try again")]
    Conflict {
        /// The record.
        record: RecordKey,
    },
    /// The KMS was not given the provider that it needs.
    #[error(
        "the provider {provider} is needed, and this Kms was opened without it; open it with all providers that its keys live in"
    )]
    NoProvider {
        /// The provider's name.
        provider: String,
    },
    /// No provider was given at all.
    #[error("a Kms needs a provider to keep its keys in; give one to the builder")]
    NoProviders,
    /// Two providers have one name, so keys in them could not be told apart.
    #[error("two providers are named {provider}; give the Kms one of that name")]
    SameProvider {
        /// The name.
        provider: String,
    },
    /// The provider does not make or import keys of this spec.
    #[error(
        "the provider {provider} does not {action} keys of spec {spec}; choose another provider or spec"
    )]
    UnsupportedSpec {
        /// The provider's name.
        provider: String,
        /// What it does not do with them.
        action: &'static str,
        /// The spec.
        spec: KeySpec,
    },
    /// Keys of this spec are too long for the wrapping.
    #[error(
        "keys of spec {spec} are too long for {wrapping}; import them with {}",
        ImportWrapping::RsaAesKeyWrapSha256
    )]
    ImportWrapping {
        /// The spec of the key.
        spec: KeySpec,
        /// The wrapping asked for.
        wrapping: ImportWrapping,
    },
    /// The import token is not one of this key.
    #[error(
        "the import token is not one of the key {key}: {reason}; get one by get_parameters_for_import, and wrap the material with the public key that comes with it"
    )]
    ImportToken {
        /// The key that material was to be imported for.
        key: KeyId,
        /// What is wrong with the token.
        reason: &'static str,
    },
    /// The import token is too old.
    #[error(
        "the import token of the key {key} expired on {on}; get another by get_parameters_for_import, and wrap the material with the public key that comes with it"
    )]
    ImportTokenExpired {
        /// The key.
        key: KeyId,
        /// When it expired.
        on: Timestamp,
    },
    /// What was to be imported does not unwrap.
    #[error(
        "the material for the key {key} does not unwrap; wrap it by {wrapping} with the public key that came with this import token"
    )]
    WrappedMaterial {
        /// The key.
        key: KeyId,
        /// How it is to be wrapped.
        wrapping: ImportWrapping,
    },
    /// Other material was imported for the key before.
    #[error(
        "other material was imported for the key {key} before, and only the same can be imported again; import that, or create another key for this material"
    )]
    OtherMaterial {
        /// The key.
        key: KeyId,
    },
    /// Imported material, or a grant, is to expire before now.
    #[error(
        "what is to expire on {expires} would have expired: it is {now}; give a later date, or none"
    )]
    ExpiresInPast {
        /// The date given.
        expires: Timestamp,
        /// The date.
        now: Timestamp,
    },
    /// A record was not written by a waxseal with the keys of this store, at least not there: it was
    /// changed, moved or forged.
    #[error(
        "the record {record} in {store} is not what waxseal wrote there: it was changed, or put there from elsewhere; find out who writes to the store, and restore it from a backup"
    )]
    Tampered {
        /// The record.
        record: RecordKey,
        /// The store's name.
        store: String,
    },
    /// An older state of a record was put in the place of a newer one that this process has read.
    #[error(
        "the record {record} in {store} went back to an older state; find out who writes to the store, or open the Kms anew if it was restored on purpose"
    )]
    RolledBack {
        /// The record.
        record: RecordKey,
        /// The store's name.
        store: String,
    },
    /// A newer version of this crate wrote the record.
    #[error(
        "the record {record} in {store} was written by a newer version of waxseal; use that version, or a newer one"
    )]
    NewerRecord {
        /// The record.
        record: RecordKey,
        /// The store's name.
        store: String,
    },
    /// The store's own key could not be unwrapped, so none of its records can be read.
    #[error("the key of {store} could not be unwrapped{}", root_advice(.provider, .source))]
    StoreKey {
        /// The store's name.
        store: String,
        /// The provider that wrapped it.
        provider: String,
        /// What the provider said.
        #[source]
        source: ProviderError,
    },
    /// The record that says whose store it is is missing, and others are there.
    #[error(
        "{store} has keys and no record {record}, without which they cannot be used; restore it from a backup"
    )]
    NoStoreRecord {
        /// The record.
        record: RecordKey,
        /// The store's name.
        store: String,
    },
    /// The ciphertext is under another key than the one that was demanded.
    #[error(
        "the ciphertext is not under the key {key}, which was demanded; leave the key out, or name the key that it is under"
    )]
    IncorrectKey {
        /// The key that was demanded.
        key: KeyId,
    },
    /// The ciphertext names no key of a KMS.
    #[error(
        "the ciphertext names no key of a KMS; open it with the keyring of the key that it was sealed under"
    )]
    OtherKey,
    /// Too much was given at once.
    #[error(
        "{what} may be at most {max} bytes, and {len} were given; for larger ones use an Envelope over the keyring of the key"
    )]
    TooLarge {
        /// What was given.
        what: &'static str,
        /// Its length, in bytes.
        len: u64,
        /// The largest, in bytes.
        max: u64,
    },
    /// The message's MAC under this key is another one.
    #[error("the MAC is not that of this message under the key {key}")]
    InvalidMac {
        /// The key.
        key: KeyId,
    },
    /// The signature was not accepted.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The ciphertext was not sealed or opened: it is no message, was changed, or has another
    /// context.
    #[error(transparent)]
    Message(Box<Error>),
    /// A backup was not written, or not restored.
    #[error(transparent)]
    Backup(Box<BackupError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The random generator failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// An error of the KMS itself that went through the layer of messages is what it was.
impl From<Error> for KmsError {
    fn from(error: Error) -> Self {
        match error {
            Error::Kms(error) => *error,
            Error::Provider(error) => Self::Provider(error),
            Error::Random(error) => Self::Random(error),
            other => Self::Message(Box::new(other)),
        }
    }
}

impl KmsError {
    /// Whether a policy forbids it: one of the KMS, or of a provider.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(
            self,
            Self::Denied { .. } | Self::Provider(ProviderError::Denied { .. })
        )
    }

    /// Whether the same call may succeed later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Store(error) => error.is_retryable(),
            Self::Audit(error) => error.is_retryable(),
            Self::Provider(error) | Self::StoreKey { source: error, .. } => error.is_retryable(),
            _ => false,
        }
    }
}
