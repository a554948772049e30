// Where a link is defined twice, the first counts: these, and not those of the README.
#![cfg_attr(
    not(doctest),
    doc = "[FORMAT.md]: documents::format",
    doc = "[HSM.md]: documents::hsm",
    doc = "[DESIGN.md]: documents::design",
    doc = "[SECURITY.md]: documents::security",
    doc = "[CHANGELOG.md]: documents::changelog"
)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(unreachable_pub)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

pub mod audit;
mod clock;
mod context;
mod crypto;
mod envelope;
mod error;
mod fork;
pub mod format;
mod front;
mod inventory;
mod keyring;
pub mod kms;
#[cfg(test)]
mod leak_tests;
mod names;
mod provider;
mod rng;
mod secret;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

/// The documents that come with the source.
#[cfg(all(doc, not(doctest)))]
#[expect(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_rust_codeblocks,
    reason = "brackets and indented lines are no links and no code in these"
)]
pub mod documents {
    #[doc = include_str!("../FORMAT.md")]
    pub mod format {}
    #[doc = include_str!("../HSM.md")]
    pub mod hsm {}
    #[doc = "[FORMAT.md]: self::format"]
    #[doc = include_str!("../DESIGN.md")]
    pub mod design {}
    #[doc = include_str!("../SECURITY.md")]
    pub mod security {}
    #[doc = include_str!("../CHANGELOG.md")]
    pub mod changelog {}
}

// So that its code is compiled.
#[cfg(all(doctest, feature = "pkcs11", feature = "sqlite"))]
#[doc = include_str!("../HSM.md")]
struct HsmGuide;

pub use clock::{Clock, InvalidTimestamp, ManualClock, SystemClock, Timestamp};
pub use context::{ContextError, EncryptionContext};
pub use crypto::{Engine, ImportWrapping, MacAlgorithm, MessageInput, SigningAlgorithm};
#[cfg(feature = "tokio")]
pub use envelope::{AsyncDecryptReader, AsyncEncryptWriter, AsyncEnvelope};
pub use envelope::{
    DecryptAt, DecryptReader, EncryptReader, EncryptWriter, Envelope, EnvelopeEncryptor,
    FileRewrap, HeaderStore, HeaderStoreError, MemoryHeaderStore, MessageOptions, Opened,
    OpenedInto, Opener, Opening, Parallelism, ReadAt, Rewrap, RewrapFailure, RewrapFileError,
    RewrapJob, RewrapReport, Rewrapped, RowError, Sealer, Sealing, rewrap_file,
};
pub use error::Error;
#[doc(inline)]
pub use format::{
    FormatError, HeaderId, Inspection, KeyId, KeyReference, KeyVersion, LimitExceeded, Mechanism,
    Suite, inspect, inspect_front,
};
pub use inventory::{AgeCounts, DirectoryInventory, Inventory, KeyCounts, KeyUse};
pub use keyring::{
    CacheCounters, CacheLimits, CacheStats, CachingKeyring, DecryptionMaterials, DecryptionRequest,
    DiscoveryKeyring, EncryptionMaterials, EncryptionRequest, EntryOutcome, EntryReport,
    FallbackKeyring, FallbackLimits, InvalidThreshold, Keyring, MultiKeyring, NotAnswered,
    OpenReport, SingleKeyring, ThresholdKeyring, Unwrapped, WhyNotAnswered, WrapDataKeyRequest,
};
#[cfg(feature = "recipients")]
pub use keyring::{
    InvalidRecipientKey, RecipientAlgorithm, RecipientKeyring, RecipientOpener,
    RecipientPrivateKey, RecipientPublicKey,
};
#[doc(inline)]
pub use kms::{
    Backup, BackupError, CreateKey, ErasureProof, ImportKeySize, ImportParameters, InventoryError,
    KeyMetadata, KeyState, Kms, KmsBuilder, KmsError, KmsHandle, KmsKeyring, ListKeys,
    ParametersForImport, Policy, PolicyError, RotationPolicy, SubjectKeyring, UsageInventory,
    WaitingPeriod,
};
pub use names::UnknownName;
#[cfg(feature = "pkcs11")]
pub use provider::pkcs11;
pub use provider::{
    Capabilities, CreateKeyRequest, GenerateDataKeyRequest, GeneratedDataKey, ImportKeyRequest,
    InvalidPassphraseRecord, InvalidPublicKey, InvalidSealedRootKey, KeyCacheStats, KeyDescription,
    KeyHandle, KeyMaterial, KeyProvider, KeySpec, KeySpecs, KeyTextError, Mac, MacRequest,
    PassphraseCosts, PassphraseRecord, ProviderError, PublicKey, RootKey, RootKeyError,
    SealedRootKey, SignRequest, Signature, SigningMismatch, SoftwareKeyProvider, UnwrapRequest,
    VerifyError, WrapRequest, WrappedKey,
};
pub use rng::{RandomError, RandomSource, RngSource, SystemRandom};
pub use secret::{DataKey, DataKeyLength, FreshDataKey, SecretBytes};
#[cfg(feature = "sqlite")]
#[doc(inline)]
pub use store::SqliteKeyStore;
#[doc(inline)]
pub use store::{CommitError, KeyStore, MemoryKeyStore, StoreError};
