//! Rights that are given for a time: each allows one principal some operations with one key.
//!
//! A grant never changes; it is made, and it ends. Each is a record of its own, and the record of
//! its key has a digest over all of them: so a grant that was revoked cannot be put back, and none
//! can be taken away unnoticed. The bytes are specified in `FORMAT.md`.

mod change;
mod constraint;
mod id;
mod index;
mod list;
mod record;
mod request;
mod token;

pub use self::constraint::GrantConstraint;
pub use self::id::GrantId;
pub(super) use self::index::{GrantsRecord, KeyGrants};
pub use self::list::{GrantPage, ListGrants};
pub(super) use self::record::{GrantRecord, Short};
pub use self::request::CreateGrant;
pub use self::token::{GrantToken, InvalidGrantToken};
use super::KmsHandle;
use super::asked::{Asked, Parameters};
use super::error::KmsError;
use super::name::{KeySelector, Principal};
use super::operation::Operation;
use crate::clock::Timestamp;
use crate::format::KeyId;

/// A right to do something with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The key.
    pub key: KeyId,
    /// Who may.
    pub grantee: Principal,
    /// What it allows.
    pub operations: Vec<Operation>,
    /// Under which contexts, if not under all.
    pub constraint: Option<GrantConstraint>,
    /// Who may [retire](KmsHandle::retire_grant) it.
    pub retiring_principal: Option<Principal>,
    /// What it is called.
    pub name: Option<String>,
    /// Who gave it.
    pub issued_by: Principal,
    /// When it was given.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
}

/// A grant that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GivenGrant {
    /// Its id.
    pub id: GrantId,
    /// What the grantee may show to have the grant counted at once in every process, and what names
    /// it to [`retire_grant`](KmsHandle::retire_grant).
    pub token: GrantToken,
}

impl KmsHandle {
    /// The most grants of a key.
    pub const MAX_GRANTS: usize = 10_000;

    /// Gives somebody a right to use a key. It counts from the next call on in this process, and
    /// within the [refresh interval](super::KmsBuilder::refresh_interval) in others, or at once for
    /// a handle [with the token](Self::with_grant_token).
    ///
    /// Who may do so by a grant of his own, and not by a policy, may give what that grant allows
    /// and no more: its operations or some of them, with a constraint that is at least as strict,
    /// ending no later.
    ///
    /// With a [name](CreateGrant::with_name) it can be asked for again: the same request gives the
    /// same grant.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidGrant`] for operations that no grant allows, a constraint on what has no
    /// context, or a name; [`KmsError::InvalidUsage`] for operations that the key is not for;
    /// [`KmsError::ExpiresInPast`], and [`KmsError::Limit`] when the key has
    /// [`MAX_GRANTS`](Self::MAX_GRANTS).
    pub fn create_grant<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        request: &CreateGrant,
    ) -> Result<GivenGrant, KmsError> {
        request.check()?;
        let asked = Asked::new(Operation::CreateGrant).with(Parameters {
            grant: Some(request),
            ..Parameters::default()
        });
        self.gate().perform_asked(asked, key.into(), |key| {
            request.check_usage(key.record())?;
            let issuer = self.principal();
            key.until_done(|kms, entry| kms.create_grant(entry, request, issuer))
        })
    }

    /// Lists the grants of a key, by their ids. Those that have ended and were not swept by a
    /// [`tick`](Self::tick) yet are among them.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::Tampered`] when the grants are not
    /// those that the key has.
    pub fn list_grants<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        request: &ListGrants,
    ) -> Result<GrantPage, KmsError> {
        self.gate()
            .perform(Operation::ListGrants, key.into(), None, |key| {
                Ok(request.page(&*key.grants()?))
            })
    }

    /// Lists the grants of all keys that a principal may retire, from the store.
    ///
    /// # Errors
    ///
    /// [`KmsError::Tampered`] and [`KmsError::NewerRecord`] at the first record that cannot be
    /// read, and the failures of the store.
    pub fn list_retirable_grants(
        &self,
        principal: impl Into<Principal>,
        request: &ListGrants,
    ) -> Result<GrantPage, KmsError> {
        let principal = principal.into();
        let asked = Asked::new(Operation::ListRetirableGrants).with(Parameters {
            retiring_principal: Some(&principal),
            ..Parameters::default()
        });
        self.gate()
            .perform_on_store(asked, |kms| kms.list_retirable_grants(&principal, request))
    }

    /// Takes a grant back. What was unwrapped under it stays unwrapped, and grants that its grantee
    /// gave by it stay: [`list_grants`](Self::list_grants) tells who gave which.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::NoGrant`].
    pub fn revoke_grant<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        grant: GrantId,
    ) -> Result<(), KmsError> {
        self.end_grant(Operation::RevokeGrant, key.into(), grant)
    }

    /// Gives a grant up, by its token. This may its retiring principal, its grantee if it allows
    /// `RetireGrant`, and whom a policy allows it.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::NoGrant`], and
    /// [`KmsError::InvalidGrantToken`] for a token that is not of this store.
    pub fn retire_grant(&self, token: &GrantToken) -> Result<(), KmsError> {
        if !token.is_of(&self.kms.store_key) {
            return Err(KmsError::InvalidGrantToken);
        }
        self.end_grant(Operation::RetireGrant, token.key().into(), token.grant())
    }

    /// As [`retire_grant`](Self::retire_grant), by its id.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::NoGrant`].
    pub fn retire_grant_by_id<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        grant: GrantId,
    ) -> Result<(), KmsError> {
        self.end_grant(Operation::RetireGrant, key.into(), grant)
    }

    fn end_grant(
        &self,
        operation: Operation,
        key: KeySelector<'_>,
        grant: GrantId,
    ) -> Result<(), KmsError> {
        let asked = Asked::new(operation).with(Parameters {
            grant_id: Some(grant),
            ..Parameters::default()
        });
        self.gate().perform_asked(asked, key, |key| {
            key.until_done(|kms, entry| kms.end_grant(entry, grant))
        })
    }
}
