//! A record, as it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{EventId, Outcome, ParameterValue};
use super::line::LineHash;
use crate::clock::Timestamp;
use crate::format::{KeyId, KeyVersion};

/// A record of a trail. With serde it is the JSON that the trail has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditRecord {
    /// The version of the line's format.
    #[serde(rename = "eventVersion")]
    pub version: u32,
    /// The number of the line in its trail.
    pub sequence: u64,
    /// The hash of the line before.
    pub prev: LineHash,
    #[serde(rename = "eventType")]
    kind: RecordKind,
    /// When it was recorded, by the clock of who recorded it.
    #[serde(rename = "eventTime")]
    pub time: Timestamp,
    /// Names the record: the same in each sink.
    #[serde(rename = "eventID")]
    pub id: EventId,
    /// Names the call: the same in all records that it made.
    #[serde(rename = "requestID")]
    pub request_id: String,
    /// Who acted.
    #[serde(rename = "userIdentity")]
    pub identity: Identity,
    /// What was done or tried: `kms:Decrypt`.
    #[serde(rename = "eventName")]
    pub action: String,
    /// The key.
    #[serde(rename = "keyId", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// The version of the key that was used.
    #[serde(
        rename = "keyVersion",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub key_version: Option<KeyVersion>,
    /// What was asked for.
    #[serde(
        rename = "requestParameters",
        default,
        skip_serializing_if = "RequestParameters::is_empty"
    )]
    pub parameters: RequestParameters,
    /// What came of it.
    pub outcome: Outcome,
    /// The kind of error.
    #[serde(rename = "errorCode", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What allowed or denied it: `key-policy:Sid`, `store-policy:Sid`, `grant:id` or `none`.
    #[serde(rename = "decidedBy", default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// Whether it was only tried whether it would be allowed.
    #[serde(rename = "dryRun", default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Where the call came from, as the application said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source: BTreeMap<String, String>,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Identity {
    /// The principal.
    #[serde(rename = "principalId")]
    pub principal: String,
    /// What the application said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestParameters {
    /// How the key was named, where that was not by its id.
    #[serde(rename = "keyId", default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The encryption context: its values, or `hmac:` and a hash of each
    /// ([`AuditKey::hash_value`](super::AuditKey::hash_value)).
    #[serde(
        rename = "encryptionContext",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub context: BTreeMap<String, String>,
    /// What else was asked for.
    #[serde(flatten)]
    pub others: BTreeMap<String, ParameterValue<'static>>,
}

impl RequestParameters {
    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.selector.is_none() && self.context.is_empty() && self.others.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum RecordKind {
    #[serde(rename = "record")]
    Record,
}
