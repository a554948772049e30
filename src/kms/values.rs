//! What conditions of policies may look at.

use super::attempt::Attempt;
use super::operation::Operation;
use super::policy::{ConditionKey, ConditionValues, Value};
use super::record::KeyRecord;
use crate::clock::Timestamp;
use crate::context::EncryptionContext;

/// The values of a request, looked up when a condition asks for them.
pub(super) struct Values<'a> {
    attempt: &'a Attempt<'a>,
    record: Option<&'a KeyRecord>,
    now: Timestamp,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        attempt: &'a Attempt<'a>,
        record: Option<&'a KeyRecord>,
        now: Timestamp,
    ) -> Self {
        Self {
            attempt,
            record,
            now,
        }
    }

    /// Of a grant that is to be given, the context of its constraint.
    fn context(&self) -> Option<&'a EncryptionContext> {
        let asked = self.attempt.asked;
        let of_grant = asked.parameters.grant.and_then(|grant| grant.constraint());
        of_grant.map_or(asked.context, |constraint| Some(constraint.context()))
    }

    fn text(&self, key: &ConditionKey) -> Option<&'a str> {
        let asked = self.attempt.asked;
        let parameters = &asked.parameters;
        let record = self.record;
        match key {
            ConditionKey::EncryptionContext(name) => self.context()?.get(name),
            ConditionKey::ResourceTag(name) => Some(record?.tags.get(&**name)?.as_str()),
            ConditionKey::RequestTag(name) => match parameters.tag {
                Some((tag, value)) if *tag == **name => value,
                _ => Some(parameters.tags?.get(&**name)?.as_str()),
            },
            ConditionKey::GranteePrincipal => Some(parameters.grant?.grantee().as_str()),
            ConditionKey::RetiringPrincipal => {
                Some(parameters.grant?.retiring_principal()?.as_str())
            }
            ConditionKey::GrantConstraintType => Some(parameters.grant?.constraint()?.kind()),
            ConditionKey::KeySpec => {
                let spec = record.map(|record| record.spec).or(parameters.spec);
                Some(spec?.name())
            }
            ConditionKey::KeyUsage => {
                let usage = record.map(|record| record.usage).or(parameters.usage);
                Some(usage?.name())
            }
            ConditionKey::KeyOrigin => {
                let origin = record.map(|record| record.origin).or(parameters.origin);
                Some(origin?.name())
            }
            ConditionKey::RequestAlias => self.attempt.request_alias(),
            ConditionKey::SigningAlgorithm => Some(parameters.signing_algorithm?.name()),
            ConditionKey::MacAlgorithm => match asked.operation {
                Operation::GenerateMac | Operation::VerifyMac => {
                    Some(record?.spec.mac_algorithm()?.name())
                }
                _ => None,
            },
            ConditionKey::MessageType => parameters.message_type,
            ConditionKey::WrappingAlgorithm => Some(parameters.wrapping?.name()),
            ConditionKey::ExpirationModel => Some(match parameters.expires? {
                Some(_) => "KEY_MATERIAL_EXPIRES",
                None => "KEY_MATERIAL_DOES_NOT_EXPIRE",
            }),
            _ => None,
        }
    }
}

impl ConditionValues for Values<'_> {
    fn attribute(&self, name: &str) -> Option<&str> {
        let attributes = &self.attempt.session.attributes;
        attributes.get(name).map(String::as_str)
    }

    fn values(&self, key: &ConditionKey, give: &mut dyn FnMut(Value<'_>)) {
        let parameters = &self.attempt.asked.parameters;
        match key {
            ConditionKey::EncryptionContextKeys => {
                for (key, _) in self.context().into_iter().flat_map(EncryptionContext::iter) {
                    give(Value::Text(key));
                }
            }
            ConditionKey::TagKeys => {
                for tag in parameters.tags.into_iter().flat_map(|tags| tags.keys()) {
                    give(Value::Text(tag));
                }
                if let Some((tag, _)) = parameters.tag {
                    give(Value::Text(tag));
                }
            }
            ConditionKey::GrantOperations => {
                for operation in parameters
                    .grant
                    .into_iter()
                    .flat_map(|grant| grant.operations())
                {
                    give(Value::Text(operation.name()));
                }
            }
            ConditionKey::ResourceAliases => {
                for alias in self.record.into_iter().flat_map(|record| &record.aliases) {
                    give(Value::Text(alias.as_str()));
                }
            }
            ConditionKey::ScheduleKeyDeletionPendingWindowInDays => {
                give_number(parameters.waiting_days, give);
            }
            ConditionKey::RotationPeriodInDays => give_number(parameters.rotation_days, give),
            ConditionKey::ValidTo => {
                if let Some(Some(expires)) = parameters.expires {
                    give(Value::Date(expires));
                }
            }
            ConditionKey::BypassPolicyLockoutSafetyCheck => {
                if let Some(bypasses) = parameters.bypasses_lockout_check {
                    give(Value::Bool(bypasses));
                }
            }
            ConditionKey::ReEncryptOnSameKey => {
                if let (Some(other), Some(record)) = (parameters.other_key, self.record) {
                    give(Value::Bool(other == Some(record.key)));
                }
            }
            ConditionKey::CurrentTime | ConditionKey::EpochTime => give(Value::Date(self.now)),
            _ => {
                if let Some(text) = self.text(key) {
                    give(Value::Text(text));
                }
            }
        }
    }
}

fn give_number(number: Option<u32>, give: &mut dyn FnMut(Value<'_>)) {
    if let Some(number) = number {
        give(Value::Number(number.into()));
    }
}
