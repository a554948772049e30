//! What conditions may ask about: the one table of condition keys.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::action::ActionSet;
use super::error::PolicyProblem;
use super::near::near;
use crate::crypto::{ImportWrapping, MacAlgorithm, SigningAlgorithm};
use crate::kms::key::{KeyOrigin, KeyUsage};
use crate::kms::operation::Operation;
use crate::names::UnknownName;
use crate::provider::KeySpec;

/// The kind of a key's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// A moment.
    Date,
    /// A moment, which can also be compared as a number: seconds since 1970.
    Epoch,
    /// True or false.
    Bool,
}

/// What the table has of a key.
struct Row {
    kind: ValueKind,
    /// Whether a request may have several values.
    many: bool,
    given: ActionSet,
    /// Says whether a text can be a value, where not every text can.
    vocabulary: Option<Vocabulary>,
}

/// Refuses a text that is never a value.
type Vocabulary = fn(&str) -> Result<(), UnknownName>;

macro_rules! condition_keys {
    (
        with_name { $($(#[$named_doc:meta])* $named:ident => $prefix:literal, $named_row:expr;)+ }
        alone { $($(#[$doc:meta])* $key:ident => $name:literal, $row:expr;)+ }
    ) => {
        /// What a condition asks about.
        ///
        /// As text it is what stands in a policy. Case is not looked at when it is read, except in
        /// the part that the application chose: `kms:EncryptionContext:Tenant` and
        /// `kms:EncryptionContext:tenant` are two, as they are to a context.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ConditionKey {
            $($(#[$named_doc])* $named(Arc<str>),)+
            $($(#[$doc])* $key,)+
        }

        impl ConditionKey {
            fn row(&self) -> Row {
                match self {
                    $(Self::$named(_) => $named_row,)+
                    $(Self::$key => $row,)+
                }
            }
        }

        impl fmt::Display for ConditionKey {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$named(name) => write!(f, "{}{name}", $prefix),)+
                    $(Self::$key => f.write_str($name),)+
                }
            }
        }

        /// Each as text; those that a name follows, as what comes before it.
        pub(super) const NAMES: &[&str] = &[$($prefix,)+ $($name,)+];

        fn find(text: &str) -> Option<ConditionKey> {
            $(
                if let Some(name) = strip_prefix_ignoring_case(text, $prefix)
                    && is_name(name)
                {
                    return Some(ConditionKey::$named(name.into()));
                }
            )+
            $(
                if text.eq_ignore_ascii_case($name) {
                    return Some(ConditionKey::$key);
                }
            )+
            None
        }
    };
}

condition_keys! {
    with_name {
        /// The value under a key of the encryption context; of a grant that is created, that of its
        /// constraint.
        EncryptionContext => "kms:EncryptionContext:", Row::text(CONTEXT);
        /// An attribute of who acts, which the application stated with the principal.
        PrincipalTag => "aws:PrincipalTag/", Row::text(ActionSet::ALL);
        /// A tag of the key.
        ResourceTag => "aws:ResourceTag/", Row::text(KEYS);
        /// A tag that the key is to get.
        RequestTag => "aws:RequestTag/", Row::text(TAGGED);
    }
    alone {
        /// The keys of the encryption context. Several.
        EncryptionContextKeys => "kms:EncryptionContextKeys", Row::text(CONTEXT).many();
        /// Who is to get a grant.
        GranteePrincipal => "kms:GranteePrincipal", Row::text(GRANTING);
        /// Who is to be able to retire a grant.
        RetiringPrincipal => "kms:RetiringPrincipal", Row::text(GRANTING);
        /// The operations of a grant, without `kms:`. Several.
        GrantOperations => "kms:GrantOperations",
            Row::text(GRANTING).many().of(|word| word.parse::<Operation>().map(drop));
        /// The constraint of a grant: `EncryptionContextEquals` or `EncryptionContextSubset`.
        GrantConstraintType => "kms:GrantConstraintType",
            Row::text(GRANTING).of(|word| one_of("grant constraint", GRANT_CONSTRAINTS, word));
        /// The [spec](KeySpec) of the key.
        KeySpec => "kms:KeySpec",
            Row::text(KEYS_AND_NEW).of(|word| word.parse::<KeySpec>().map(drop));
        /// The [usage](KeyUsage) of the key.
        KeyUsage => "kms:KeyUsage",
            Row::text(KEYS_AND_NEW).of(|word| word.parse::<KeyUsage>().map(drop));
        /// Who made the key's material: its [origin](KeyOrigin).
        KeyOrigin => "kms:KeyOrigin",
            Row::text(KEYS_AND_NEW).of(|word| word.parse::<KeyOrigin>().map(drop));
        /// The alias by which the request named the key, if it did.
        RequestAlias => "kms:RequestAlias", Row::text(KEYS);
        /// The aliases of the key. Several.
        ResourceAliases => "kms:ResourceAliases", Row::text(KEYS).many();
        /// For how many days a deletion is to wait.
        ScheduleKeyDeletionPendingWindowInDays => "kms:ScheduleKeyDeletionPendingWindowInDays",
            Row::new(ValueKind::Number, ActionSet::of(&[Operation::ScheduleKeyDeletion]));
        /// After how many days a key is to be rotated.
        RotationPeriodInDays => "kms:RotationPeriodInDays",
            Row::new(ValueKind::Number, ROTATING);
        /// The [signing algorithm](SigningAlgorithm).
        SigningAlgorithm => "kms:SigningAlgorithm",
            Row::text(SIGNING).of(|word| word.parse::<SigningAlgorithm>().map(drop));
        /// The [MAC algorithm](MacAlgorithm).
        MacAlgorithm => "kms:MacAlgorithm",
            Row::text(MAC).of(|word| word.parse::<MacAlgorithm>().map(drop));
        /// What is signed: `RAW` for a message, `DIGEST` for its digest.
        MessageType => "kms:MessageType",
            Row::text(SIGNING).of(|word| one_of("message type", MESSAGE_TYPES, word));
        /// How material that is imported is [wrapped](ImportWrapping).
        WrappingAlgorithm => "kms:WrappingAlgorithm",
            Row::text(ActionSet::of(&[Operation::GetParametersForImport]))
                .of(|word| word.parse::<ImportWrapping>().map(drop));
        /// Whether material that is imported expires: `KEY_MATERIAL_EXPIRES` or
        /// `KEY_MATERIAL_DOES_NOT_EXPIRE`.
        ExpirationModel => "kms:ExpirationModel",
            Row::text(IMPORT).of(|word| one_of("expiration model", EXPIRATION_MODELS, word));
        /// When material that is imported expires, if it does.
        ValidTo => "kms:ValidTo", Row::new(ValueKind::Date, IMPORT);
        /// Whether a policy is to be put though its author could not change it again.
        BypassPolicyLockoutSafetyCheck => "kms:BypassPolicyLockoutSafetyCheck",
            Row::new(ValueKind::Bool, PUTTING);
        /// Whether a data key is to be wrapped again under the key that it was under.
        ReEncryptOnSameKey => "kms:ReEncryptOnSameKey", Row::new(ValueKind::Bool, RE_ENCRYPTING);
        /// The keys of the tags that are put on a key, or taken off. Several.
        TagKeys => "aws:TagKeys", Row::text(TAGGING).many();
        /// Who acts.
        PrincipalArn => "aws:PrincipalArn", Row::text(ActionSet::ALL);
        /// The date and time.
        CurrentTime => "aws:CurrentTime", Row::new(ValueKind::Date, ActionSet::ALL);
        /// The date and time, as seconds since 1970.
        EpochTime => "aws:EpochTime", Row::new(ValueKind::Epoch, ActionSet::ALL);
    }
}

const KEYS: ActionSet = {
    let mut keys = ActionSet::NONE;
    let mut rest = Operation::ALL;
    while let [first, after @ ..] = rest {
        if first.rule(crate::kms::key::KeyState::Enabled).is_some() {
            keys = keys.union(ActionSet::of(&[*first]));
        }
        rest = after;
    }
    // The aliases that are listed are those of all keys.
    let keys = keys.intersection(ActionSet::of(&[Operation::ListAliases]).complement());
    // In any state of it: what is explained of a key, and what is done to it when it is due.
    keys.union(ActionSet::of(&[
        Operation::ExplainAccess,
        Operation::DeleteKey,
        Operation::DeleteExpiredKeyMaterial,
        Operation::RotateKey,
    ]))
};
const KEYS_AND_NEW: ActionSet = KEYS.union(ActionSet::of(&[Operation::CreateKey]));
const GRANTING: ActionSet = ActionSet::of(&[Operation::CreateGrant]);
const SIGNING: ActionSet = ActionSet::of(&[Operation::Sign, Operation::Verify]);
const MAC: ActionSet = ActionSet::of(&[Operation::GenerateMac, Operation::VerifyMac]);
const IMPORT: ActionSet = ActionSet::of(&[Operation::ImportKeyMaterial]);
const ROTATING: ActionSet = ActionSet::of(&[Operation::EnableKeyRotation, Operation::CreateKey]);
const RE_ENCRYPTING: ActionSet = ActionSet::of(&[Operation::ReEncryptFrom, Operation::ReEncryptTo]);
const TAGGED: ActionSet = ActionSet::of(&[Operation::CreateKey, Operation::TagResource]);
const TAGGING: ActionSet = TAGGED.union(ActionSet::of(&[Operation::UntagResource]));
const PUTTING: ActionSet = ActionSet::of(&[
    Operation::CreateKey,
    Operation::PutKeyPolicy,
    Operation::PutStorePolicy,
]);
const CONTEXT: ActionSet = ActionSet::of(&[
    Operation::CreateGrant,
    Operation::Decrypt,
    Operation::Encrypt,
    Operation::GenerateDataKey,
    Operation::GenerateDataKeyWithoutPlaintext,
    Operation::ReEncryptFrom,
    Operation::ReEncryptTo,
]);

const GRANT_CONSTRAINTS: &[&str] = &["EncryptionContextEquals", "EncryptionContextSubset"];
const MESSAGE_TYPES: &[&str] = &["RAW", "DIGEST"];
const EXPIRATION_MODELS: &[&str] = &["KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"];

fn one_of(
    what: &'static str,
    known: &'static [&'static str],
    word: &str,
) -> Result<(), UnknownName> {
    if known.contains(&word) {
        Ok(())
    } else {
        Err(UnknownName::new(what, known))
    }
}

impl Row {
    const fn new(kind: ValueKind, given: ActionSet) -> Self {
        Self {
            kind,
            many: false,
            given,
            vocabulary: None,
        }
    }

    const fn text(given: ActionSet) -> Self {
        Self::new(ValueKind::Text, given)
    }

    const fn many(mut self) -> Self {
        self.many = true;
        self
    }

    const fn of(mut self, vocabulary: Vocabulary) -> Self {
        self.vocabulary = Some(vocabulary);
        self
    }
}

impl ConditionKey {
    /// The kind of its values.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        self.row().kind
    }

    /// Whether a request may have several values, so that conditions need `ForAllValues:` or
    /// `ForAnyValue:`.
    #[must_use]
    pub fn is_multivalued(&self) -> bool {
        self.row().many
    }

    /// Whether requests for the operation may have a value.
    #[must_use]
    pub fn is_given_for(&self, operation: Operation) -> bool {
        self.row().given.contains(operation)
    }

    pub(super) fn given(&self) -> ActionSet {
        self.row().given
    }

    pub(super) fn check_word(&self, word: &str) -> Result<(), UnknownName> {
        self.row().vocabulary.map_or(Ok(()), |check| check(word))
    }
}

impl FromStr for ConditionKey {
    type Err = PolicyProblem;

    fn from_str(text: &str) -> Result<Self, PolicyProblem> {
        find(text).ok_or_else(|| PolicyProblem::UnknownKey {
            key: text.to_owned(),
            near: near(text, NAMES.iter().copied()),
        })
    }
}

/// Neither a wildcard nor a variable stands for a name, so it is none that somebody means.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('*') && !name.contains("${")
}

pub(super) fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
