use super::record::GrantRecord;
use super::{Grant, GrantId, KeyGrants};
use crate::format::KeyId;
use crate::kms::acting::Acting;
use crate::kms::error::KmsError;
use crate::kms::name::Principal;
use crate::kms::scan::Scan;
use crate::store::{Collection, RecordId};

/// Says which grants to list.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ListGrants {
    grantee: Option<Principal>,
    after: Option<(KeyId, GrantId)>,
    limit: Option<usize>,
}

/// A page of grants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantPage {
    /// The grants, by the ids of their keys and their own.
    pub grants: Vec<Grant>,
    /// Where the next page begins, if there may be one: give it to [`ListGrants::after`].
    pub next: Option<(KeyId, GrantId)>,
}

const DEFAULT_LIMIT: usize = 100;

impl ListGrants {
    /// All grants, 100 to a page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only grants to this principal.
    pub fn with_grantee(mut self, grantee: impl Into<Principal>) -> Self {
        self.grantee = Some(grantee.into());
        self
    }

    /// Only grants after this one: the page that [`GrantPage::next`] told of.
    pub fn after(mut self, (key, grant): (KeyId, GrantId)) -> Self {
        self.after = Some((key, grant));
        self
    }

    /// At most so many grants, at least one.
    pub fn with_limit(mut self, grants: usize) -> Self {
        self.limit = Some(grants.max(1));
        self
    }

    pub(super) fn page(&self, grants: &KeyGrants) -> GrantPage {
        let mut page = Page::new(self);
        for grant in grants.iter() {
            if self
                .after
                .is_some_and(|after| (grant.key, grant.grant) <= after)
            {
                continue;
            }
            if !page.take_in(grant) {
                break;
            }
        }
        page.finish()
    }

    fn wants(&self, grant: &GrantRecord) -> bool {
        let mut grantee = self.grantee.iter();
        grantee.all(|grantee| *grantee == grant.grantee)
    }
}

struct Page<'a> {
    request: &'a ListGrants,
    grants: Vec<Grant>,
    is_last: bool,
}

impl<'a> Page<'a> {
    fn new(request: &'a ListGrants) -> Self {
        Self {
            request,
            grants: Vec::new(),
            is_last: true,
        }
    }

    /// False when it is full.
    fn take_in(&mut self, grant: &GrantRecord) -> bool {
        if !self.request.wants(grant) {
            return true;
        }
        if self.grants.len() == self.request.limit.unwrap_or(DEFAULT_LIMIT) {
            self.is_last = false;
            return false;
        }
        self.grants.push(grant.metadata());
        true
    }

    fn finish(self) -> GrantPage {
        let last = self.grants.last().map(|grant| (grant.key, grant.id));
        GrantPage {
            next: last.filter(|_| !self.is_last),
            grants: self.grants,
        }
    }
}

impl Acting<'_> {
    pub(super) fn list_retirable_grants(
        &self,
        principal: &Principal,
        request: &ListGrants,
    ) -> Result<GrantPage, KmsError> {
        let after = match request.after {
            Some((key, grant)) => Some(GrantRecord::address(key, grant)?.id),
            None => None,
        };
        let mut page = Page::new(request);
        for stored in Scan::after(self.store.as_ref(), Collection::GRANTS, after) {
            let (address, stored) = stored?;
            let grant: GrantRecord = self.decode(&address, &stored)?;
            if grant.retiring_principal.as_ref() == Some(principal) && !page.take_in(&grant) {
                break;
            }
        }
        Ok(page.finish())
    }
}

/// Where the grants of a key begin: its id is shorter than theirs and so comes before them.
pub(super) fn before_first(key: KeyId) -> RecordId {
    (*key.as_bytes()).into()
}
