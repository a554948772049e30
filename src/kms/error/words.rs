//! What errors say of the states that things are in.

use crate::format::{KeyId, KeyVersion};
use crate::kms::key::{KeyState, VersionState};
use crate::kms::operation::Operation;
use crate::provider::ProviderError;

pub(super) fn advice(state: KeyState, operation: Operation) -> &'static str {
    match (state, operation) {
        (KeyState::PendingDeletion, _) => "to be deleted; cancel its deletion first",
        (_, Operation::CancelKeyDeletion) => "not to be deleted; there is nothing to cancel",
        (KeyState::Enabled, _) => "enabled",
        (KeyState::Disabled, _) => "disabled; enable it first",
        (KeyState::PendingImport, _) => "without material; import it first",
        (KeyState::Unavailable, _) => {
            "unavailable: its provider was not given to this Kms; open it with that provider"
        }
    }
}

pub(super) fn named(key: KeyId, version: Option<KeyVersion>) -> String {
    match version {
        Some(version) => format!("version {version} of the key {key}"),
        None => format!("the key {key}"),
    }
}

pub(super) fn version_advice(state: VersionState) -> &'static str {
    match state {
        VersionState::Pending => "not primary yet; promote it first",
        VersionState::Enabled => "past waiting to be promoted; promote a version that waits",
        VersionState::PendingImport => "without material; import it again",
        VersionState::Destroyed => "destroyed",
    }
}

pub(super) fn root_advice(provider: &str, source: &ProviderError) -> String {
    match source {
        ProviderError::Rejected | ProviderError::OtherRootKey => format!(
            " by the provider {provider}; give the root key or the token that the store was created with, or was moved to since"
        ),
        other => format!(": {other}"),
    }
}
