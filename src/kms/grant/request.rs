use std::collections::BTreeSet;

use super::GrantConstraint;
use crate::clock::Timestamp;
use crate::kms::error::KmsError;
use crate::kms::name::Principal;
use crate::kms::operation::Operation;
use crate::kms::record::KeyRecord;

/// Says what right to give to whom.
///
/// ```
/// use waxseal::kms::{CreateGrant, GrantConstraint, Operation};
/// use waxseal::EncryptionContext;
///
/// let tenant = EncryptionContext::new([("tenant", "acme")])?;
/// let grant = CreateGrant::to("svc:export", [Operation::Decrypt])
///     .with_constraint(GrantConstraint::Subset(tenant))
///     .with_name("export-2026-01");
/// # Ok::<(), waxseal::ContextError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CreateGrant {
    pub(super) grantee: Principal,
    pub(super) operations: BTreeSet<Granted>,
    pub(super) constraint: Option<GrantConstraint>,
    pub(super) retiring_principal: Option<Principal>,
    pub(super) name: Option<String>,
    pub(super) expires: Option<Timestamp>,
}

/// An operation, in the order of [`Operation::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted(pub(super) Operation);

impl PartialOrd for Granted {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Granted {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.name().cmp(other.0.name())
    }
}

const MAX_NAME_LEN: usize = 256;

impl CreateGrant {
    /// Lets `grantee` do these with the key: of `Encrypt`, `Decrypt`, `GenerateDataKey`,
    /// `GenerateDataKeyWithoutPlaintext`, `ReEncryptFrom`, `ReEncryptTo`, `Sign`, `Verify`,
    /// `GetPublicKey`, `GenerateMac`, `VerifyMac`, `DescribeKey`, `CreateGrant` and `RetireGrant`.
    pub fn to(
        grantee: impl Into<Principal>,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Self {
        Self {
            grantee: grantee.into(),
            operations: operations.into_iter().map(Granted).collect(),
            constraint: None,
            retiring_principal: None,
            name: None,
            expires: None,
        }
    }

    /// Allows it only under some contexts. Only for operations that have a context, beside
    /// `DescribeKey`, `CreateGrant` and `RetireGrant`, which it does not narrow; but a grant that is
    /// given by this one has a constraint at least as strict.
    pub fn with_constraint(mut self, constraint: GrantConstraint) -> Self {
        self.constraint = Some(constraint);
        self
    }

    /// Lets somebody retire it, beside those whom the policy allows it.
    pub fn with_retiring_principal(mut self, principal: impl Into<Principal>) -> Self {
        self.retiring_principal = Some(principal.into());
        self
    }

    /// Calls it something, so that the same request can be made again: 1 to 256 of `a` to `z`, `A`
    /// to `Z`, `0` to `9`, `:`, `/`, `_` and `-`.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets it end by itself. From then on it allows nothing, and the next
    /// [`tick`](crate::KmsHandle::tick) removes it.
    pub fn expiring(mut self, on: Timestamp) -> Self {
        self.expires = Some(on);
        self
    }

    pub(in crate::kms) fn grantee(&self) -> &Principal {
        &self.grantee
    }

    pub(in crate::kms) fn retiring_principal(&self) -> Option<&Principal> {
        self.retiring_principal.as_ref()
    }

    pub(in crate::kms) fn operations(&self) -> impl Iterator<Item = Operation> {
        self.operations.iter().map(|granted| granted.0)
    }

    pub(in crate::kms) fn constraint(&self) -> Option<&GrantConstraint> {
        self.constraint.as_ref()
    }

    pub(in crate::kms) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    pub(super) fn check(&self) -> Result<(), KmsError> {
        let invalid = |reason| Err(KmsError::InvalidGrant { reason });
        if self.operations.is_empty() {
            return invalid("it allows nothing; name at least one operation");
        }
        if self.operations().any(|operation| !is_grantable(operation)) {
            return invalid(
                "it names an operation that no grant allows; allow that one by the key's policy",
            );
        }
        if self.constraint.is_some() && self.operations().any(has_no_context) {
            return invalid(
                "it has a constraint, and an operation that has no encryption context; give those operations by a grant of their own",
            );
        }
        let is_nobody = |principal: &Principal| principal.as_str().is_empty();
        if is_nobody(&self.grantee) || self.retiring_principal.as_ref().is_some_and(is_nobody) {
            return invalid("a principal of it has no name");
        }
        match &self.name {
            Some(name) if !is_name(name) => Err(KmsError::InvalidName {
                what: "the name of a grant",
                rule: "1 to 256 of a to z, A to Z, 0 to 9, ':', '/', '_' and '-'",
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn check_usage(&self, key: &KeyRecord) -> Result<(), KmsError> {
        for operation in self.operations() {
            if operation.usage().is_some_and(|usage| usage != key.usage) {
                return Err(KmsError::InvalidUsage {
                    key: key.key,
                    usage: key.usage,
                    operation,
                });
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_LEN).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'_' | b'-'))
}

/// The operations that AWS KMS has grants for.
fn is_grantable(operation: Operation) -> bool {
    use Operation as Op;
    has_context(operation)
        || has_no_context(operation)
        || matches!(
            operation,
            Op::DescribeKey | Op::CreateGrant | Op::RetireGrant
        )
}

/// Whether a constraint of a grant narrows it.
pub(super) fn has_context(operation: Operation) -> bool {
    use Operation as Op;
    matches!(
        operation,
        Op::Encrypt
            | Op::Decrypt
            | Op::GenerateDataKey
            | Op::GenerateDataKeyWithoutPlaintext
            | Op::ReEncryptFrom
            | Op::ReEncryptTo
    )
}

fn has_no_context(operation: Operation) -> bool {
    use Operation as Op;
    matches!(
        operation,
        Op::Sign | Op::Verify | Op::GetPublicKey | Op::GenerateMac | Op::VerifyMac
    )
}
