//! Why somebody may do something, or may not.

use std::fmt;

use super::KmsHandle;
use super::asked::{Asked, Parameters};
use super::attempt::Attempt;
use super::authority::{Basis, NoMatch, Verdict, judge};
use super::error::KmsError;
use super::grant::{GrantId, Short};
use super::name::{KeySelector, Principal};
use super::operation::Operation;
use super::perform::Gate;
use super::policy::{Closest, StatementName};
use super::session::Session;
use crate::context::EncryptionContext;

/// What [`explain`](KmsHandle::explain) is asked about: somebody who may want to do something.
///
/// ```
/// use waxseal::kms::{Access, Operation};
///
/// let access = Access::of("svc:billing", Operation::Decrypt).with_attribute("tenant", "acme");
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Access<'a> {
    session: Session,
    operation: Operation,
    key: Option<KeySelector<'a>>,
    context: Option<&'a EncryptionContext>,
}

/// Who decides whether somebody may do something, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Explanation {
    /// It is allowed, since there is no policy, of the store or of the key.
    NoPolicy,
    /// A statement of the key's policy allows it.
    AllowedByKeyPolicy(StatementName),
    /// A statement of the store's policy allows it; where it is about a key, the key's policy leaves
    /// it to that of the store.
    AllowedByStorePolicy(StatementName),
    /// A grant allows it.
    AllowedByGrant(GrantId),
    /// A statement of the key's policy denies it.
    DeniedByKeyPolicy(StatementName),
    /// A statement of the store's policy denies it.
    DeniedByStorePolicy(StatementName),
    /// Nothing allows it.
    NothingAllows {
        /// The statement of the key's policy that came closest.
        key_policy: Option<Closest>,
        /// The statement of the store's policy that came closest.
        store_policy: Option<Closest>,
        /// The grant that came closest, of those that the principal has.
        grant: Option<(GrantId, GrantMismatch)>,
    },
}

/// Why a grant does not allow something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantMismatch {
    /// It is about other operations.
    Operation,
    /// Its constraint does not hold for the context.
    Constraint,
    /// Its time is over.
    Expired,
    /// The grant that is to be given by it would allow more than it does.
    Wider,
}

impl<'a> Access<'a> {
    /// Somebody who wants to do something.
    pub fn of(principal: impl Into<Principal>, operation: Operation) -> Self {
        Self {
            session: Session::new(principal.into()),
            operation,
            key: None,
            context: None,
        }
    }

    /// With this key.
    pub fn with_key(mut self, key: impl Into<KeySelector<'a>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Under this context.
    pub fn under(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    /// Of whom the application says this.
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.session.attributes.insert(key.into(), value.into());
        self
    }
}

impl KmsHandle {
    /// Tells which statement or grant decides whether somebody may do something; or, if none does,
    /// which came closest, and what part of it did not match. For administrators: it tells of
    /// policies and grants of others. Conditions on parameters of the request, other than the
    /// context and the key, are taken as not given.
    ///
    /// ```
    /// # use waxseal::kms::{Access, Authorisation, Operation};
    /// # use waxseal::{CreateKey, Kms, MemoryKeyStore, SoftwareKeyProvider};
    /// let kms = Kms::builder(MemoryKeyStore::new())
    ///     .provider(SoftwareKeyProvider::generate()?)
    ///     .authorisation(Authorisation::enforced("ops:alice"))
    ///     .open()?;
    /// let admin = kms.as_principal("ops:alice");
    /// let key = admin.create_key(CreateKey::new())?;
    /// let access = Access::of("svc:billing", Operation::Decrypt).with_key(&key);
    /// println!("{}", admin.explain(&access)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), where it is about a key.
    pub fn explain(&self, access: &Access<'_>) -> Result<Explanation, KmsError> {
        let asked = Asked::new(Operation::ExplainAccess).with(Parameters {
            explained: Some((access.session.principal.as_str(), access.operation)),
            ..Parameters::default()
        });
        let explained = Asked::new(access.operation).about(access.context);
        let attempt = Attempt::new(&self.kms, &access.session, &explained, access.key);
        let gate = Gate::new(&self.kms, &self.session);
        let verdict = match access.key {
            Some(key) => gate.perform_asked(asked, key, |key| judge(&attempt, Some(key.entry()))),
            None => gate.perform_on_store(asked, |_| judge(&attempt, None)),
        };
        verdict.map(Explanation::from)
    }
}

impl Explanation {
    /// Whether it is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(
            self,
            Self::NoPolicy
                | Self::AllowedByKeyPolicy(_)
                | Self::AllowedByStorePolicy(_)
                | Self::AllowedByGrant(_)
        )
    }
}

impl From<Verdict> for Explanation {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed(Basis::Open) | Verdict::Denied(Basis::Open) => Self::NoPolicy,
            Verdict::Allowed(Basis::KeyPolicy(statement)) => Self::AllowedByKeyPolicy(statement),
            Verdict::Allowed(Basis::StorePolicy(statement)) => {
                Self::AllowedByStorePolicy(statement)
            }
            Verdict::Allowed(Basis::Grant(grant)) | Verdict::Denied(Basis::Grant(grant)) => {
                Self::AllowedByGrant(grant)
            }
            Verdict::Denied(Basis::KeyPolicy(statement)) => Self::DeniedByKeyPolicy(statement),
            Verdict::Denied(Basis::StorePolicy(statement)) => Self::DeniedByStorePolicy(statement),
            Verdict::NoMatch(NoMatch {
                key_policy,
                store_policy,
                grant,
            }) => Self::NothingAllows {
                key_policy,
                store_policy,
                grant: grant.map(|(grant, short)| (grant, short.into())),
            },
        }
    }
}

impl From<Short> for GrantMismatch {
    fn from(short: Short) -> Self {
        match short {
            Short::Operation => Self::Operation,
            Short::Constraint => Self::Constraint,
            Short::Expired => Self::Expired,
            Short::Wider => Self::Wider,
        }
    }
}

impl fmt::Display for GrantMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operation => "it is about other operations",
            Self::Constraint => "its constraint does not hold for the context",
            Self::Expired => "its time is over",
            Self::Wider => "the grant to be given by it would allow more than it does",
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => f.write_str("allowed: there is no policy"),
            Self::AllowedByKeyPolicy(statement) => {
                write!(f, "allowed by {statement} of the key's policy")
            }
            Self::AllowedByStorePolicy(statement) => {
                write!(f, "allowed by {statement} of the store's policy")
            }
            Self::AllowedByGrant(grant) => write!(f, "allowed by the grant {grant}"),
            Self::DeniedByKeyPolicy(statement) => {
                write!(f, "denied by {statement} of the key's policy")
            }
            Self::DeniedByStorePolicy(statement) => {
                write!(f, "denied by {statement} of the store's policy")
            }
            Self::NothingAllows {
                key_policy,
                store_policy,
                grant,
            } => {
                f.write_str("nothing allows it")?;
                let policies = [("key", key_policy), ("store", store_policy)];
                for (whose, closest) in policies {
                    if let Some(Closest {
                        statement,
                        mismatch,
                        ..
                    }) = closest
                    {
                        write!(
                            f,
                            "; {statement} of the {whose}'s policy is closest: {mismatch}"
                        )?;
                    }
                }
                match grant {
                    Some((grant, mismatch)) => {
                        write!(f, "; the grant {grant} is closest: {mismatch}")
                    }
                    None => Ok(()),
                }
            }
        }
    }
}
