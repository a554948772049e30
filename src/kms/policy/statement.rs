//! Statements and conditions, as they are put together in code or read from JSON.

use std::fmt;

use super::action::PREFIX;
use super::key::ConditionKey;
use super::operator::{Comparison, Operator, Quantifier};
use crate::clock::Timestamp;
use crate::kms::operation::Operation;
use crate::names::named;

/// What a statement does with the requests that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It allows them, unless another statement denies them.
    Allow,
    /// It denies them.
    Deny,
}

named!(Effect, "effect", {
    Allow => "Allow",
    Deny => "Deny",
});

/// A statement of a policy that is put together in code:
/// [`PolicyBuilder::statement`](super::PolicyBuilder::statement) takes it.
///
/// Who and which actions must be said. It is about all resources unless something is said of them,
/// which in the policy of a key is all that is needed. What is said more than once adds up.
#[derive(Clone)]
#[must_use]
pub struct Statement {
    pub(super) sid: Option<String>,
    pub(super) effect: Effect,
    /// `*` among the principals was meant, and is not a name.
    pub(super) everybody: bool,
    pub(super) principals: Named,
    pub(super) actions: Named,
    /// Nothing said is all of them.
    pub(super) resources: Option<Named>,
    pub(super) conditions: Vec<Condition>,
}

/// Who, what, or with what: the items named, or all others.
#[derive(Clone, Default)]
pub(super) struct Named {
    pub(super) all_but: bool,
    /// Some were named, and then all but some.
    pub(super) both: bool,
    pub(super) items: Vec<String>,
}

pub(super) const ALL: &str = "*";

impl Named {
    fn name(&mut self, all_but: bool, items: impl IntoIterator<Item = impl Into<String>>) {
        self.both |= !self.items.is_empty() && self.all_but != all_but;
        self.all_but = all_but;
        self.items.extend(items.into_iter().map(Into::into));
    }
}

impl Statement {
    /// A statement that allows.
    pub fn allow() -> Self {
        Self::new(Effect::Allow)
    }

    /// A statement that denies, whatever others allow.
    pub fn deny() -> Self {
        Self::new(Effect::Deny)
    }

    fn new(effect: Effect) -> Self {
        Self {
            sid: None,
            effect,
            everybody: false,
            principals: Named::default(),
            actions: Named::default(),
            resources: None,
            conditions: Vec::new(),
        }
    }

    /// Gives it an id, which no other statement of the policy has.
    pub fn sid(mut self, sid: impl Into<String>) -> Self {
        self.sid = Some(sid.into());
        self
    }

    /// It is about this principal, named in full; again, for one more.
    pub fn principal(self, principal: impl Into<String>) -> Self {
        self.principals([principal])
    }

    /// It is about these principals, named in full.
    pub fn principals(mut self, principals: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.principals.name(false, principals);
        self
    }

    /// It is about everybody. A principal that is called `*` is refused: only this says so.
    pub fn everybody(mut self) -> Self {
        self.everybody = true;
        self.principal(ALL)
    }

    /// It is about everybody but these. Only for statements that deny.
    pub fn everybody_but(
        mut self,
        principals: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.principals.name(true, principals);
        self
    }

    /// It is about these operations.
    pub fn actions(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.actions.name(false, operations.into_iter().map(action));
        self
    }

    /// It is about the operations of this pattern, such as `kms:Generate*`.
    pub fn actions_like(mut self, pattern: impl Into<String>) -> Self {
        self.actions.name(false, [pattern]);
        self
    }

    /// It is about all operations, those of later versions of this crate included.
    pub fn all_actions(self) -> Self {
        self.actions_like("kms:*")
    }

    /// It is about all operations but these.
    pub fn all_actions_but(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.actions.name(true, operations.into_iter().map(action));
        self
    }

    /// It is about these resources: `key/` and an id, `alias/` and the rest of a name, with
    /// wildcards, or `*`.
    pub fn resources(mut self, resources: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let named = self.resources.get_or_insert_default();
        named.name(false, resources);
        self
    }

    /// It is about all resources but these.
    pub fn all_resources_but(
        mut self,
        resources: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let named = self.resources.get_or_insert_default();
        named.name(true, resources);
        self
    }

    /// It matches only when the condition holds; again, when all of them hold.
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
}

fn action(operation: Operation) -> String {
    format!("{PREFIX}{operation}")
}

/// Shows no value of a condition.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("sid", &self.sid)
            .field("effect", &self.effect)
            .field("principals", &self.principals.items)
            .field("actions", &self.actions.items)
            .field(
                "resources",
                &self.resources.as_ref().map(|named| &named.items),
            )
            .field("conditions", &self.conditions)
            .finish()
    }
}

/// A condition of a statement: how a value of the request must compare with values given here.
#[derive(Clone)]
#[must_use]
pub struct Condition {
    pub(super) operator: Operator,
    pub(super) key: ConditionKey,
    pub(super) values: Vec<String>,
}

impl Condition {
    /// Compares the request's value of a key with each of these values, as texts: it holds when one
    /// of them compares so, or for a `Not` when none does.
    pub fn new(
        comparison: Comparison,
        key: ConditionKey,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            operator: comparison.into(),
            key,
            values: values.into_iter().map(Into::into).collect(),
        }
    }

    /// The request's value is this text.
    pub fn equals(key: ConditionKey, text: impl Into<String>) -> Self {
        Self::new(Comparison::StringEquals, key, [text])
    }

    /// The request's value is not this text, or there is none.
    pub fn not_equals(key: ConditionKey, text: impl Into<String>) -> Self {
        Self::new(Comparison::StringNotEquals, key, [text])
    }

    /// The request's value is of this form: `*` stands for any text, `?` for any character.
    pub fn like(key: ConditionKey, pattern: impl Into<String>) -> Self {
        Self::new(Comparison::StringLike, key, [pattern])
    }

    /// A value under a key of the encryption context equals an attribute of who acts: the condition
    /// that keeps tenants apart.
    pub fn context_equals_attribute(context_key: &str, attribute: &str) -> Self {
        Self::equals(
            ConditionKey::EncryptionContext(context_key.into()),
            format!("${{aws:PrincipalTag/{attribute}}}"),
        )
    }

    /// It is before this moment.
    pub fn before(date: Timestamp) -> Self {
        let key = ConditionKey::CurrentTime;
        Self::new(Comparison::DateLessThan, key, [date.to_string()])
    }

    /// The request has a value of the key.
    pub fn exists(key: ConditionKey) -> Self {
        Self::new(Comparison::Null, key, ["false"])
    }

    /// The request has no value of the key.
    pub fn is_missing(key: ConditionKey) -> Self {
        Self::new(Comparison::Null, key, ["true"])
    }

    /// It is true, or false.
    pub fn is(key: ConditionKey, value: bool) -> Self {
        Self::new(Comparison::Bool, key, [value.to_string()])
    }

    /// It holds also when the request has no value.
    pub fn if_exists(mut self) -> Self {
        self.operator.if_exists = true;
        self
    }

    /// Each of the request's values must compare so. Holds also when there is none.
    pub fn for_all_values(mut self) -> Self {
        self.operator.quantifier = Quantifier::ForAllValues;
        self
    }

    /// At least one of the request's values must compare so.
    pub fn for_any_value(mut self) -> Self {
        self.operator.quantifier = Quantifier::ForAnyValue;
        self
    }
}

/// Shows no value.
impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} on {}, {} values",
            self.operator,
            self.key,
            self.values.len()
        )
    }
}
