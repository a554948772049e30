//! Finding the token among the slots of a module.

use std::fmt;

use cryptoki::context::Pkcs11;
use cryptoki::slot::{Slot, TokenInfo};

use super::error::Pkcs11Error;
use super::failure::Failure;
use super::pin::PinFailure;

/// A token, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenDescription {
    /// The label that it was initialised with.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Its maker.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// The slot that it is in.
    pub slot: u64,
}

impl fmt::Display for TokenDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} (serial {}, slot {})",
            self.label, self.serial, self.slot
        )
    }
}

/// Which token is meant: all that is stated must be so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TokenSelector {
    pub(super) label: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) slot: Option<u64>,
    pub(super) slot_description: Option<String>,
    pub(super) slot_manufacturer: Option<String>,
}

/// The token that was found.
#[derive(Debug, Clone)]
pub(super) struct FoundToken {
    pub(super) slot: Slot,
    pub(super) description: TokenDescription,
    pub(super) wants_login: bool,
}

impl TokenSelector {
    /// Finds the one token that is meant. A slot that cannot be looked into hides no other.
    pub(super) fn find(&self, context: &Pkcs11) -> Result<FoundToken, Failure> {
        let mut found = Vec::new();
        let mut skipped = Vec::new();
        for slot in context.get_slots_with_token()? {
            if self.slot.is_some_and(|wanted| wanted != slot.id()) {
                continue;
            }
            match context.get_token_info(slot) {
                Ok(info) if info.token_initialized() => found.push(FoundToken::new(slot, &info)),
                Ok(_) => {}
                Err(error) => {
                    skipped.push(format!("slot {} ({})", slot.id(), Pkcs11Error::from(error)))
                }
            }
        }
        let all = found.iter().map(describe).collect();
        let mut meant = Vec::new();
        for token in found {
            if self.is_met_by(&token.description) && self.is_slot_met(context, token.slot)? {
                meant.push(token);
            }
        }
        match meant.pop() {
            Some(token) if meant.is_empty() => Ok(token),
            None => Err(Failure::Runtime(Pkcs11Error::NoToken {
                wanted: self.to_string(),
                found: all,
                skipped,
            })),
            Some(token) => Err(Failure::Runtime(Pkcs11Error::SeveralTokens {
                wanted: self.to_string(),
                found: meant.iter().chain([&token]).map(describe).collect(),
            })),
        }
    }

    fn is_met_by(&self, token: &TokenDescription) -> bool {
        is_met(&self.label, &token.label)
            && is_met(&self.serial, &token.serial)
            && is_met(&self.manufacturer, &token.manufacturer)
            && is_met(&self.model, &token.model)
    }

    fn is_slot_met(&self, context: &Pkcs11, slot: Slot) -> Result<bool, Failure> {
        if self.slot_description.is_none() && self.slot_manufacturer.is_none() {
            return Ok(true);
        }
        let info = context.get_slot_info(slot)?;
        Ok(is_met(&self.slot_description, info.slot_description())
            && is_met(&self.slot_manufacturer, info.manufacturer_id()))
    }
}

impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = self.slot.map(|slot| slot.to_string());
        let stated = [
            ("labelled", &self.label),
            ("of serial", &self.serial),
            ("made by", &self.manufacturer),
            ("of model", &self.model),
            ("in slot", &slot),
            ("in a slot described as", &self.slot_description),
            ("in a slot made by", &self.slot_manufacturer),
        ];
        let mut stated = stated
            .into_iter()
            .filter_map(|(what, value)| Some((what, value.as_ref()?)));
        match stated.next() {
            None => f.write_str("there, whichever it is")?,
            Some((what, value)) => write!(f, "{what} {value:?}")?,
        }
        for (what, value) in stated {
            write!(f, " and {what} {value:?}")?;
        }
        Ok(())
    }
}

impl FoundToken {
    fn new(slot: Slot, info: &TokenInfo) -> Self {
        Self {
            slot,
            description: TokenDescription {
                label: info.label().to_owned(),
                serial: info.serial_number().to_owned(),
                manufacturer: info.manufacturer_id().to_owned(),
                model: info.model().to_owned(),
                slot: slot.id(),
            },
            wants_login: info.login_required(),
        }
    }

    /// Refuses to try a PIN that, if it is wrong, would lock the token for good: a service that is
    /// started again and again must not do that.
    pub(super) fn check_tries_left(&self, context: &Pkcs11) -> Result<(), Failure> {
        let info = context.get_token_info(self.slot)?;
        if info.user_pin_locked() {
            return Err(self.login_failed(PinFailure::Locked));
        }
        if info.user_pin_final_try() {
            return Err(self.login_failed(PinFailure::LastTry));
        }
        Ok(())
    }

    pub(super) fn login_failed(&self, failure: PinFailure) -> Failure {
        Failure::Runtime(Pkcs11Error::Login {
            token: self.description.label.clone(),
            failure,
        })
    }

    pub(super) fn security_officer(&self) -> Failure {
        Failure::Runtime(Pkcs11Error::SecurityOfficer {
            token: self.description.label.clone(),
        })
    }
}

fn is_met(wanted: &Option<String>, is: &str) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == is)
}

fn describe(token: &FoundToken) -> String {
    token.description.to_string()
}
