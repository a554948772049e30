use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::abilities::Abilities;
use super::adopt::AdoptKey;
use super::config::Pkcs11Config;
use super::error::Pkcs11Error;
use super::failure::Failure;
use super::handle::TokenKey;
use super::inventory::{self, TokenKeyInfo};
use super::objects::KeyName;
use super::pool::Access;
use super::self_test::Tested;
use super::slot::TokenDescription;
use super::token::Token;
use super::token_key::KeyCanary;
use super::wrap::{KeyObjects, Method};
use super::wrapping::TokenWrapping;
use super::{NAME, sign};
use crate::crypto::token::RawSigning;
use crate::format::Mechanism;
use crate::provider::{
    Capabilities, CreateKeyRequest, GenerateDataKeyRequest, GeneratedDataKey, KeyDescription,
    KeyHandle, KeyMaterial, KeyProvider, KeySpec, KeySpecs, Mac, MacRequest, ProviderError,
    PublicKey, SignRequest, Signature, UnwrapRequest, WrapRequest, WrappedKey, unsupported,
};
use crate::rng::SystemRandom;
use crate::secret::{DataKey, FreshDataKey};

/// Keys in a PKCS#11 token: an HSM, a smart card, SoftHSM.
///
/// Keys are made in the token, can be used and cannot be read, and never leave it. Clones share their
/// sessions. How a new key wraps is said by [`TokenWrapping`]; its handle and every message keep the
/// [`Mechanism`], so that configuring another one later changes nothing for keys that are there.
///
/// ```no_run
/// use waxseal::pkcs11::{Pkcs11Config, Pkcs11KeyProvider, PinSource};
/// use waxseal::{CreateKeyRequest, KeyProvider, SingleKeyring};
///
/// let config = Pkcs11Config::new("/usr/lib/softhsm/libsofthsm2.so")
///     .with_token_label("production")
///     .with_pin(PinSource::file("/etc/app/pin"));
/// let provider = Pkcs11KeyProvider::open(config)?;
/// let handle = provider.create_key(CreateKeyRequest::default())?;
/// let keyring = SingleKeyring::new(provider, handle)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pkcs11KeyProvider {
    pub(super) token: Token,
    pub(super) settings: Arc<Settings>,
    pub(super) known: Arc<Known>,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) wrapping: TokenWrapping,
    pub(super) label: String,
    pub(super) data_keys: DataKeys,
}

/// Where data keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataKeys {
    /// The random generator of this process.
    Here,
    /// The same, combined with that of the token.
    HereAndToken,
}

/// What was found out about the token, with these settings.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) abilities: OnceLock<Abilities>,
    pub(super) tested: Mutex<BTreeMap<Mechanism, Tested>>,
    pub(super) chosen: OnceLock<Mechanism>,
    /// Whether the token was there when it was last asked about, and when that was.
    pub(super) available: Mutex<Option<(bool, Instant)>>,
}

impl Pkcs11KeyProvider {
    /// Loads the module, finds the token and logs in.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error`], which says what is wrong and what to do.
    pub fn open(config: Pkcs11Config) -> Result<Self, Pkcs11Error> {
        let provider = Self::over(Token::open(config)?);
        // What cannot be asked now is asked when it is needed.
        let _ = provider.abilities();
        Ok(provider)
    }

    /// Loads the module, and looks for the token when it is first used: for a program that must start
    /// though the token may be away. Until it is there, what needs it is
    /// [`ProviderError::Unavailable`], and what other keys than wrapping keys it makes is not known.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error`], about the module.
    pub fn open_later(config: Pkcs11Config) -> Result<Self, Pkcs11Error> {
        let provider = Self::over(Token::open_later(config)?);
        let _ = provider.abilities();
        Ok(provider)
    }

    fn over(token: Token) -> Self {
        Self {
            token,
            settings: Arc::new(Settings {
                name: NAME.to_owned(),
                wrapping: TokenWrapping::default(),
                label: "waxseal".to_owned(),
                data_keys: DataKeys::Here,
            }),
            known: Arc::default(),
        }
    }

    /// Says how new keys wrap, in place of [`Vendor::Generic`](super::Vendor::Generic).
    #[must_use]
    pub fn with_wrapping(self, wrapping: impl Into<TokenWrapping>) -> Self {
        self.with_settings(|settings| settings.wrapping = wrapping.into())
    }

    /// Names the provider, `pkcs11` unless it is said: a [`Kms`](crate::Kms) tells its providers
    /// apart by their names, and keeps the name with each key.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        self.with_settings(|settings| settings.name = name.into())
    }

    /// Labels new keys in the token, `waxseal` unless it is said.
    #[must_use]
    pub fn with_key_label(self, label: impl Into<String>) -> Self {
        self.with_settings(|settings| settings.label = label.into())
    }

    /// Makes data keys of random bytes of the token too: these and those of this process, one XOR the
    /// other, so that each alone suffices. It costs a call more for each data key.
    #[must_use]
    pub fn with_token_randomness(self) -> Self {
        self.with_settings(|settings| settings.data_keys = DataKeys::HereAndToken)
    }

    fn with_settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self.known = Arc::default();
        self
    }

    /// The token as it was last found.
    #[must_use]
    pub fn token(&self) -> Option<TokenDescription> {
        self.token.description()
    }

    /// Takes the PIN from its source anew and logs in with it. After a PIN was refused this is the
    /// only way to have one tried again: each attempt may bring the token closer to being locked.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn log_in_anew(&self) -> Result<(), Pkcs11Error> {
        self.token.log_in_anew()
    }

    /// The mechanism by which new keys wrap: the first candidate of the
    /// [`TokenWrapping`] that the token has and that passed the test.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Refused`] when there is none, and the token's failures.
    pub fn mechanism(&self) -> Result<Mechanism, ProviderError> {
        self.chosen().map_err(|error| self.named(error))
    }

    /// Takes a key that is in the token already, and gives the handle by which it is used.
    ///
    /// # Errors
    ///
    /// [`ProviderError::UnknownKey`] when there is none, [`ProviderError::Refused`] when there are
    /// several, or when the key does not wrap as it should, and the token's failures.
    pub fn adopt(&self, key: &AdoptKey) -> Result<KeyHandle, ProviderError> {
        self.adopt_key(key).map_err(|error| self.named(error))
    }

    /// The keys in the token that this user sees: secret keys, private keys and public keys.
    ///
    /// # Errors
    ///
    /// The token's failures.
    pub fn list_keys(&self) -> Result<Vec<TokenKeyInfo>, ProviderError> {
        self.token
            .with_session(Access::ReadOnly, inventory::list)
            .map_err(|error| self.named(error))
    }

    fn with_wrapping_key<T>(
        &self,
        key: &TokenKey,
        action: impl Fn(&Session, &Method, KeyObjects) -> Result<T, Failure>,
    ) -> Result<T, ProviderError> {
        let method = self.tested_method(key)?;
        let canary = KeyCanary {
            key,
            method: &method,
        };
        self.token
            .with_key(&key.name(), Some(&canary), |session, object| {
                action(session, &method, key.objects(session, object)?)
            })
    }

    pub(super) fn abilities(&self) -> Result<Abilities, ProviderError> {
        if let Some(&abilities) = self.known.abilities.get() {
            return Ok(abilities);
        }
        let asked = self
            .token
            .on_slot(|context, slot| Abilities::ask(context, slot, &self.settings.wrapping))?;
        Ok(*self.known.abilities.get_or_init(|| asked))
    }

    /// Whether the token can be used, as seen a moment ago at the earliest.
    fn looks_available(&self) -> bool {
        let mut available = self
            .known
            .available
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, when)) = *available
            && when.elapsed() < BELIEVED_FOR
        {
            return seen;
        }
        let looked = self.token.with_session(Access::ReadOnly, |session| {
            Ok(session.get_session_info().map(drop)?)
        });
        let seen = looked.is_ok() && self.abilities().is_ok();
        *available = Some((seen, Instant::now()));
        seen
    }

    /// An error under the name that this provider was given.
    fn named(&self, error: ProviderError) -> ProviderError {
        let provider = self.settings.name.clone();
        match error {
            ProviderError::UnknownKey { .. } => ProviderError::UnknownKey { provider },
            ProviderError::Unsupported { operation, .. } => ProviderError::Unsupported {
                provider,
                operation,
            },
            ProviderError::Unavailable { source, .. } => {
                ProviderError::Unavailable { provider, source }
            }
            ProviderError::Refused { source, .. } => ProviderError::Refused { provider, source },
            other => other,
        }
    }
}

/// How long it is believed that a token is there, or is not, where that is only told.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

impl KeyProvider for Pkcs11KeyProvider {
    fn name(&self) -> &str {
        &self.settings.name
    }

    /// What the token does was asked when it was first at hand. Until then a key that wraps is all
    /// that is promised.
    fn capabilities(&self) -> Capabilities {
        let creates = match self.known.abilities.get() {
            Some(abilities) => abilities.creates,
            None => KeySpecs::NONE.with(KeySpec::Wrapping256),
        };
        Capabilities {
            creates,
            generates_data_keys: self.settings.data_keys == DataKeys::HereAndToken,
            max_wrapped_len: Method::MAX_WRAPPED_LEN,
            ..Capabilities::new(KeyMaterial::InProvider)
        }
    }

    fn is_available(&self) -> bool {
        self.looks_available()
    }

    fn create_key(&self, request: CreateKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        self.create(request.spec, request.binding)
            .map_err(|error| self.named(error))
    }

    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
        self.destroy(&TokenKey::read(handle)?)
            .map_err(|error| self.named(error))
    }

    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
        let key = TokenKey::read(handle)?;
        let description = key.describe(self.settings.wrapping.vendor())?;
        let looked = self.token.with_key(&key.name(), None, |session, object| {
            key.look_at(session, object)
        });
        looked.map_err(|error| self.named(error))?;
        Ok(description)
    }

    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
        let key = TokenKey::read(request.handle)?;
        let wrapped = self.with_wrapping_key(&key, |session, method, objects| {
            method.wrap(session, objects, request.data_key, request.binding)
        });
        wrapped.map_err(|error| self.named(error))
    }

    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
        let key = TokenKey::read(request.handle)?;
        let method = key.method(self.settings.wrapping.vendor())?;
        if !method.may_have_wrapped(request.wrapped) {
            return Err(ProviderError::Rejected);
        }
        let unwrapped = self.with_wrapping_key(&key, |session, method, objects| {
            method.unwrap(session, objects, request.wrapped, request.binding)
        });
        unwrapped.map_err(|error| self.named(error))
    }

    fn generate_data_key(
        &self,
        request: GenerateDataKeyRequest<'_>,
    ) -> Result<GeneratedDataKey, ProviderError> {
        if self.settings.data_keys == DataKeys::Here {
            return Err(unsupported(self, "generate data keys"));
        }
        let key = TokenKey::read(request.handle)?;
        let generated = self.with_wrapping_key(&key, |session, method, objects| {
            let data_key = mixed_data_key(session)?;
            let wrapped = method.wrap(session, objects, data_key.as_data_key(), request.binding)?;
            Ok(GeneratedDataKey::new(data_key, wrapped))
        });
        generated.map_err(|error| self.named(error))
    }

    fn sign(&self, request: SignRequest<'_>) -> Result<Signature, ProviderError> {
        let key = TokenKey::read(request.handle)?;
        let kind = key.spec.key_pair().ok_or(key.wrong_spec("sign"))?;
        key.spec.check_signs(request.algorithm, request.message)?;
        let signing = RawSigning::new(request.algorithm, request.message);
        let signed = self.token.with_key(&key.name(), None, |session, object| {
            sign::sign(session, object, kind, &signing)
        });
        signed.map_err(|error| self.named(error))
    }

    fn public_key(&self, handle: &KeyHandle) -> Result<PublicKey, ProviderError> {
        let key = TokenKey::read(handle)?;
        let kind = key
            .spec
            .key_pair()
            .ok_or(key.wrong_spec("have a public key"))?;
        let public = KeyName::public(&key.id);
        let given = self.token.with_key(&key.name(), None, |session, _| {
            sign::public_key(session, public.find(session)?, kind)
        });
        given.map_err(|error| self.named(error))
    }

    fn generate_mac(&self, request: MacRequest<'_>) -> Result<Mac, ProviderError> {
        let key = TokenKey::read(request.handle)?;
        let algorithm = key
            .spec
            .mac_algorithm()
            .ok_or(key.wrong_spec("make MACs"))?;
        let made = self.token.with_key(&key.name(), None, |session, object| {
            sign::mac(session, object, algorithm, request.message)
        });
        made.map_err(|error| self.named(error))
    }
}

/// Random bytes of the token, XOR those of this process.
fn mixed_data_key(session: &Session) -> Result<FreshDataKey, Failure> {
    let mut bytes = Zeroizing::new([0; DataKey::LEN]);
    session.generate_random_slice(bytes.as_mut_slice())?;
    let here = FreshDataKey::generate(&SystemRandom).map_err(ProviderError::from)?;
    for (byte, own) in bytes.iter_mut().zip(here.as_data_key().expose()) {
        *byte ^= own;
    }
    let mixed = DataKey::from_bytes(bytes.as_slice()).map_err(ProviderError::from)?;
    Ok(FreshDataKey::assume_fresh(mixed))
}

impl fmt::Debug for Pkcs11KeyProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Pkcs11KeyProvider({}, {:?})",
            self.settings.name, self.token
        )
    }
}
