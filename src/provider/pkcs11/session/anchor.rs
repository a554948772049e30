//! A session that is kept idle.
//!
//! A token logs out when its last session is closed. And where one session is lost, this one tells
//! whether all are: it has an object of its own in the token, with a name of random bytes, because
//! after others initialised the module anew its number may be another session's.

use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::rng::{RandomSource, SystemRandom};

pub(super) struct Anchor {
    session: Session,
    /// None where the token does not take such objects.
    mark: Option<(ObjectHandle, Vec<u8>)>,
}

impl Anchor {
    /// Opens one, if the token has a session left for it.
    pub(super) fn new(context: &Pkcs11, slot: Slot) -> Option<Self> {
        let session = context.open_ro_session(slot).ok()?;
        Some(Self {
            mark: mark(&session),
            session,
        })
    }

    /// Whether it is still there.
    pub(super) fn holds(&self) -> bool {
        match &self.mark {
            None => self.session.get_session_info().is_ok(),
            Some((object, name)) => {
                let label = self
                    .session
                    .get_attributes(*object, &[AttributeType::Label]);
                label.is_ok_and(|label| label == [Attribute::Label(name.clone())])
            }
        }
    }
}

fn mark(session: &Session) -> Option<(ObjectHandle, Vec<u8>)> {
    let mut name = vec![0; 16];
    SystemRandom.fill(&mut name).ok()?;
    let object = session.create_object(&[
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Label(name.clone()),
    ]);
    Some((object.ok()?, name))
}
