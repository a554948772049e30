//! Wrapping and unwrapping data keys under versions of keys.

use super::entry::KeyVersionHandle;
use super::error::KmsError;
use super::perform::AuthorisedKey;
use crate::context::EncryptionContext;
use crate::error::Error;
use crate::format::{KeyEntries, KeyEntriesBuf, KeyId, Share};
use crate::keyring::{DecryptionMaterials, EncryptionMaterials, generate_data_key, keep_telling};
use crate::provider::{UnwrapRequest, WrapRequest};
use crate::rng::RandomSource;
use crate::secret::DataKey;

impl AuthorisedKey<'_> {
    /// A new data key, wrapped under the primary version, which it names.
    pub(super) fn encryption_materials(
        &self,
        context: &EncryptionContext,
        random: &dyn RandomSource,
    ) -> Result<(EncryptionMaterials, KeyVersionHandle), KmsError> {
        let primary = self.primary()?;
        let binding = primary.binding(context, None);
        let provider = primary.provider()?;
        let generated = generate_data_key(provider, primary.handle(), &binding, random)?;
        let mut entries = KeyEntriesBuf::new();
        entries
            .push(primary.reference(), generated.wrapped.as_bytes())
            .map_err(Error::from)?;
        let materials = EncryptionMaterials::fresh(generated.data_key, entries);
        Ok((materials, primary))
    }

    /// A data key that was made elsewhere, wrapped under the primary version, which it names.
    pub(super) fn wrapped_copy(
        &self,
        data_key: &DataKey,
        context: &EncryptionContext,
        share: Option<Share>,
    ) -> Result<KeyEntriesBuf, KmsError> {
        let primary = self.primary()?;
        let binding = primary.binding(context, share);
        let request = WrapRequest::new(primary.handle(), data_key, &binding);
        let wrapped = primary.provider()?.wrap_key(request)?;
        let mut entries = KeyEntriesBuf::new();
        entries
            .push(primary.reference(), wrapped.as_bytes())
            .map_err(Error::from)?;
        Ok(entries)
    }

    /// The data key of a message, or the share of it, by the first of its wrapped keys that names a
    /// version of this key, by the mechanism that the version wraps by, and unwraps. `None` if none
    /// names one.
    pub(super) fn decryption_materials(
        &self,
        entries: KeyEntries<'_>,
        context: &EncryptionContext,
        share: Option<Share>,
    ) -> Result<Option<(DecryptionMaterials, KeyVersionHandle)>, KmsError> {
        let mut failed = None;
        for (number, entry) in entries.iter().enumerate() {
            let version = match entry.reference().kms_version() {
                Some((key, version)) if key == self.id() => self.version(version)?,
                _ => continue,
            };
            if !entry.names(version.reference()) {
                continue;
            }
            let binding = version.binding(context, share);
            let request = UnwrapRequest::new(version.handle(), entry.wrapped(), &binding);
            match version.provider()?.unwrap_key(request) {
                Ok(data_key) => {
                    let materials = DecryptionMaterials::new(data_key, number);
                    return Ok(Some((materials, version)));
                }
                Err(error) => keep_telling(&mut failed, error),
            }
        }
        failed.map_or(Ok(None), |error| Err(Error::from(error).into()))
    }
}

/// The keys of a KMS that wrapped keys name, in their order, each once.
pub(super) fn keys_of(entries: KeyEntries<'_>) -> impl Iterator<Item = KeyId> {
    let mut seen = Vec::new();
    entries.iter().filter_map(move |entry| {
        let (key, _) = entry.reference().kms_version()?;
        (!seen.contains(&key)).then(|| {
            seen.push(key);
            key
        })
    })
}
