//! Several keyrings as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use super::report::Trials;
use super::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, Unwrapped,
    WrapDataKeyRequest,
};
use crate::error::Error;
use crate::format::{InvalidEntry, KeyEntries, KeyEntriesBuf, KeyEntry};

/// Seals messages that any of several keyrings opens, and opens what any of them opens.
///
/// **To seal**, the first keyring gives the data key, and each of the others wraps it too. When one
/// of them fails, the message is not sealed, unless the key is
/// [optional](Self::with_optional_key): a message that lacks a key would be noticed when it is
/// needed, and not before.
///
/// **To open**, only keyrings that hold a key which the message names are asked, in the order in
/// which the message names their first. So a wrapped key is never sent to a provider that it does not
/// name. When all that were asked failed, [`Error::NotOpened`] says what became of each wrapped key;
/// where cryptography alone refused it is [`Error::Decrypt`], as ever.
///
/// A [`CachingKeyring`](super::CachingKeyring) belongs around this one rather than inside: inside, the
/// other keys are asked for each message.
///
/// A keyring of the public key of a recipient (`RecipientKeyring`, feature `recipients`) may be one
/// of those that seal. One that opens with a private key is given to
/// [`opening_also`](Self::opening_also) and nowhere else, since anyone can have sealed what it opens.
///
/// ```
/// use waxseal::{
///     EncryptionContext, Envelope, EnvelopeEncryptor, MultiKeyring, RootKey, SingleKeyring,
/// };
///
/// let (ours, escrow) = (RootKey::generate()?, RootKey::generate()?);
/// let keyring = MultiKeyring::new(SingleKeyring::software(&ours))
///     .with_key(SingleKeyring::software(&escrow));
/// let context = EncryptionContext::empty();
/// let message = Envelope::new(keyring).encrypt(b"the payload", &context)?;
///
/// let by_escrow = Envelope::new(SingleKeyring::software(&escrow));
/// assert_eq!(*by_escrow.decrypt(&message, &context)?, *b"the payload");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MultiKeyring {
    generator: Arc<dyn Keyring>,
    others: Vec<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    keyring: Arc<dyn Keyring>,
    role: Role,
}

#[derive(Debug, Clone)]
enum Role {
    Required,
    /// With the number of messages that were sealed without it.
    Optional(Arc<AtomicU64>),
    OpensOnly,
}

impl MultiKeyring {
    /// Begins with the keyring that gives the data keys.
    #[must_use]
    pub fn new(generator: impl Keyring + 'static) -> Self {
        Self {
            generator: Arc::new(generator),
            others: Vec::new(),
        }
    }

    /// Wraps every data key for `keyring` too, and opens with it.
    #[must_use]
    pub fn with_key(self, keyring: impl Keyring + 'static) -> Self {
        self.with(keyring, Role::Required)
    }

    /// As [`with_key`](Self::with_key), but a message is sealed without it where it fails, whatever
    /// the reason. [`sealed_without`](Self::sealed_without) counts these. A rewrap then leaves the
    /// wrapped key that it has.
    #[must_use]
    pub fn with_optional_key(self, keyring: impl Keyring + 'static) -> Self {
        self.with(keyring, Role::Optional(Arc::default()))
    }

    /// Opens with `keyring`, and never seals for it.
    #[must_use]
    pub fn opening_also(self, keyring: impl Keyring + 'static) -> Self {
        self.with(keyring, Role::OpensOnly)
    }

    /// For each optional key, in the order in which they were added: how many data keys it does not
    /// have because it failed. Clones count together.
    #[must_use]
    pub fn sealed_without(&self) -> Vec<u64> {
        let counts = self.others.iter().filter_map(|member| match &member.role {
            Role::Optional(missed) => Some(missed.load(Ordering::Relaxed)),
            Role::Required | Role::OpensOnly => None,
        });
        counts.collect()
    }

    fn with(mut self, keyring: impl Keyring + 'static, role: Role) -> Self {
        self.others.push(Member {
            keyring: Arc::new(keyring),
            role,
        });
        self
    }

    /// Adds the copies for all keyrings but the first.
    fn wrap_for_others(
        &self,
        request: WrapDataKeyRequest<'_>,
        entries: &mut KeyEntriesBuf,
    ) -> Result<(), Error> {
        for Member { keyring, role } in &self.others {
            let wrapped = match role {
                Role::OpensOnly => continue,
                Role::Required => keyring.wrap_data_key(request)?,
                Role::Optional(missed) => match keyring.wrap_data_key(request) {
                    Ok(wrapped) => wrapped,
                    Err(_) => {
                        let kept = held(keyring.as_ref(), request.replaced)?;
                        if kept.count() == 0 {
                            missed.fetch_add(1, Ordering::Relaxed);
                        }
                        kept
                    }
                },
            };
            entries.append(wrapped.as_entries())?;
        }
        Ok(())
    }

    fn complete(
        &self,
        request: EncryptionRequest<'_>,
        generated: EncryptionMaterials,
    ) -> Result<EncryptionMaterials, Error> {
        let EncryptionRequest {
            context, random, ..
        } = request;
        let mut entries = generated.entries().into();
        let wanted = WrapDataKeyRequest::new(context, generated.data_key(), random);
        self.wrap_for_others(wanted, &mut entries)?;
        Ok(generated.with_entries(entries))
    }

    /// Asks those that hold something, until one has the data key, or `ask` has no answer.
    fn open(
        &self,
        request: DecryptionRequest<'_>,
        ask: impl Fn(&dyn Keyring, DecryptionRequest<'_>) -> Option<Result<Unwrapped, Error>>,
    ) -> Option<Result<Unwrapped, Error>> {
        let mut holding: SmallVec<[(usize, &dyn Keyring); 8]> = self
            .keyrings()
            .filter_map(|keyring| {
                let first = request
                    .entries
                    .iter()
                    .position(|entry| keyring.holds(&entry))?;
                Some((first, keyring))
            })
            .collect();
        holding.sort_by_key(|(first, _)| *first);
        let request = request.with_recourse(holding.len());
        let mut trials = Trials::new(request.entries);
        for (_, keyring) in holding {
            match ask(keyring, request)? {
                Ok(Unwrapped::NotMine) => {}
                Ok(done) => return Some(Ok(done)),
                Err(error) => trials.failed(keyring, error),
            }
        }
        Some(trials.end())
    }

    fn keyrings(&self) -> impl Iterator<Item = &dyn Keyring> {
        let others = self.others.iter().map(|member| member.keyring.as_ref());
        std::iter::once(self.generator.as_ref()).chain(others)
    }

    fn sealing(&self) -> impl Iterator<Item = &dyn Keyring> {
        let others = self.others.iter().filter_map(|member| match member.role {
            Role::OpensOnly => None,
            Role::Required | Role::Optional(_) => Some(member.keyring.as_ref()),
        });
        std::iter::once(self.generator.as_ref()).chain(others)
    }
}

/// The wrapped keys that a keyring has among those that are to be replaced.
fn held(
    keyring: &dyn Keyring,
    replaced: Option<KeyEntries<'_>>,
) -> Result<KeyEntriesBuf, InvalidEntry> {
    let mut held = KeyEntriesBuf::new();
    for entry in replaced.into_iter().flatten() {
        if keyring.holds(&entry) {
            held.push(&entry.reference(), entry.wrapped())?;
        }
    }
    Ok(held)
}

#[deny(clippy::missing_trait_methods)]
impl Keyring for MultiKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        self.complete(request, self.generator.encryption_materials(request)?)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.open(request, |keyring, request| {
            Some(keyring.decryption_materials(request))
        })
        .unwrap_or(Ok(Unwrapped::NotMine))
    }

    fn try_encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        if !self.sealing().skip(1).all(Keyring::wraps_at_once) {
            return None;
        }
        let generated = self.generator.try_encryption_materials(request)?;
        Some(generated.and_then(|generated| self.complete(request, generated)))
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        self.open(request, |keyring, request| {
            keyring.try_decryption_materials(request)
        })
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        let mut entries = self.generator.wrap_data_key(request)?;
        self.wrap_for_others(request, &mut entries)?;
        Ok(entries)
    }

    fn wraps_at_once(&self) -> bool {
        self.sealing().all(Keyring::wraps_at_once)
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.keyrings().any(|keyring| keyring.holds(entry))
    }

    fn max_entries_len(&self) -> usize {
        self.sealing()
            .map(Keyring::max_entries_len)
            .fold(0, usize::saturating_add)
    }
}
