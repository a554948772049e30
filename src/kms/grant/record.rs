//! What is stored of a grant.

use serde::{Deserialize, Serialize};

use super::request::{CreateGrant, has_context};
use super::{Grant, GrantConstraint, GrantId};
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::format::KeyId;
use crate::kms::error::KmsError;
use crate::kms::name::Principal;
use crate::kms::operation::Operation;
use crate::store::{Collection, RecordId, RecordKey};

/// A record of the collection `grants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::kms) struct GrantRecord {
    pub(in crate::kms) grant: GrantId,
    pub(in crate::kms) key: KeyId,
    pub(in crate::kms) grantee: Principal,
    /// Sorted by their names.
    pub(in crate::kms) operations: Vec<Operation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::kms) constraint: Option<GrantConstraint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::kms) retiring_principal: Option<Principal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::kms) name: Option<String>,
    pub(in crate::kms) issued_by: Principal,
    pub(in crate::kms) created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::kms) expires: Option<Timestamp>,
}

/// Why a grant does not allow something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kms) enum Short {
    Operation,
    Constraint,
    Expired,
    /// What was to be given by it is more than it allows.
    Wider,
}

impl GrantRecord {
    pub(super) fn new(
        id: GrantId,
        key: KeyId,
        request: &CreateGrant,
        issued_by: &Principal,
        created: Timestamp,
    ) -> Self {
        Self {
            grant: id,
            key,
            grantee: request.grantee.clone(),
            operations: request.operations().collect(),
            constraint: request.constraint.clone(),
            retiring_principal: request.retiring_principal.clone(),
            name: request.name.clone(),
            issued_by: issued_by.clone(),
            created,
            expires: request.expires,
        }
    }

    /// Where the record of a grant is in the store.
    pub(in crate::kms) fn address(key: KeyId, grant: GrantId) -> Result<RecordKey, KmsError> {
        let mut id = [0; 32];
        let (of_key, of_grant) = id.split_at_mut(16);
        of_key.copy_from_slice(key.as_bytes());
        of_grant.copy_from_slice(grant.as_bytes());
        let id = RecordId::new(id).map_err(|_| KmsError::InvalidSelector)?;
        Ok(RecordKey::new(Collection::GRANTS, id))
    }

    /// Where the grants of a key are, for errors.
    pub(in crate::kms) fn addresses(key: KeyId) -> RecordKey {
        RecordKey::new(Collection::GRANTS, (*key.as_bytes()).into())
    }

    pub(super) fn is_same(&self, request: &CreateGrant) -> bool {
        self.grantee == request.grantee
            && self.operations.iter().copied().eq(request.operations())
            && self.constraint == request.constraint
            && self.retiring_principal == request.retiring_principal
            && self.name == request.name
            && self.expires == request.expires
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it allows its grantee an operation under a context.
    pub(in crate::kms) fn check(
        &self,
        operation: Operation,
        context: Option<&EncryptionContext>,
        now: Timestamp,
    ) -> Result<(), Short> {
        if !self.operations.contains(&operation) {
            return Err(Short::Operation);
        }
        if self.is_over(now) {
            return Err(Short::Expired);
        }
        match &self.constraint {
            Some(constraint) if has_context(operation) => {
                let allowed = match context {
                    Some(context) => constraint.allows(context),
                    None => constraint.allows(&EncryptionContext::empty()),
                };
                allowed.then_some(()).ok_or(Short::Constraint)
            }
            _ => Ok(()),
        }
    }

    /// Whether another that is given by it allows no more than it does.
    pub(in crate::kms) fn covers(&self, request: &CreateGrant) -> bool {
        let mut operations = request.operations();
        operations.all(|operation| self.operations.contains(&operation))
            && match (&self.constraint, &request.constraint) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(given)) => given.is_at_least_as_strict_as(own),
            }
            && match (self.expires, request.expires) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(given)) => given <= own,
            }
    }

    pub(super) fn metadata(&self) -> Grant {
        Grant {
            id: self.grant,
            key: self.key,
            grantee: self.grantee.clone(),
            operations: self.operations.clone(),
            constraint: self.constraint.clone(),
            retiring_principal: self.retiring_principal.clone(),
            name: self.name.clone(),
            issued_by: self.issued_by.clone(),
            created: self.created,
            expires: self.expires,
        }
    }
}
