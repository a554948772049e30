//! What a KMS tells of a key.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::name::AliasName;
use super::rotation::RotationPolicy;
use crate::clock::Timestamp;
use crate::format::{KeyId, KeyVersion};
use crate::names::named;
use crate::provider::KeySpec;

/// All that a KMS tells of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyMetadata {
    /// The id of the key, the same for life.
    pub id: KeyId,
    /// Whether it can be used.
    pub state: KeyState,
    /// The kind of the key.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// Who made its material.
    pub origin: KeyOrigin,
    /// The name of the provider that new versions of it are made in.
    pub provider: String,
    /// What its owner wrote about it.
    pub description: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its aliases.
    pub aliases: BTreeSet<AliasName>,
    /// When it was created.
    pub created: Timestamp,
    /// When it will be deleted, if its deletion is scheduled.
    pub deletion_date: Option<Timestamp>,
    /// When its primary version's material will be destroyed because it was imported to expire.
    pub material_expires: Option<Timestamp>,
    /// The version that wraps, signs and makes MACs.
    pub primary: KeyVersion,
    /// How many versions it has.
    pub versions: usize,
    /// How it is rotated by itself, if it is.
    pub rotation: Option<RotationPolicy>,
}

/// Whether a key can be used. What may be done in which state is the table of AWS KMS, in
/// [`Operation::rule`](super::Operation::rule).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// It can be used.
    Enabled,
    /// Its owner has disabled it: nothing can be done with it until it is enabled.
    Disabled,
    /// It will be deleted, and cannot be used, unless its deletion is cancelled before.
    PendingDeletion,
    /// Its material was not imported yet, was deleted, or has expired. It can be imported.
    PendingImport,
    /// Its provider was not given to this [`Kms`](super::Kms), or is away: a token that was pulled
    /// out, a service that does not answer. It can be looked after and not used; when its provider is
    /// back, it is as it was.
    Unavailable,
}

named!(KeyState, "key state", {
    Enabled => "Enabled",
    Disabled => "Disabled",
    PendingDeletion => "PendingDeletion",
    PendingImport => "PendingImport",
    Unavailable => "Unavailable",
});

/// What a key is for. It follows from its [`KeySpec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyUsage {
    /// Wraps data keys and encrypts.
    EncryptDecrypt,
    /// Signs.
    SignVerify,
    /// Makes MACs.
    GenerateVerifyMac,
}

named!(KeyUsage, "key usage", {
    EncryptDecrypt => "ENCRYPT_DECRYPT",
    SignVerify => "SIGN_VERIFY",
    GenerateVerifyMac => "GENERATE_VERIFY_MAC",
});

impl KeyUsage {
    /// What keys of a spec are for.
    #[must_use]
    pub fn of(spec: KeySpec) -> Self {
        if spec.wraps() {
            Self::EncryptDecrypt
        } else if spec.mac_algorithm().is_some() {
            Self::GenerateVerifyMac
        } else {
            Self::SignVerify
        }
    }
}

/// Who made a key's material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyOrigin {
    /// Its provider.
    #[default]
    Provider,
    /// Its owner, who imports it.
    External,
}

named!(KeyOrigin, "key origin", {
    Provider => "PROVIDER",
    External => "EXTERNAL",
});

/// What a KMS tells of one version of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyVersionMetadata {
    /// Its number, from 1.
    pub version: KeyVersion,
    /// Whether it can be used.
    pub state: VersionState,
    /// Whether it is the one that wraps, signs and makes MACs.
    pub primary: bool,
    /// What it was made for.
    pub cause: VersionCause,
    /// When it was made.
    pub created: Timestamp,
    /// When it became primary, if it ever did.
    pub promoted: Option<Timestamp>,
    /// When it will become primary by itself, if it will.
    pub promotion_date: Option<Timestamp>,
    /// The name of the provider that has it.
    pub provider: String,
    /// How often it wrapped, approximately: each process adds what it counted when it
    /// [ticks](super::KmsHandle::tick), and every 2^20 wraps or sooner.
    pub wraps: u64,
    /// When its material will be destroyed because it was imported to expire.
    pub expires: Option<Timestamp>,
    /// When it was destroyed, if it was.
    pub destroyed: Option<Timestamp>,
}

/// Whether a version of a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VersionState {
    /// It unwraps, and will wrap when it is promoted.
    Pending,
    /// It unwraps; if it is primary, it wraps.
    Enabled,
    /// Its material is not there and can be imported.
    PendingImport,
    /// It was destroyed: what is under it cannot be opened any more.
    Destroyed,
}

named!(VersionState, "version state", {
    Pending => "PENDING",
    Enabled => "ENABLED",
    PendingImport => "PENDING_IMPORT",
    Destroyed => "DESTROYED",
});

/// What a version of a key was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VersionCause {
    /// The key was created.
    Created,
    /// The rotation period was over.
    Period,
    /// The version before had wrapped as often as it may.
    Budget,
    /// Somebody asked for it.
    OnDemand,
}

named!(VersionCause, "version cause", {
    Created => "CREATED",
    Period => "PERIOD",
    Budget => "BUDGET",
    OnDemand => "ON_DEMAND",
});
