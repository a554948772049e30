use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::context::EncryptionContext;

/// The contexts under which a grant allows what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantConstraint {
    /// Exactly this one.
    Equals(EncryptionContext),
    /// Those that have all these pairs, and maybe more.
    Subset(EncryptionContext),
}

impl GrantConstraint {
    /// Whether a context is one of them.
    #[must_use]
    pub fn allows(&self, context: &EncryptionContext) -> bool {
        match self {
            Self::Equals(equal) => equal == context,
            Self::Subset(pairs) => has_all(context, pairs),
        }
    }

    /// Whether each context that this allows is one that `other` allows.
    pub(super) fn is_at_least_as_strict_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equals(context) | Self::Subset(context), Self::Subset(pairs)) => {
                has_all(context, pairs)
            }
            (Self::Equals(context), Self::Equals(other)) => context == other,
            (Self::Subset(_), Self::Equals(_)) => false,
        }
    }

    /// The name of its kind, as conditions of policies and records have it.
    pub(in crate::kms) fn kind(&self) -> &'static str {
        match self {
            Self::Equals(_) => EQUALS,
            Self::Subset(_) => SUBSET,
        }
    }

    pub(in crate::kms) fn context(&self) -> &EncryptionContext {
        match self {
            Self::Equals(context) | Self::Subset(context) => context,
        }
    }
}

const EQUALS: &str = "EncryptionContextEquals";
const SUBSET: &str = "EncryptionContextSubset";

fn has_all(context: &EncryptionContext, pairs: &EncryptionContext) -> bool {
    pairs
        .iter()
        .all(|(key, value)| context.get(key) == Some(value))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kind: String,
    context: BTreeMap<String, String>,
}

impl Serialize for GrantConstraint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.context().iter();
        let stored = Stored {
            kind: self.kind().to_owned(),
            context: pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GrantConstraint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let context = EncryptionContext::new(stored.context).map_err(serde::de::Error::custom)?;
        match stored.kind.as_str() {
            EQUALS => Ok(Self::Equals(context)),
            SUBSET => Ok(Self::Subset(context)),
            _ => Err(serde::de::Error::custom("no kind of constraint")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn context() -> impl Strategy<Value = EncryptionContext> {
        btree_map("[a-c]", "[xy]", 0..4).prop_map(|pairs| EncryptionContext::new(pairs).unwrap())
    }

    fn constraint() -> impl Strategy<Value = GrantConstraint> {
        prop_oneof![
            context().prop_map(GrantConstraint::Equals),
            context().prop_map(GrantConstraint::Subset),
        ]
    }

    proptest! {
        /// Delegation cannot widen, whatever the context.
        #[test]
        fn what_is_as_strict_allows_no_more(
            child in constraint(),
            parent in constraint(),
            context in context(),
        ) {
            if child.is_at_least_as_strict_as(&parent) && child.allows(&context) {
                prop_assert!(parent.allows(&context));
            }
        }

        #[test]
        fn a_constraint_is_stored_as_it_is(constraint in constraint()) {
            let text = serde_json::to_string(&constraint).unwrap();
            let read: GrantConstraint = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read, constraint);
        }
    }

    #[test]
    fn a_subset_is_not_as_strict_as_the_same_whole() {
        let context = EncryptionContext::new([("tenant", "a")]).unwrap();
        let equals = GrantConstraint::Equals(context.clone());
        let subset = GrantConstraint::Subset(context);
        assert!(equals.is_at_least_as_strict_as(&subset));
        assert!(!subset.is_at_least_as_strict_as(&equals));
        assert!(equals.is_at_least_as_strict_as(&equals));
    }
}
