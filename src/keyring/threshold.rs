//! Messages that take several key holders to open.

use std::sync::Arc;

use smallvec::SmallVec;

use super::report::{EntryOutcome, Subset, Trials};
use super::wrapping::wrap_new_data_key;
use super::{
    DecryptionMaterials, DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring,
    Unwrapped, WrapDataKeyRequest,
};
use crate::crypto::{combine_shares, split_secret};
use crate::error::Error;
use crate::format::{
    InvalidEntry, InvalidReference, KeyEntries, KeyEntriesBuf, KeyEntry, KeyId, KeyReference,
    MAX_WRAPPED_KEYS, Share,
};
use crate::secret::DataKey;

/// Seals messages that open only with some number of several keyrings together: no one of them can.
///
/// The data key of each message is divided by Shamir's secret sharing, and each share is wrapped by
/// one of the keyrings as a data key is. Fewer shares than are needed tell nothing of the data key.
/// A share is bound to its number, to how many there are and how many are needed, to a group id that
/// is drawn for each data key, and to the context.
///
/// **To open**, a keyring with at least as many members as the message needs asks those whose shares
/// the message has, until it has enough; the members need not be those, nor as many, that the message
/// was sealed with. Where too few of its members have a share, nobody is asked
/// ([`Error::TooFewShares`]). Everyone who opens gets the data key itself: it takes several to open a
/// message, and one of them to keep it.
///
/// A member may itself be several keyrings: any key of a [`MultiKeyring`](super::MultiKeyring) then
/// gives the share of that member. It cannot be another threshold keyring.
///
/// ```
/// use waxseal::{
///     EncryptionContext, Envelope, EnvelopeEncryptor, RootKey, SingleKeyring, ThresholdKeyring,
/// };
///
/// let root_keys = [RootKey::generate()?, RootKey::generate()?, RootKey::generate()?];
/// let custodians = root_keys.each_ref().map(SingleKeyring::software);
/// let [first, _, third] = custodians.clone();
/// let context = EncryptionContext::empty();
/// let sealer = Envelope::new(ThresholdKeyring::new(2, custodians)?);
/// let message = sealer.encrypt(b"the combination of the safe", &context)?;
///
/// let two = Envelope::new(ThresholdKeyring::opening([first, third]));
/// assert_eq!(*two.decrypt(&message, &context)?, *b"the combination of the safe");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ThresholdKeyring {
    members: Vec<Arc<dyn Keyring>>,
    /// How many shares a message needs; none where the keyring only opens.
    threshold: Option<u8>,
}

/// The numbers of a threshold keyring do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "of 2 to 16 keyrings at least 2 and at most all can be needed, and {threshold} of {members} were asked for; for one of several, use MultiKeyring"
)]
pub struct InvalidThreshold {
    /// The keyrings that would be needed.
    pub threshold: u8,
    /// The keyrings there are.
    pub members: usize,
}

impl ThresholdKeyring {
    /// Seals for all of `members`, of which `threshold` are needed to open.
    ///
    /// # Errors
    ///
    /// [`InvalidThreshold`] unless 2 <= `threshold` <= the number of members <= 16.
    pub fn new<K: Keyring + 'static>(
        threshold: u8,
        members: impl IntoIterator<Item = K>,
    ) -> Result<Self, InvalidThreshold> {
        let members = arcs(members);
        match shares_of(threshold, members.len()) {
            Some(_) => Ok(Self {
                members,
                threshold: Some(threshold),
            }),
            None => Err(InvalidThreshold {
                threshold,
                members: members.len(),
            }),
        }
    }

    /// Opens with the shares of `members`, however many each message needs, and seals nothing.
    #[must_use]
    pub fn opening<K: Keyring + 'static>(members: impl IntoIterator<Item = K>) -> Self {
        Self {
            members: arcs(members),
            threshold: None,
        }
    }

    /// Whether a member holds the key that a share is under.
    fn holds_share(&self, entry: &KeyEntry<'_>) -> bool {
        let mut inner = KeyEntriesBuf::new();
        let Some((_, key)) = entry.reference().share() else {
            return false;
        };
        inner.push(&key, entry.wrapped()).is_ok()
            && inner
                .as_entries()
                .iter()
                .any(|inner| self.members.iter().any(|member| member.holds(&inner)))
    }

    fn open(
        &self,
        request: DecryptionRequest<'_>,
        ask: &impl Fn(&dyn Keyring, DecryptionRequest<'_>) -> Option<Said>,
    ) -> Option<Result<Unwrapped, Error>> {
        let mut trials = Trials::new(request.entries);
        for group in self.groups(request.entries) {
            match self.open_group(&group, request, &mut trials, ask)? {
                Ok(Some(materials)) => return Some(Ok(Unwrapped::Done(materials))),
                Ok(None) => {}
                Err(error) => trials.keep_telling(error),
            }
        }
        Some(trials.end())
    }

    /// The groups of which a member holds a share, in the order of the message.
    fn groups(&self, entries: KeyEntries<'_>) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let Some((share, key)) = entry.reference().share() else {
                continue;
            };
            if !self.holds_share(&entry) {
                continue;
            }
            match groups
                .iter_mut()
                .find(|group| group.share.is_of_group(&share))
            {
                Some(group) => group.held.push((number, share, key)),
                None => groups.push(Group {
                    share,
                    held: vec![(number, share, key)],
                }),
            }
        }
        groups
    }

    /// Nothing if the shares that were found are too few; `trials` then has the reasons.
    fn open_group(
        &self,
        group: &Group,
        request: DecryptionRequest<'_>,
        trials: &mut Trials<'_>,
        ask: &impl Fn(&dyn Keyring, DecryptionRequest<'_>) -> Option<Said>,
    ) -> Option<Result<Option<DecryptionMaterials>, Error>> {
        let needed = group.share.threshold();
        let numbers = group.numbers();
        let held = u8::try_from(numbers.len()).unwrap_or(u8::MAX);
        if held < needed {
            return Some(Err(Error::TooFewShares { needed, held }));
        }
        let mut found: SmallVec<[(u8, Arc<DataKey>, usize); 4]> = SmallVec::new();
        for number in numbers {
            match self.open_share(group, number, request, trials, ask)? {
                Ok(Some((share, entry))) => found.push((number, share, entry)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            if found.len() == usize::from(needed) {
                let shares = found
                    .iter()
                    .map(|(number, share, _)| (*number, share.expose()));
                let data_key = DataKey::from(combine_shares(shares));
                let entry = found.first().map_or(0, |(_, _, entry)| *entry);
                return Some(Ok(Some(DecryptionMaterials::new(data_key, entry))));
            }
        }
        for (_, _, entry) in found {
            trials.note(entry, EntryOutcome::TooFewShares);
        }
        Some(Ok(None))
    }

    /// Asks the members that hold the key of a share, until one has it.
    fn open_share(
        &self,
        group: &Group,
        number: u8,
        request: DecryptionRequest<'_>,
        trials: &mut Trials<'_>,
        ask: &impl Fn(&dyn Keyring, DecryptionRequest<'_>) -> Option<Said>,
    ) -> Option<Result<Option<Found>, Error>> {
        let mut copies = Subset::new();
        let mut wanted = group.share;
        for (place, share, key) in &group.held {
            if share.number() != number {
                continue;
            }
            wanted = *share;
            let wrapped = request
                .entries
                .iter()
                .nth(*place)
                .map(|entry| entry.wrapped());
            if let Err(error) = copies.push(*place, key, wrapped.unwrap_or_default()) {
                return Some(Err(error));
            }
        }
        let entries = copies.entries.as_entries();
        let some = DecryptionRequest {
            entries,
            share: Some(wanted),
            ..request.recorded_at_once()
        };
        let mut said = Trials::new(entries);
        for member in &self.members {
            if !entries.iter().any(|entry| member.holds(&entry)) {
                continue;
            }
            match ask(member.as_ref(), some)? {
                Ok(Unwrapped::NotMine) => {}
                Err(error) => said.failed(member, error),
                Ok(Unwrapped::Done(materials)) => {
                    let (share, copy) = materials.into_shared_parts();
                    let place = copies.numbers().get(copy).copied();
                    return Some(Ok(Some((share, place.unwrap_or_default()))));
                }
            }
        }
        trials.take_over(said, copies.numbers());
        Some(Ok(None))
    }
}

/// What a member says, if it is asked.
type Said = Result<Unwrapped, Error>;

/// A share, and the place in the message of the wrapped key that gave it.
type Found = (Arc<DataKey>, usize);

/// The shares of one data key whose keys are held.
struct Group {
    /// One of them.
    share: Share,
    /// Their places in the message, and the keys that they are under.
    held: Vec<(usize, Share, KeyReference)>,
}

impl Group {
    /// The numbers of the shares, each once, in the order of the message.
    fn numbers(&self) -> SmallVec<[u8; 16]> {
        let mut numbers = SmallVec::new();
        for (_, share, _) in &self.held {
            if !numbers.contains(&share.number()) {
                numbers.push(share.number());
            }
        }
        numbers
    }
}

#[deny(clippy::missing_trait_methods)]
impl Keyring for ThresholdKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        wrap_new_data_key(self, request)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.open(request, &|member, some| {
            Some(member.decryption_materials(some))
        })
        .unwrap_or(Ok(Unwrapped::NotMine))
    }

    fn try_encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        self.wraps_at_once()
            .then(|| self.encryption_materials(request))
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        self.open(request, &|member, some| {
            member.try_decryption_materials(some)
        })
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        let WrapDataKeyRequest {
            data_key,
            random,
            share,
            ..
        } = request;
        let threshold = self.threshold.ok_or(Error::OpensOnly)?;
        let count = shares_of(threshold, self.members.len()).ok_or(Error::OpensOnly)?;
        if share.is_some() {
            return Err(InvalidEntry::from(InvalidReference::NestedShare).into());
        }
        let mut group = [0; 16];
        random.fill(&mut group)?;
        let group = KeyId::from_bytes(group);
        let mut entries = KeyEntriesBuf::new();
        let shares = split_secret(data_key.expose(), threshold, count, random)?;
        for ((number, member), secret) in (1..=count).zip(&self.members).zip(shares) {
            let share = Share::new(group, threshold, count, number).ok_or(Error::OpensOnly)?;
            let secret = DataKey::from(secret);
            let request = WrapDataKeyRequest {
                data_key: &secret,
                share: Some(share),
                ..request
            };
            let wrapped = member.wrap_data_key(request)?;
            if wrapped.count() == 0 {
                return Err(Error::NoWrappedKey);
            }
            for entry in wrapped.as_entries() {
                push_share(&mut entries, share, entry)?;
            }
        }
        Ok(entries)
    }

    fn wraps_at_once(&self) -> bool {
        self.members.iter().all(Keyring::wraps_at_once)
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.holds_share(entry)
    }

    fn max_entries_len(&self) -> usize {
        // What an entry has more than that of a data key: a tag, a share, a byte of its length.
        const MORE: usize = MAX_WRAPPED_KEYS * (1 + Share::LEN + 1);

        let members = self.members.iter().map(Keyring::max_entries_len);
        match self.threshold {
            Some(_) => members.fold(MORE, usize::saturating_add),
            None => 0,
        }
    }
}

/// Adds a wrapped share; refuses a key that has another share already, and so would count twice.
fn push_share(
    entries: &mut KeyEntriesBuf,
    share: Share,
    wrapped: KeyEntry<'_>,
) -> Result<(), InvalidEntry> {
    let key = wrapped.reference();
    let shared = KeyReference::of_share(share, &key)?;
    let mut keys = entries.as_entries().iter().map(|entry| entry.reference());
    if keys.any(|other| other.wrapping_key() == key) {
        return Err(InvalidEntry::Duplicate);
    }
    entries.push(&shared, wrapped.wrapped())
}

fn arcs<K: Keyring + 'static>(members: impl IntoIterator<Item = K>) -> Vec<Arc<dyn Keyring>> {
    members
        .into_iter()
        .map(|member| Arc::new(member) as Arc<dyn Keyring>)
        .collect()
}

/// The number of shares, if it and the threshold are such as a message can have.
fn shares_of(threshold: u8, members: usize) -> Option<u8> {
    let shares = u8::try_from(members).ok()?;
    Share::new(KeyId::from_bytes([0; 16]), threshold, shares, 1).map(|share| share.shares())
}
