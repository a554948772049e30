//! A wrapped key that is known to unwrap: it tells a bad one from a token that does not work, and a
//! key from another that took its place.

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::failure::Failure;

/// How a canary is made and looked at, under one key by one mechanism.
pub(super) trait Canary {
    /// Wraps a data key that nobody uses. None if the key only unwraps.
    fn lay(&self, session: &Session, key: ObjectHandle) -> Result<Option<Box<[u8]>>, Failure>;

    /// Unwraps it.
    fn check(&self, session: &Session, key: ObjectHandle, canary: &[u8]) -> Result<(), Failure>;
}
