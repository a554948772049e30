//! Asking a caching keyring over a [`Probe`].

use waxseal::format::KeyEntriesBuf;
use waxseal::{
    CacheLimits, CachingKeyring, DecryptionRequest, EncryptionContext, EncryptionMaterials,
    EncryptionRequest, Error, Keyring, ManualClock, Suite, SystemRandom, Unwrapped,
};

use super::probe::Probe;

pub fn context(tenant: &str) -> EncryptionContext {
    EncryptionContext::new([("tenant", tenant)]).unwrap()
}

pub fn request(context: &EncryptionContext) -> EncryptionRequest<'_> {
    EncryptionRequest::new(context, Suite::default(), &SystemRandom).with_payload_len(10)
}

pub fn materials(keyring: &impl Keyring, context: &EncryptionContext) -> EncryptionMaterials {
    keyring.encryption_materials(request(context)).unwrap()
}

pub fn entries(materials: &EncryptionMaterials) -> KeyEntriesBuf {
    materials.entries().into()
}

/// Asks for the data key of a message of `len` bytes, and returns its wrapped form.
pub fn wrapped(keyring: &impl Keyring, context: &EncryptionContext, len: u64) -> KeyEntriesBuf {
    let request = request(context).with_payload_len(len);
    entries(&keyring.encryption_materials(request).unwrap())
}

pub fn open(
    keyring: &impl Keyring,
    context: &EncryptionContext,
    entries: &KeyEntriesBuf,
) -> Result<Unwrapped, Error> {
    let request = DecryptionRequest::new(context, Suite::default(), entries.as_entries());
    keyring.decryption_materials(request)
}

pub fn probed(limits: CacheLimits) -> (Probe, CachingKeyring) {
    let probe = Probe::new();
    let keyring = CachingKeyring::new(probe.clone()).with_limits(limits);
    (probe, keyring)
}

pub fn timed(limits: CacheLimits) -> (ManualClock, Probe, CachingKeyring) {
    let clock = ManualClock::default();
    let (probe, keyring) = probed(limits);
    (clock.clone(), probe, keyring.with_clock(clock))
}
