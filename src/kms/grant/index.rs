//! The grants of a key in memory, found by who acts and under which context.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::{GrantRecord, Short};
use super::request::{CreateGrant, has_context};
use super::{GrantConstraint, GrantId};
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::crypto::{HASH_LEN, sha256};
use crate::format::label;
use crate::kms::name::Principal;
use crate::kms::operation::Operation;
use crate::kms::record::StoredBytes;

/// What the record of a key says of its grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::kms) struct GrantsRecord {
    /// Over the ids of all of them: which they are.
    digest: StoredBytes,
    /// When the first of them ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::kms) expires: Option<Timestamp>,
}

/// All grants of a key.
#[derive(Debug, Default)]
pub(in crate::kms) struct KeyGrants {
    by_id: BTreeMap<GrantId, Arc<GrantRecord>>,
    by_grantee: HashMap<Principal, Held>,
}

/// The grants of one principal. A thousand of them are asked as fast as one.
#[derive(Debug, Default)]
struct Held {
    all: Vec<Arc<GrantRecord>>,
    /// Those that no context narrows.
    free: Vec<Arc<GrantRecord>>,
    /// Those that ask for one context, by its digest.
    equals: HashMap<[u8; HASH_LEN], Vec<Arc<GrantRecord>>>,
    /// Those that ask for some pairs, by the first of them.
    subset: HashMap<String, HashMap<String, Vec<Arc<GrantRecord>>>>,
}

impl KeyGrants {
    pub(in crate::kms) fn new(grants: impl IntoIterator<Item = Arc<GrantRecord>>) -> Self {
        let mut index = Self::default();
        for grant in grants {
            let held = index.by_grantee.entry(grant.grantee.clone()).or_default();
            held.take_in(&grant);
            index.by_id.insert(grant.grant, grant);
        }
        index
    }

    /// With one more.
    pub(super) fn with(&self, grant: GrantRecord) -> Self {
        Self::new(self.iter().cloned().chain([Arc::new(grant)]))
    }

    /// Without those.
    pub(super) fn without(&self, is_gone: impl Fn(&GrantRecord) -> bool) -> Self {
        Self::new(self.iter().filter(|grant| !is_gone(grant)).cloned())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<GrantRecord>> {
        self.by_id.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(in crate::kms) fn get(&self, grant: GrantId) -> Option<&Arc<GrantRecord>> {
        self.by_id.get(&grant)
    }

    /// What the record of the key is to say of them.
    pub(in crate::kms) fn summary(&self) -> Option<GrantsRecord> {
        (!self.by_id.is_empty()).then(|| GrantsRecord {
            digest: StoredBytes::new(&self.digest()),
            expires: self.iter().filter_map(|grant| grant.expires).min(),
        })
    }

    fn digest(&self) -> [u8; HASH_LEN] {
        let label: &[u8] = label!("kms-grants");
        let ids = self.by_id.keys().map(|id| id.as_bytes().as_slice());
        let parts: Vec<_> = [label].into_iter().chain(ids).collect();
        sha256(&parts)
    }

    /// The one that was asked for by the same request before.
    pub(super) fn same(&self, request: &CreateGrant) -> Option<GrantId> {
        request.name.as_ref()?;
        let held = self.by_grantee.get(&request.grantee)?;
        let same = held.all.iter().find(|grant| grant.is_same(request))?;
        Some(same.grant)
    }

    /// The first that allows a principal something; `fits` says whether it does so for what is to
    /// be done.
    pub(in crate::kms) fn find(
        &self,
        principal: &Principal,
        operation: Operation,
        context: Option<&EncryptionContext>,
        now: Timestamp,
        fits: impl Fn(&GrantRecord) -> bool,
    ) -> Option<&Arc<GrantRecord>> {
        let held = self.by_grantee.get(principal)?;
        let allows =
            |grant: &&Arc<GrantRecord>| grant.check(operation, context, now).is_ok() && fits(grant);
        if !has_context(operation) {
            return held.all.iter().find(allows);
        }
        let empty;
        let context = match context {
            Some(context) => context,
            None => {
                empty = EncryptionContext::empty();
                &empty
            }
        };
        let equals = held.equals.get(context.digest());
        let by_pair = |(key, value)| held.subset.get(key)?.get(value);
        held.free
            .iter()
            .chain(equals.into_iter().flatten())
            .chain(context.iter().filter_map(by_pair).flatten())
            .find(allows)
    }

    /// The one of a principal that comes closest to allowing something, and what it lacks.
    pub(in crate::kms) fn closest(
        &self,
        principal: &Principal,
        operation: Operation,
        context: Option<&EncryptionContext>,
        now: Timestamp,
    ) -> Option<(&Arc<GrantRecord>, Short)> {
        let held = self.by_grantee.get(principal)?;
        let shorts = held.all.iter().map(|grant| {
            let short = grant.check(operation, context, now).err();
            (grant, short.unwrap_or(Short::Wider))
        });
        shorts.max_by_key(|(_, short)| *short)
    }
}

impl GrantsRecord {
    /// Whether it speaks of these.
    pub(in crate::kms) fn is_of(&self, grants: &KeyGrants) -> bool {
        self.digest.as_bytes() == grants.digest()
    }
}

impl Held {
    fn take_in(&mut self, grant: &Arc<GrantRecord>) {
        self.all.push(Arc::clone(grant));
        let place = match &grant.constraint {
            None => &mut self.free,
            Some(GrantConstraint::Equals(context)) => {
                self.equals.entry(*context.digest()).or_default()
            }
            Some(GrantConstraint::Subset(pairs)) => match pairs.iter().next() {
                None => &mut self.free,
                Some((key, value)) => self
                    .subset
                    .entry(key.to_owned())
                    .or_default()
                    .entry(value.to_owned())
                    .or_default(),
            },
        };
        place.push(Arc::clone(grant));
    }
}
