//! Whether somebody may do what is asked.
//!
//! - Without any policy, of the store or of the key, everybody may do everything.
//! - A statement that denies wins, in the policy of the store or of the key.
//! - The policy of a key allows; that of the store allows what is not about one key, and with a key
//!   what the key's own policy leaves to it: as `Principal` that names [`STORE_POLICY`]. A key
//!   without a policy leaves everything to it.
//! - A grant allows what it allows, unless a statement denies it.
//! - Aliases belong to the store: its policy must allow what is done with one, beside what must
//!   allow it with the key.

use super::attempt::Attempt;
use super::entry::KeyEntry;
use super::error::KmsError;
use super::grant::{GrantId, GrantRecord, KeyGrants, Short};
use super::name::Selected;
use super::operation::Operation;
use super::policy::{Closest, Decision, Policy, Request, Resource, StatementName};
use super::record::KeyRecord;
use super::values::Values;
use crate::clock::Timestamp;

/// The principal that stands, in the policy of a key, for all whom the policy of the store allows
/// something: what it is allowed is left to the policy of the store.
pub const STORE_POLICY: &str = "waxseal:store-policy";

/// What decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed(Basis),
    Denied(Basis),
    NoMatch(NoMatch),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Basis {
    /// There is no policy.
    Open,
    KeyPolicy(StatementName),
    StorePolicy(StatementName),
    Grant(GrantId),
}

/// What came closest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct NoMatch {
    pub(super) key_policy: Option<Closest>,
    pub(super) store_policy: Option<Closest>,
    pub(super) grant: Option<(GrantId, Short)>,
}

/// Refuses who may not do it, with the key if it is about one.
pub(super) fn authorise(attempt: &Attempt<'_>, entry: Option<&KeyEntry>) -> Result<(), KmsError> {
    let verdict = judge(attempt, entry)?;
    let is_allowed = matches!(verdict, Verdict::Allowed(_));
    attempt.decide(verdict);
    if is_allowed {
        Ok(())
    } else {
        Err(attempt.denied())
    }
}

/// Decides, with the key as it is known, or newer if a grant token tells of a grant that is not
/// known.
pub(super) fn judge(attempt: &Attempt<'_>, entry: Option<&KeyEntry>) -> Result<Verdict, KmsError> {
    let kms = attempt.kms;
    let store = kms.store_policy()?;
    let own = entry.and_then(|entry| entry.record.policy());
    if store.is_none() && own.is_none() {
        return Ok(Verdict::Allowed(Basis::Open));
    }
    let Some(entry) = entry else {
        let question = Question::new(attempt, None);
        return Ok(question.on_store(store.as_deref()));
    };
    let verdict = judge_key(attempt, store.as_deref(), entry)?;
    if !matches!(verdict, Verdict::NoMatch(_)) || !attempt.knows_of_newer_grants(entry)? {
        return Ok(verdict);
    }
    let newer = kms.read_key(entry.id())?;
    judge_key(attempt, store.as_deref(), &newer)
}

/// What somebody is told who asks for a key that is not there: nothing, unless the store's policy
/// lets him look.
pub(super) fn hide(attempt: &Attempt<'_>, error: KmsError) -> KmsError {
    let is_telling = matches!(error, KmsError::NoKey { .. } | KmsError::NoAlias { .. });
    if !is_telling {
        return error;
    }
    match may_look(attempt) {
        Ok(true) => error,
        Ok(false) => {
            attempt.decide(Verdict::NoMatch(NoMatch::default()));
            attempt.denied()
        }
        Err(failed) => failed,
    }
}

/// Whether the policy of the store lets somebody look whether there is a key or an alias.
pub(super) fn may_look(attempt: &Attempt<'_>) -> Result<bool, KmsError> {
    let Some(store) = attempt.kms.store_policy()? else {
        return Ok(true);
    };
    let Some(selector) = attempt.selector else {
        return Ok(true);
    };
    let (list, resource) = match selector.selected() {
        Selected::Id(id) => (Operation::ListKeys, Resource::Key(id)),
        Selected::Alias(name) => (Operation::ListAliases, Resource::Alias(name)),
        Selected::Invalid => return Ok(true),
    };
    let question = Question::new(attempt, None);
    let allows = |operation, resource| {
        let principal = attempt.principal();
        let request = Request::new(principal, operation, resource, &question.values);
        store.evaluate(&request).is_allowed()
    };
    Ok(allows(list, Resource::Store) || allows(Operation::DescribeKey, resource))
}

fn judge_key(
    attempt: &Attempt<'_>,
    store: Option<&Policy>,
    entry: &KeyEntry,
) -> Result<Verdict, KmsError> {
    let question = Question::new(attempt, Some(&entry.record));
    let mut no_match = match question.on_key(store, entry.record.policy()) {
        Verdict::NoMatch(no_match) => no_match,
        decided => return Ok(decided),
    };
    let grants = attempt.kms.grants(entry)?;
    if let Some(grant) = question.granted(&grants) {
        return Ok(Verdict::Allowed(Basis::Grant(grant)));
    }
    no_match.grant = question.closest_grant(&grants);
    Ok(Verdict::NoMatch(no_match))
}

/// What is asked of policies and grants.
pub(super) struct Question<'a> {
    attempt: &'a Attempt<'a>,
    record: Option<&'a KeyRecord>,
    now: Timestamp,
    values: Values<'a>,
}

impl<'a> Question<'a> {
    pub(super) fn new(attempt: &'a Attempt<'a>, record: Option<&'a KeyRecord>) -> Self {
        let now = attempt.kms.date();
        Self {
            attempt,
            record,
            now,
            values: Values::new(attempt, record, now),
        }
    }

    fn request<'q>(&'q self, resource: Resource<'q>) -> Request<'q> {
        let principal = self.attempt.principal();
        let operation = self.attempt.asked.operation;
        Request::new(principal, operation, resource, &self.values)
    }

    pub(super) fn on_store(&self, store: Option<&Policy>) -> Verdict {
        let Some(store) = store else {
            return Verdict::Allowed(Basis::Open);
        };
        if self.attempt.principal() == STORE_POLICY {
            return Verdict::NoMatch(NoMatch::default());
        }
        let request = self.request(Resource::Store);
        by_store(store.evaluate(&request))
    }

    pub(super) fn on_key(&self, store: Option<&Policy>, own: Option<&Policy>) -> Verdict {
        let Some(record) = self.record else {
            return self.on_store(store);
        };
        if store.is_none() && own.is_none() {
            return Verdict::Allowed(Basis::Open);
        }
        if self.attempt.principal() == STORE_POLICY {
            return Verdict::NoMatch(NoMatch::default());
        }
        let resource = Resource::Key(record.key);
        let request = self.request(resource);
        let of_store = store.map(|store| by_store(store.evaluate(&request)));
        if let Some(denied @ Verdict::Denied(_)) = of_store {
            return denied;
        }
        if let (Some(store), Some(alias)) = (store, self.attempt.asked.parameters.alias) {
            let request = self.request(Resource::Alias(alias.as_str()));
            match by_store(store.evaluate(&request)) {
                Verdict::Allowed(_) => {}
                refused => return refused,
            }
        }
        let Some(own) = own else {
            return of_store.unwrap_or(Verdict::Allowed(Basis::Open));
        };
        let mut no_match = match own.evaluate(&request) {
            Decision::Allow { statement } => return Verdict::Allowed(Basis::KeyPolicy(statement)),
            Decision::Deny { statement } => return Verdict::Denied(Basis::KeyPolicy(statement)),
            Decision::NoMatch { closest } => NoMatch {
                key_policy: closest,
                ..NoMatch::default()
            },
        };
        match of_store {
            Some(allowed @ Verdict::Allowed(_)) => {
                if own.evaluate(&request.under_name(STORE_POLICY)).is_allowed() {
                    return allowed;
                }
            }
            Some(Verdict::NoMatch(of_store)) => no_match.store_policy = of_store.store_policy,
            Some(Verdict::Denied(_)) | None => {}
        }
        Verdict::NoMatch(no_match)
    }

    /// The grant that allows it.
    fn granted(&self, grants: &KeyGrants) -> Option<GrantId> {
        let asked = self.attempt.asked;
        let principal = &self.attempt.session.principal;
        if asked.operation == Operation::RetireGrant {
            let grant = grants.get(asked.parameters.grant_id?)?;
            let is_grantees = grant.grantee == *principal
                && grant.check(Operation::RetireGrant, None, self.now).is_ok();
            let may = is_grantees || grant.retiring_principal.as_ref() == Some(principal);
            return may.then_some(grant.grant);
        }
        let fits = |grant: &GrantRecord| match asked.parameters.grant {
            Some(given) => grant.covers(given),
            None => true,
        };
        let found = grants.find(principal, asked.operation, asked.context, self.now, fits);
        found.map(|grant| grant.grant)
    }

    fn closest_grant(&self, grants: &KeyGrants) -> Option<(GrantId, Short)> {
        let asked = self.attempt.asked;
        let principal = &self.attempt.session.principal;
        let closest = grants.closest(principal, asked.operation, asked.context, self.now);
        closest.map(|(grant, short)| (grant.grant, short))
    }
}

fn by_store(decision: Decision) -> Verdict {
    match decision {
        Decision::Allow { statement } => Verdict::Allowed(Basis::StorePolicy(statement)),
        Decision::Deny { statement } => Verdict::Denied(Basis::StorePolicy(statement)),
        Decision::NoMatch { closest } => Verdict::NoMatch(NoMatch {
            store_policy: closest,
            ..NoMatch::default()
        }),
    }
}

impl Attempt<'_> {
    /// Whether a grant of the key is shown that is not known here.
    fn knows_of_newer_grants(&self, entry: &KeyEntry) -> Result<bool, KmsError> {
        for token in &self.session.grant_tokens {
            if token.key() != entry.id() {
                continue;
            }
            if !token.is_of(&self.kms.store_key) {
                return Err(KmsError::InvalidGrantToken);
            }
            if self.kms.grants(entry)?.get(token.grant()).is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
