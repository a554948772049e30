//! Names of keys that can be given to other keys.
//!
//! An alias has a record that names its key, and the key's record lists its aliases; both are
//! written in one transaction. So an alias never names a key that is gone, and an old record of an
//! alias that is put back is noticed: its key does not list it.

use serde::Serialize;

use super::KmsHandle;
use super::acting::Acting;
use super::asked::{Asked, Parameters};
use super::commit::{AliasRecord, Unit};
use super::entry::KeyEntry;
use super::error::KmsError;
use super::inner::ReadAlias;
use super::name::{AliasName, KeySelector};
use super::operation::Operation;
use super::scan::Scan;
use crate::format::KeyId;
use crate::store::{Collection, Expected};

/// The most aliases of a key.
const MAX_ALIASES: usize = 50;
const DEFAULT_LIMIT: usize = 100;

/// An alias, and the key that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Alias {
    /// The alias.
    pub name: AliasName,
    /// The key.
    pub key: KeyId,
}

/// Says which aliases to list. For those of one key, see
/// [`KeyMetadata::aliases`](super::KeyMetadata::aliases).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ListAliases {
    after: Option<AliasName>,
    limit: Option<usize>,
}

/// A page of aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AliasPage {
    /// The aliases, by their names.
    pub aliases: Vec<Alias>,
    /// Where the next page begins, if there may be one: give it to [`ListAliases::after`].
    pub next: Option<AliasName>,
}

impl ListAliases {
    /// All aliases, 100 to a page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only aliases after this one: the page that [`AliasPage::next`] told of.
    pub fn after(mut self, alias: AliasName) -> Self {
        self.after = Some(alias);
        self
    }

    /// At most so many aliases, at least one.
    pub fn with_limit(mut self, aliases: usize) -> Self {
        self.limit = Some(aliases.max(1));
        self
    }
}

impl KmsHandle {
    /// Gives a key an alias that no key has: `alias/` and 1 to 249 of `a` to `z`, `A` to `Z`, `0`
    /// to `9`, `/`, `_`, `-` and `:`.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidName`], [`KmsError::AliasExists`], and [`KmsError::Limit`] when the key
    /// has 50 aliases.
    pub fn create_alias<'k>(
        &self,
        alias: &str,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<(), KmsError> {
        let alias = AliasName::new(alias)?;
        self.gate()
            .perform_asked(about(Operation::CreateAlias, &alias), key.into(), |key| {
                key.until_done(|kms, entry| kms.create_alias(&alias, entry))
            })
    }

    /// Gives an alias to another key. At no time is it the alias of none, or of both.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), for the alias too, [`KmsError::InvalidState`] and
    /// [`KmsError::Limit`] for the key that it is given to.
    pub fn update_alias<'k>(
        &self,
        alias: &str,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<(), KmsError> {
        let alias = AliasName::new(alias)?;
        self.gate()
            .perform_asked(about(Operation::UpdateAlias, &alias), key.into(), |key| {
                key.until_done(|kms, entry| kms.update_alias(&alias, entry))
            })
    }

    /// Takes an alias away. Its key is not touched.
    ///
    /// # Errors
    ///
    /// [`KmsError::NoAlias`], [`KmsError::InvalidName`], and the failures of the store.
    pub fn delete_alias(&self, alias: &str) -> Result<(), KmsError> {
        let alias = AliasName::new(alias)?;
        self.gate().perform_asked(
            about(Operation::DeleteAlias, &alias),
            (&alias).into(),
            |key| key.until_done(|kms, entry| kms.delete_alias(&alias, entry)),
        )
    }

    /// Lists aliases, from the store.
    ///
    /// # Errors
    ///
    /// As [`list_keys`](Self::list_keys).
    pub fn list_aliases(&self, request: &ListAliases) -> Result<AliasPage, KmsError> {
        self.gate()
            .perform_on_store(Operation::ListAliases, |kms| kms.list_aliases(request))
    }
}

fn about(operation: Operation, alias: &AliasName) -> Asked<'_> {
    Asked::new(operation).with(Parameters {
        alias: Some(alias),
        ..Parameters::default()
    })
}

impl Acting<'_> {
    fn create_alias(&self, alias: &AliasName, entry: &KeyEntry) -> Result<Option<()>, KmsError> {
        if let Some(existing) = self.read_alias(alias)? {
            return Err(KmsError::AliasExists {
                alias: alias.clone(),
                key: existing.key,
            });
        }
        Ok(self
            .gain(entry, alias, Expected::Absent)?
            .commit()?
            .map(drop))
    }

    fn update_alias(&self, alias: &AliasName, entry: &KeyEntry) -> Result<Option<()>, KmsError> {
        let ReadAlias { key, revision } = self
            .read_alias(alias)?
            .ok_or_else(|| self.no_alias(alias.clone()))?;
        if key == entry.id() {
            // If the key does not know, it was read before it was given the alias.
            return Ok(entry.record.aliases.contains(alias).then_some(()));
        }
        let unit = self.gain(entry, alias, Expected::Revision(revision))?;
        let before = self.read_key(key)?;
        self.authorise(&before)?;
        let mut record = before.record.clone();
        if !record.aliases.remove(alias) {
            return Ok(None);
        }
        Ok(unit.update_key(&before, record).commit()?.map(drop))
    }

    fn delete_alias(&self, alias: &AliasName, entry: &KeyEntry) -> Result<Option<()>, KmsError> {
        let ReadAlias { key, revision } = self
            .read_alias(alias)?
            .ok_or_else(|| self.no_alias(alias.clone()))?;
        let current;
        let entry = if key == entry.id() {
            entry
        } else {
            current = self.read_key(key)?;
            self.authorise(&current)?;
            &current
        };
        let mut record = entry.record.clone();
        if !record.aliases.remove(alias) {
            return Ok(None);
        }
        let unit = Unit::new(self).update_key(entry, record);
        Ok(unit
            .delete_alias(revision, alias.clone())?
            .commit()?
            .map(drop))
    }

    /// Gives an alias to a key.
    fn gain(
        &self,
        entry: &KeyEntry,
        alias: &AliasName,
        expected: Expected,
    ) -> Result<Unit<'_>, KmsError> {
        let mut record = entry.record.clone();
        record.aliases.insert(alias.clone());
        if record.aliases.len() > MAX_ALIASES {
            return Err(KmsError::Limit {
                key: entry.id(),
                what: "aliases",
                max: MAX_ALIASES,
            });
        }
        Unit::new(self)
            .update_key(entry, record)
            .put_alias(expected, alias.clone(), entry.id())
    }

    fn list_aliases(&self, request: &ListAliases) -> Result<AliasPage, KmsError> {
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        let mut aliases = Vec::new();
        let after = match &request.after {
            Some(alias) => Some(AliasRecord::address(alias)?.id),
            None => None,
        };
        for stored in Scan::after(self.store.as_ref(), Collection::ALIASES, after) {
            let (address, stored) = stored?;
            if aliases.len() == limit {
                let next = aliases.last().map(|alias: &Alias| alias.name.clone());
                return Ok(AliasPage { aliases, next });
            }
            let record: AliasRecord = self.decode(&address, &stored)?;
            aliases.push(Alias {
                name: record.alias,
                key: record.key,
            });
        }
        Ok(AliasPage {
            aliases,
            next: None,
        })
    }
}
