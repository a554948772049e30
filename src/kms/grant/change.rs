//! Reading and changing the grants of a key.

use std::sync::Arc;

use super::list::before_first;
use super::record::GrantRecord;
use super::request::CreateGrant;
use super::token::GrantToken;
use super::{GivenGrant, GrantId, KeyGrants};
use crate::clock::Timestamp;
use crate::format::KeyId;
use crate::kms::KmsHandle;
use crate::kms::acting::Acting;
use crate::kms::commit::{MAX_ATTEMPTS, Unit, conflict};
use crate::kms::entry::KeyEntry;
use crate::kms::error::KmsError;
use crate::kms::inner::Inner;
use crate::kms::name::Principal;
use crate::kms::scan::Scan;
use crate::store::Collection;

impl Acting<'_> {
    /// Gives a grant, or finds the one that the same request gave. Nothing when others were faster.
    pub(super) fn create_grant(
        &self,
        entry: &KeyEntry,
        request: &CreateGrant,
        issued_by: &Principal,
    ) -> Result<Option<GivenGrant>, KmsError> {
        let key = entry.id();
        let given = |id| GivenGrant {
            id,
            token: GrantToken::new(key, id, &self.store_key),
        };
        let now = self.date();
        if let Some(expires) = request.expires.filter(|expires| *expires <= now) {
            return Err(KmsError::ExpiresInPast { expires, now });
        }
        let grants = self.grants(entry)?;
        if let Some(same) = grants.same(request) {
            return Ok(Some(given(same)));
        }
        if grants.len() >= KmsHandle::MAX_GRANTS {
            return Err(KmsError::Limit {
                key,
                what: "grants",
                max: KmsHandle::MAX_GRANTS,
            });
        }
        let mut id = [0; 16];
        self.random.fill(&mut id)?;
        let id = GrantId::from_bytes(id);
        let grant = GrantRecord::new(id, key, request, issued_by, now);
        let unit = Unit::new(self).create_grant(&grant)?;
        let unit = unit.update_grants(entry, grants.with(grant));
        Ok(unit.commit()?.map(|_| given(id)))
    }

    /// Ends a grant. Nothing when others were faster.
    pub(super) fn end_grant(
        &self,
        entry: &KeyEntry,
        grant: GrantId,
    ) -> Result<Option<()>, KmsError> {
        let key = entry.id();
        let grants = self.grants(entry)?;
        if grants.get(grant).is_none() {
            return Err(KmsError::NoGrant { grant, key });
        }
        let left = grants.without(|other| other.grant == grant);
        let Some(unit) = self.delete_grant(Unit::new(self), key, grant)? else {
            return Ok(None);
        };
        Ok(unit.update_grants(entry, left).commit()?.map(drop))
    }

    /// Ends the grants whose time is over, some of them at a time. Nothing when others were faster.
    pub(in crate::kms) fn end_expired_grants(
        &self,
        entry: &KeyEntry,
        now: Timestamp,
    ) -> Result<Option<Vec<GrantId>>, KmsError> {
        let grants = self.grants(entry)?;
        let over = grants.iter().filter(|grant| grant.is_over(now));
        let over: Vec<_> = over.map(|grant| grant.grant).take(AT_ONCE).collect();
        let mut unit = Unit::new(self);
        for grant in &over {
            match self.delete_grant(unit, entry.id(), *grant)? {
                Some(with) => unit = with,
                None => return Ok(None),
            }
        }
        let left = grants.without(|grant| over.binary_search(&grant.grant).is_ok());
        let committed = unit.update_grants(entry, left).commit()?;
        Ok(committed.map(|_| over))
    }

    /// Ends all grants of a key that is to be destroyed. Nothing when others were faster.
    pub(in crate::kms) fn delete_grants<'u>(
        &self,
        mut unit: Unit<'u>,
        entry: &KeyEntry,
    ) -> Result<Option<Unit<'u>>, KmsError> {
        for grant in self.grants(entry)?.iter() {
            match self.delete_grant(unit, entry.id(), grant.grant)? {
                Some(with) => unit = with,
                None => return Ok(None),
            }
        }
        Ok(Some(unit))
    }

    fn delete_grant<'u>(
        &self,
        unit: Unit<'u>,
        key: KeyId,
        grant: GrantId,
    ) -> Result<Option<Unit<'u>>, KmsError> {
        let address = GrantRecord::address(key, grant)?;
        let Some(stored) = self.store.get(&address)? else {
            return Ok(None);
        };
        Ok(Some(unit.delete_grant(address, stored.revision)))
    }
}

/// Expired grants that are ended in one transaction.
const AT_ONCE: usize = 256;

impl Inner {
    /// The grants of a key, as its record says that they are; those of a newer state of the record
    /// where they have changed since it was read.
    pub(in crate::kms) fn grants(&self, entry: &KeyEntry) -> Result<Arc<KeyGrants>, KmsError> {
        let mut newer: Option<Arc<KeyEntry>> = None;
        for _ in 0..MAX_ATTEMPTS {
            let entry = newer.as_deref().unwrap_or(entry);
            let Some(expected) = &entry.record.grants else {
                return Ok(Arc::default());
            };
            if let Some(grants) = entry.known_grants() {
                return Ok(grants);
            }
            let grants = self.read_grants(entry.id())?;
            if expected.is_of(&grants) {
                return Ok(entry.learn_grants(Arc::new(grants)));
            }
            let read = self.read_key(entry.id())?;
            // Neither before nor after they were read were they the ones that the key has.
            if read.revision == entry.revision {
                return Err(KmsError::Tampered {
                    record: GrantRecord::addresses(entry.id()),
                    store: self.store.name(),
                });
            }
            newer = Some(read);
        }
        Err(conflict(GrantRecord::addresses(entry.id())))
    }

    fn read_grants(&self, key: KeyId) -> Result<KeyGrants, KmsError> {
        let mut grants = Vec::new();
        let after = Some(before_first(key));
        for stored in Scan::after(self.store.as_ref(), Collection::GRANTS, after) {
            let (address, stored) = stored?;
            if !address.id.as_bytes().starts_with(key.as_bytes()) {
                break;
            }
            grants.push(Arc::new(self.decode(&address, &stored)?));
        }
        Ok(KeyGrants::new(grants))
    }
}
