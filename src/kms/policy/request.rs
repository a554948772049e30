//! What a policy is asked.

use std::collections::BTreeMap;
use std::fmt;

use super::key::ConditionKey;
use crate::clock::Timestamp;
use crate::format::KeyId;
use crate::kms::operation::Operation;

/// What somebody wants to do: the question that [`Policy::evaluate`](super::Policy::evaluate)
/// answers.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub(super) principal: &'a str,
    /// Who acts, for conditions and variables.
    pub(super) acting: &'a str,
    pub(super) operation: Operation,
    pub(super) resource: Resource<'a>,
    pub(super) values: &'a dyn ConditionValues,
}

impl<'a> Request<'a> {
    /// Who wants to do what with what, and the values that conditions may ask for.
    #[must_use]
    pub fn new(
        principal: &'a str,
        operation: Operation,
        resource: Resource<'a>,
        values: &'a dyn ConditionValues,
    ) -> Self {
        Self {
            principal,
            acting: principal,
            operation,
            resource,
            values,
        }
    }

    /// The same request, for statements that name a principal which stands for who acts.
    pub(crate) fn under_name(self, principal: &'a str) -> Self {
        Self { principal, ..self }
    }
}

/// Shows no value.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("principal", &self.principal)
            .field("operation", &self.operation)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

/// What somebody wants to do something with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource<'a> {
    /// No key and no alias. In a policy only `*` names it.
    Store,
    /// A key; in a policy `key/` and its id.
    Key(KeyId),
    /// An alias, its `alias/` included.
    Alias(&'a str),
}

/// A value of a request that conditions may ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Of a key of [`ValueKind::Text`](super::ValueKind::Text).
    Text(&'a str),
    /// Of a key of [`ValueKind::Number`](super::ValueKind::Number).
    Number(u64),
    /// Of a key of [`ValueKind::Date`](super::ValueKind::Date) or
    /// [`ValueKind::Epoch`](super::ValueKind::Epoch).
    Date(Timestamp),
    /// Of a key of [`ValueKind::Bool`](super::ValueKind::Bool).
    Bool(bool),
}

/// Shows the kind alone.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text([redacted])",
            Self::Number(_) => "Number([redacted])",
            Self::Date(_) => "Date([redacted])",
            Self::Bool(_) => "Bool([redacted])",
        })
    }
}

/// Gives the values that conditions ask for, when they ask.
///
/// # Contract
///
/// - While one policy is evaluated, the same question has the same answer.
/// - Values are of the [kind](ConditionKey::kind) of their key: others match nothing. A key that is
///   not [multivalued](ConditionKey::is_multivalued) has at most one.
/// - `aws:PrincipalArn` is not asked for: it is the principal of the request. `aws:PrincipalTag/...`
///   is asked for by [`attribute`](Self::attribute).
pub trait ConditionValues {
    /// An attribute that the application stated with the principal.
    fn attribute(&self, name: &str) -> Option<&str>;

    /// Calls `give` with each value of the key that the request has.
    fn values(&self, key: &ConditionKey, give: &mut dyn FnMut(Value<'_>));
}

/// No value at all.
impl ConditionValues for () {
    fn attribute(&self, _name: &str) -> Option<&str> {
        None
    }

    fn values(&self, _key: &ConditionKey, _give: &mut dyn FnMut(Value<'_>)) {}
}

/// Values that are written down, to try a policy out.
///
/// ```
/// use waxseal::kms::policy::{ConditionKey, GivenValues, Policy, Request, Resource};
/// use waxseal::kms::Operation;
///
/// let policy = Policy::from_json(r#"{
///     "Version": "2012-10-17",
///     "Statement": {
///         "Effect": "Allow",
///         "Principal": "svc:billing",
///         "Action": "kms:Decrypt",
///         "Resource": "*",
///         "Condition": {"StringEquals": {
///             "kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"
///         }}
///     }
/// }"#)?;
/// let tenant: ConditionKey = "kms:EncryptionContext:tenant".parse()?;
/// let values = GivenValues::new()
///     .with_attribute("tenant", "acme")
///     .with_text(tenant, "acme");
/// let request = Request::new("svc:billing", Operation::Decrypt, Resource::Store, &values);
/// assert!(policy.evaluate(&request).is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct GivenValues {
    attributes: BTreeMap<String, String>,
    values: BTreeMap<ConditionKey, Vec<GivenValue>>,
}

#[derive(Clone)]
enum GivenValue {
    Text(String),
    Number(u64),
    Date(Timestamp),
    Bool(bool),
}

impl GivenValues {
    /// No values yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the principal an attribute.
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Adds a text to the values of a key.
    pub fn with_text(self, key: ConditionKey, text: impl Into<String>) -> Self {
        self.with(key, GivenValue::Text(text.into()))
    }

    /// Adds a number to the values of a key.
    pub fn with_number(self, key: ConditionKey, number: u64) -> Self {
        self.with(key, GivenValue::Number(number))
    }

    /// Adds a moment to the values of a key.
    pub fn with_date(self, key: ConditionKey, date: Timestamp) -> Self {
        self.with(key, GivenValue::Date(date))
    }

    /// Adds true or false to the values of a key.
    pub fn with_bool(self, key: ConditionKey, value: bool) -> Self {
        self.with(key, GivenValue::Bool(value))
    }

    fn with(mut self, key: ConditionKey, value: GivenValue) -> Self {
        self.values.entry(key).or_default().push(value);
        self
    }
}

impl ConditionValues for GivenValues {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    fn values(&self, key: &ConditionKey, give: &mut dyn FnMut(Value<'_>)) {
        for value in self.values.get(key).into_iter().flatten() {
            give(match value {
                GivenValue::Text(text) => Value::Text(text),
                GivenValue::Number(number) => Value::Number(*number),
                GivenValue::Date(date) => Value::Date(*date),
                GivenValue::Bool(value) => Value::Bool(*value),
            });
        }
    }
}

/// Shows names alone.
impl fmt::Debug for GivenValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenValues")
            .field("attributes", &self.attributes.keys())
            .field("values", &self.values.keys())
            .finish()
    }
}
