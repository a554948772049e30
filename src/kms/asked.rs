//! What is asked of the KMS, with all that policies may look at.

use std::collections::BTreeMap;

use super::grant::{CreateGrant, GrantId};
use super::key::{KeyOrigin, KeyUsage};
use super::name::{AliasName, Principal};
use super::operation::Operation;
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::crypto::{ImportWrapping, SigningAlgorithm};
use crate::format::KeyId;
use crate::provider::KeySpec;

/// An operation and its parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(super) operation: Operation,
    pub(super) context: Option<&'a EncryptionContext>,
    pub(super) parameters: Parameters<'a>,
}

/// The parameters of a request that policies have condition keys for, and that the audit trail
/// tells of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parameters<'a> {
    /// The alias that is given or taken away.
    pub(super) alias: Option<&'a AliasName>,
    pub(super) spec: Option<KeySpec>,
    pub(super) usage: Option<KeyUsage>,
    pub(super) origin: Option<KeyOrigin>,
    pub(super) tags: Option<&'a BTreeMap<String, String>>,
    /// One tag that is put or, without a value, taken away.
    pub(super) tag: Option<(&'a str, Option<&'a str>)>,
    pub(super) waiting_days: Option<u32>,
    pub(super) rotation_days: Option<u32>,
    pub(super) signing_algorithm: Option<SigningAlgorithm>,
    /// `RAW` or `DIGEST`.
    pub(super) message_type: Option<&'static str>,
    pub(super) wrapping: Option<ImportWrapping>,
    /// Of imported material: whether it expires, and when.
    pub(super) expires: Option<Option<Timestamp>>,
    /// The grant that is to be given.
    pub(super) grant: Option<&'a CreateGrant>,
    /// The grant that is to end.
    pub(super) grant_id: Option<GrantId>,
    /// Whose grants are to be listed.
    pub(super) retiring_principal: Option<&'a Principal>,
    pub(super) bypasses_lockout_check: Option<bool>,
    /// Of a re-encryption, the key of the other half; one that is not there is none.
    pub(super) other_key: Option<Option<KeyId>>,
    /// Whose right to do what is to be explained.
    pub(super) explained: Option<(&'a str, Operation)>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(operation: Operation) -> Self {
        Self {
            operation,
            context: None,
            parameters: Parameters::default(),
        }
    }

    pub(super) fn about(mut self, context: Option<&'a EncryptionContext>) -> Self {
        self.context = context;
        self
    }

    pub(super) fn with(mut self, parameters: Parameters<'a>) -> Self {
        self.parameters = parameters;
        self
    }
}

impl From<Operation> for Asked<'_> {
    fn from(operation: Operation) -> Self {
        Self::new(operation)
    }
}
