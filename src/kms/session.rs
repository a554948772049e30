//! Who acts, and what the application says about it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::KmsHandle;
use super::grant::GrantToken;
use super::name::Principal;

/// What a [`KmsHandle`] acts with.
#[derive(Clone)]
pub(crate) struct Session {
    pub(super) principal: Principal,
    /// For the conditions of policies.
    pub(super) attributes: BTreeMap<String, String>,
    /// For the audit trail alone.
    pub(super) source: BTreeMap<String, String>,
    pub(super) request_id: Option<Arc<str>>,
    pub(super) grant_tokens: Vec<GrantToken>,
    pub(super) is_dry_run: bool,
}

/// In whose name the work is done that time brings.
pub(super) const TICK: &str = "waxseal:tick";

impl Session {
    pub(super) fn new(principal: Principal) -> Self {
        Self {
            principal,
            attributes: BTreeMap::new(),
            source: BTreeMap::new(),
            request_id: None,
            grant_tokens: Vec::new(),
            is_dry_run: false,
        }
    }

    /// The session of due work, which somebody's tick found.
    pub(super) fn of_due_work(&self) -> Self {
        let mut session = Self::new(Principal::new(TICK));
        session.source.clone_from(&self.source);
        let ticked_by = self.principal.as_str().to_owned();
        session.source.insert("tickedBy".to_owned(), ticked_by);
        session.request_id.clone_from(&self.request_id);
        session.is_dry_run = self.is_dry_run;
        session
    }
}

impl KmsHandle {
    /// Says something about who acts, for the conditions of policies: as `aws:PrincipalTag/KEY`.
    /// The application vouches for it, as for the principal. Recorded in the audit trail.
    ///
    /// ```
    /// # use waxseal::{Kms, MemoryKeyStore, SoftwareKeyProvider};
    /// # let kms = Kms::open(MemoryKeyStore::new(), SoftwareKeyProvider::generate()?)?;
    /// let billing = kms.as_principal("svc:billing").with_attribute("tenant", "acme");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let session = Arc::make_mut(&mut self.session);
        session.attributes.insert(key.into(), value.into());
        self
    }

    /// Says where a request comes from, such as an address or the name of a host. It is recorded in
    /// the audit trail and has no other effect. Not secret.
    #[must_use]
    pub fn with_source_attribute(
        mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        let session = Arc::make_mut(&mut self.session);
        session.source.insert(key.into(), value.into());
        self
    }

    /// Gives the records of this handle's operations an id that the application knows the request
    /// by, such as a trace id; each operation otherwise gets a random one.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.session).request_id = Some(id.into());
        self
    }

    /// The same handle, whose operations do nothing: they end with
    /// [`KmsError::DryRun`](super::KmsError::DryRun) where they would be done, and otherwise with
    /// the error that they would end with, as far as it depends on who asks and on the state of the
    /// key.
    ///
    /// ```
    /// # use waxseal::{CreateKey, Kms, KmsError, MemoryKeyStore, SoftwareKeyProvider, WaitingPeriod};
    /// # let kms = Kms::open(MemoryKeyStore::new(), SoftwareKeyProvider::generate()?)?;
    /// let admin = kms.as_principal("ops:alice");
    /// let key = admin.create_key(CreateKey::new())?;
    /// let would = admin.dry_run().schedule_deletion(&key, WaitingPeriod::default());
    /// assert!(matches!(would, Err(KmsError::DryRun { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn dry_run(&self) -> Self {
        let mut handle = self.clone();
        Arc::make_mut(&mut handle.session).is_dry_run = true;
        handle
    }
}

/// Shows no attributes.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("principal", &self.principal)
            .field("is_dry_run", &self.is_dry_run)
            .finish_non_exhaustive()
    }
}
