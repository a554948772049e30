//! Bring your own key: material that its owner made comes in wrapped, under a public key that is
//! given out for it.
//!
//! The private half is in the import token, which its owner keeps meanwhile; the store keeps
//! nothing. Once material was imported, no other can be: what is under the key must stay openable.
//!
//! Order: import into the provider, then commit the record with the handle. A crash in between
//! leaves a key in the provider that nothing refers to, and nothing where the key is in its handle.

mod material;
mod parameters;
mod token;

use std::time::Duration;

use self::material::Imported;
pub use self::parameters::{ImportKeySize, ImportParameters, ParametersForImport};
use self::token::ImportToken;
use super::KmsHandle;
use super::acting::Acting;
use super::asked::{Asked, Parameters};
use super::commit::Unit;
use super::entry::KeyEntry;
use super::error::KmsError;
use super::key::VersionState;
use super::name::KeySelector;
use super::new_material::NewMaterial;
use super::operation::Operation;
use super::record::{StoredBytes, StoredState};
use crate::clock::Timestamp;
use crate::crypto::{ImportKeyPair, KeyPairFailure};
use crate::provider::ImportKeyRequest;

impl KmsHandle {
    /// How long what [`get_parameters_for_import`](Self::get_parameters_for_import) gives is valid:
    /// a day.
    pub const IMPORT_TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

    /// Gives out what its owner needs to import the material of a key: a public key to wrap it
    /// with, and a token to give back with it. Making the pair takes from a tenth of a second to
    /// some seconds. Nothing is stored: any process that has the store takes the token.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidOrigin`] for a key whose provider makes its material,
    /// [`KmsError::ImportWrapping`] for a wrapping that such keys are too long for, and
    /// [`KmsError::Random`].
    pub fn get_parameters_for_import<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        parameters: ImportParameters,
    ) -> Result<ParametersForImport, KmsError> {
        let kms = &self.kms;
        let asked = Asked::new(Operation::GetParametersForImport).with(Parameters {
            wrapping: Some(parameters.wrapping),
            ..Parameters::default()
        });
        self.gate().perform_asked(asked, key.into(), |key| {
            parameters.check(key.record().spec)?;
            let pair = ImportKeyPair::generate(parameters.size.into(), kms.random.as_ref())?;
            let valid_until = kms.date().saturating_add(Self::IMPORT_TOKEN_LIFE);
            let token = ImportToken {
                key: key.id(),
                parameters,
                valid_until,
            };
            let token = token.seal(&kms.store_key, &pair)?;
            ParametersForImport::new(&pair, token, valid_until)
        })
    }

    /// Imports the material of a key, which can then be used. It was wrapped with the public key
    /// that came with `token`. On `expires`, if that is given, the material is destroyed.
    ///
    /// The material is 32 bytes for a key that wraps; for a key that makes MACs as many as its MACs
    /// have, or more, up to 128; for a key pair the private key in PKCS #8 DER, not encrypted.
    ///
    /// After it was destroyed or has expired, the same material can be imported again, and no other.
    /// Where it is there, importing it again changes when it expires.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidOrigin`], [`KmsError::ImportToken`], [`KmsError::ImportTokenExpired`],
    /// [`KmsError::WrappedMaterial`] when it does not unwrap, [`KmsError::OtherMaterial`],
    /// [`KmsError::ExpiresInPast`], and the failures of the provider and the store.
    pub fn import_key_material<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        token: &[u8],
        wrapped: &[u8],
        expires: Option<Timestamp>,
    ) -> Result<(), KmsError> {
        let kms = &self.kms;
        let asked = Asked::new(Operation::ImportKeyMaterial).with(Parameters {
            expires: Some(expires),
            ..Parameters::default()
        });
        self.gate().perform_asked(asked, key.into(), |key| {
            let now = kms.date();
            if let Some(expires) = expires.filter(|expires| *expires <= now) {
                return Err(KmsError::ExpiresInPast { expires, now });
            }
            let (token, pair) = ImportToken::open(token, key.id(), &kms.store_key, now)?;
            let wrapping = token.parameters.wrapping;
            let material = pair
                .unwrap(wrapping, wrapped, kms.random.as_ref())
                .map_err(|failure| match failure {
                    KeyPairFailure::Random(error) => error.into(),
                    KeyPairFailure::Rejected => KmsError::WrappedMaterial {
                        key: key.id(),
                        wrapping,
                    },
                })?;
            let imported = Imported::new(key.record(), material, kms.random.as_ref())?;
            key.until_done(|kms, entry| kms.import(entry, &imported, expires))
        })
    }

    /// Destroys the material of a key that was imported, in the provider and in the store. The key
    /// is kept, and the same material can be imported again. One that has no material stays so.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidOrigin`], and the failures of the provider and the store, after which the
    /// material cannot be used, and is destroyed by the next [`tick`](Self::tick).
    pub fn delete_imported_key_material<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<(), KmsError> {
        self.gate().perform(
            Operation::DeleteImportedKeyMaterial,
            key.into(),
            None,
            |key| key.until_done(|kms, entry| kms.delete_material(entry)),
        )
    }
}

impl Acting<'_> {
    /// Imports material. Nothing when others were faster, or when there is more to do.
    fn import(
        &self,
        entry: &KeyEntry,
        imported: &Imported,
        expires: Option<Timestamp>,
    ) -> Result<Option<()>, KmsError> {
        let mut record = entry.record.clone();
        let number = record.primary;
        let binding = record.binding(number);
        let (key, spec) = (record.key, record.spec);
        let Some(version) = record.version_mut(number) else {
            return Err(KmsError::NoVersion {
                key,
                version: number,
            });
        };
        let digest = imported.digest(key, number, &self.store_key);
        if version
            .digest
            .as_ref()
            .is_some_and(|before| !digest.is(before.as_bytes()))
        {
            return Err(KmsError::OtherMaterial { key });
        }
        version.expires = expires;
        if version.state != VersionState::PendingImport {
            return Ok(Unit::new(self)
                .update_key(entry, record)
                .commit()?
                .map(drop));
        }
        if version.handle.is_some() || version.erase {
            self.erase_material(entry, number)?;
            return Ok(None);
        }
        let provider = self.providers.get(&version.provider)?;
        let request = ImportKeyRequest::new(spec, &imported.material).with_binding(&binding);
        let material = NewMaterial::import(provider.as_ref(), request)?;
        material.fill(version);
        version.state = VersionState::Enabled;
        version.digest = Some(StoredBytes::new(digest.as_bytes()));
        if record.state == StoredState::PendingImport {
            record.state = StoredState::Enabled;
        }
        let unit = Unit::new(self).update_key(entry, record);
        let committed = unit.commit_with(provider.as_ref(), &material.handle)?;
        Ok(committed.map(drop))
    }

    /// Does the next step of destroying imported material. Nothing when there is more to do, or
    /// others were faster.
    fn delete_material(&self, entry: &KeyEntry) -> Result<Option<()>, KmsError> {
        let number = entry.record.primary;
        match entry.record.version(number) {
            Some(version) if version.state != VersionState::PendingImport => {
                self.expire(entry, number)?;
                Ok(None)
            }
            Some(version) if version.handle.is_some() || version.erase => {
                self.erase_material(entry, number)?;
                Ok(None)
            }
            _ => Ok(Some(())),
        }
    }
}
