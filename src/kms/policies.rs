//! Reading and changing the policies of keys and of the store.

use super::KmsHandle;
use super::acting::Acting;
use super::asked::{Asked, Parameters};
use super::attempt::Attempt;
use super::authority::{Question, Verdict};
use super::error::KmsError;
use super::name::KeySelector;
use super::operation::Operation;
use super::policy::{Policy, Statement};
use super::record::KeyRecord;
use super::stored_policy::StoredPolicy;

/// Whether a policy is put that locks its author out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lockout {
    Refuse,
    Bypass,
}

/// What AWS KMS calls the one policy of a key.
const POLICY_NAME: &str = "default";

impl KmsHandle {
    /// The policy of a key; none if it has none, and the policy of the store decides.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key).
    pub fn get_key_policy<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<Option<Policy>, KmsError> {
        self.gate()
            .perform(Operation::GetKeyPolicy, key.into(), None, |key| {
                Ok(key.record().policy().cloned())
            })
    }

    /// Gives a key a policy, in place of the one that it has. It counts from the next call on in
    /// this process, and within the [refresh interval](super::KmsBuilder::refresh_interval) in
    /// others.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::PolicyLockout`] for a policy under
    /// which this principal could not put another.
    pub fn put_key_policy<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        policy: &Policy,
    ) -> Result<(), KmsError> {
        self.put_policy(key.into(), policy, Lockout::Refuse)
    }

    /// As [`put_key_policy`](Self::put_key_policy), also if this principal, or nobody at all, can
    /// put another policy afterwards.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key).
    pub fn put_key_policy_even_if_locked_out<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        policy: &Policy,
    ) -> Result<(), KmsError> {
        self.put_policy(key.into(), policy, Lockout::Bypass)
    }

    /// The names of the policies of a key: `default`, if it has one.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key).
    pub fn list_key_policies<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<Vec<&'static str>, KmsError> {
        self.gate()
            .perform(Operation::ListKeyPolicies, key.into(), None, |key| {
                let policy = key.record().policy();
                Ok(policy.iter().map(|_| POLICY_NAME).collect())
            })
    }

    /// The policy of the store; none if it has none, and everybody may do everything with it.
    ///
    /// # Errors
    ///
    /// The failures of the store.
    pub fn get_store_policy(&self) -> Result<Option<Policy>, KmsError> {
        self.gate()
            .perform_on_store(Operation::GetStorePolicy, |kms| {
                let policy = kms.store_policy()?;
                Ok(policy.map(|policy| Policy::clone(&policy)))
            })
    }

    /// Gives the store a policy, in place of the one that it has. From then on, in every process
    /// that opens the store, nobody may do what no policy and no grant allows. There is no way back
    /// to a store without a policy; one may allow everything to everybody.
    ///
    /// # Errors
    ///
    /// [`KmsError::PolicyLockout`] for a policy under which this principal could not put another,
    /// and the failures of the store.
    pub fn put_store_policy(&self, policy: &Policy) -> Result<(), KmsError> {
        self.put_policy_of_store(policy, Lockout::Refuse)
    }

    /// As [`put_store_policy`](Self::put_store_policy), also if this principal, or nobody at all, can
    /// put another policy afterwards.
    ///
    /// # Errors
    ///
    /// The failures of the store.
    pub fn put_store_policy_even_if_locked_out(&self, policy: &Policy) -> Result<(), KmsError> {
        self.put_policy_of_store(policy, Lockout::Bypass)
    }

    fn put_policy(
        &self,
        key: KeySelector<'_>,
        policy: &Policy,
        lockout: Lockout,
    ) -> Result<(), KmsError> {
        let policy = StoredPolicy::new(policy.clone());
        let asked = Asked::new(Operation::PutKeyPolicy).with(lockout.parameters());
        self.gate().perform_asked(asked, key, |key| {
            key.change(|record| {
                record.policy = Some(policy.clone());
                key.kms().check_lockout(record, lockout)
            })
            .map(drop)
        })
    }

    fn put_policy_of_store(&self, policy: &Policy, lockout: Lockout) -> Result<(), KmsError> {
        let asked = Asked::new(Operation::PutStorePolicy).with(lockout.parameters());
        self.gate().perform_on_store(asked, |kms| {
            kms.check_store_lockout(policy, lockout)?;
            kms.put_store_policy(policy, |_| true)
        })
    }

    /// Lets the principal alone do everything with a store that has no policy.
    pub(super) fn enforce(&self) -> Result<(), KmsError> {
        if self.kms.store_policy()?.is_some() {
            return Ok(());
        }
        let policy = Policy::all_to(self.principal().as_str()).map_err(KmsError::from)?;
        self.gate()
            .perform_on_store(Operation::PutStorePolicy, |kms| {
                kms.put_store_policy(&policy, |before| before.is_none())
            })
    }
}

impl Lockout {
    pub(super) fn parameters<'a>(self) -> Parameters<'a> {
        Parameters {
            bypasses_lockout_check: Some(self == Self::Bypass),
            ..Parameters::default()
        }
    }
}

impl Acting<'_> {
    /// Refuses a record of a key whose policy who acts could not change again.
    pub(super) fn check_lockout(
        &self,
        record: &KeyRecord,
        lockout: Lockout,
    ) -> Result<(), KmsError> {
        let asked = Asked::new(Operation::PutKeyPolicy).with(Lockout::Refuse.parameters());
        let store = self.store_policy()?;
        self.check_can(&asked, lockout, |attempt| {
            Question::new(attempt, Some(record)).on_key(store.as_deref(), record.policy())
        })
    }

    fn check_store_lockout(&self, policy: &Policy, lockout: Lockout) -> Result<(), KmsError> {
        let asked = Asked::new(Operation::PutStorePolicy).with(Lockout::Refuse.parameters());
        self.check_can(&asked, lockout, |attempt| {
            Question::new(attempt, None).on_store(Some(policy))
        })
    }

    fn check_can(
        &self,
        asked: &Asked<'_>,
        lockout: Lockout,
        judge: impl FnOnce(&Attempt<'_>) -> Verdict,
    ) -> Result<(), KmsError> {
        let Some(acting) = self.attempt().filter(|_| lockout == Lockout::Refuse) else {
            return Ok(());
        };
        let attempt = Attempt::new(self.kms(), acting.session, asked, acting.selector);
        match judge(&attempt) {
            Verdict::Allowed(_) => Ok(()),
            Verdict::Denied(_) | Verdict::NoMatch(_) => Err(KmsError::PolicyLockout {
                operation: asked.operation,
            }),
        }
    }
}

/// The policy of a key that is created without one in a store that has one: its creator may do
/// everything, and so may whom the policy of the store allows it.
pub(super) fn policy_of_new_key(creator: &str) -> Result<Policy, KmsError> {
    let policy = Policy::builder()
        .statement(
            Statement::allow()
                .sid("Creator")
                .principal(creator)
                .all_actions(),
        )
        .statement(
            Statement::allow()
                .sid("StorePolicy")
                .principal(super::authority::STORE_POLICY)
                .all_actions(),
        )
        .build()?;
    Ok(policy)
}
