//! What may be done with a key in which state.

use super::error::KmsError;
use super::key::{KeyOrigin, KeyState};
use super::operation::Operation;
use super::record::KeyRecord;

/// What a state of a key means to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// It is done.
    Allowed,
    /// It is refused, with [`KmsError::InvalidState`].
    Refused,
    /// It is done with keys whose provider makes their material, and otherwise refused with
    /// [`KmsError::InvalidOrigin`].
    IfProvider,
    /// It is done with keys whose material is imported, and otherwise refused with
    /// [`KmsError::InvalidOrigin`].
    IfExternal,
}

impl Operation {
    /// What may be done with a key in which state: the table of AWS KMS. `None` for operations that
    /// are not about one key, and for those that [`tick`](super::KmsHandle::tick) does by itself.
    ///
    /// Where AWS leaves a cell out because it has no such key (MACs and signatures by keys with
    /// imported material or in a key store that is not connected), it is as for encryption. For
    /// `UpdateAlias` it is about the key that the alias is given to; the one that loses it may be
    /// in any state.
    #[must_use]
    pub const fn rule(self, state: KeyState) -> Option<Rule> {
        let Some(
            [
                enabled,
                disabled,
                pending_deletion,
                pending_import,
                unavailable,
            ],
        ) = row(self)
        else {
            return None;
        };
        Some(match state {
            KeyState::Enabled => enabled,
            KeyState::Disabled => disabled,
            KeyState::PendingDeletion => pending_deletion,
            KeyState::PendingImport => pending_import,
            KeyState::Unavailable => unavailable,
        })
    }
}

/// Refuses an operation that the key is not fit for.
pub(super) fn check(
    operation: Operation,
    record: &KeyRecord,
    state: KeyState,
) -> Result<(), KmsError> {
    let key = record.key;
    if let Some(usage) = operation.usage()
        && usage != record.usage
    {
        return Err(KmsError::InvalidUsage {
            key,
            usage: record.usage,
            operation,
        });
    }
    let allowed = match operation.rule(state) {
        None | Some(Rule::Allowed) => return Ok(()),
        Some(Rule::Refused) => {
            return Err(KmsError::InvalidState {
                key,
                state,
                operation,
            });
        }
        Some(Rule::IfProvider) => KeyOrigin::Provider,
        Some(Rule::IfExternal) => KeyOrigin::External,
    };
    if record.origin == allowed {
        Ok(())
    } else {
        Err(KmsError::InvalidOrigin {
            key,
            origin: record.origin,
            operation,
        })
    }
}

#[rustfmt::skip]
const fn row(operation: Operation) -> Option<[Rule; 5]> {
    use Operation as Op;
    use Rule::{Allowed as V, IfExternal as E, IfProvider as P, Refused as X};

    Some(match operation {
        //                                  Enabled
        //                                  |  Disabled
        //                                  |  |  PendingDeletion
        //                                  |  |  |  PendingImport
        //                                  |  |  |  |  Unavailable
        Op::CancelKeyDeletion               => [X, X, V, X, X],
        Op::CreateAlias                     => [V, V, X, V, V],
        Op::CreateGrant                     => [V, X, X, X, V],
        Op::CreateSubject                   => [V, X, X, X, X],
        Op::CreateKeyVersion                => [P, X, X, P, X],
        Op::Decrypt                         => [V, X, X, X, X],
        Op::DeleteAlias                     => [V, V, V, V, V],
        Op::DeleteImportedKeyMaterial       => [E, E, E, V, X],
        Op::DescribeKey                     => [V, V, V, V, V],
        Op::DestroyKeyVersion               => [P, P, X, X, X],
        Op::DescribeSubject                 => [V, V, V, V, V],
        Op::DisableKey                      => [V, V, X, X, V],
        Op::DisableKeyRotation              => [P, X, X, P, X],
        Op::EnableKey                       => [V, V, X, X, V],
        Op::EnableKeyRotation               => [P, X, X, P, X],
        Op::Encrypt                         => [V, X, X, X, X],
        Op::EraseSubject                    => [V, V, V, V, V],
        Op::GenerateDataKey                 => [V, X, X, X, X],
        Op::GenerateDataKeyWithoutPlaintext => [V, X, X, X, X],
        Op::GenerateMac                     => [V, X, X, X, X],
        Op::GetKeyPolicy                    => [V, V, V, V, V],
        Op::GetKeyRotationStatus            => [P, P, P, P, X],
        Op::GetParametersForImport          => [E, E, X, V, X],
        Op::GetPublicKey                    => [V, X, X, X, X],
        Op::ImportKeyMaterial               => [E, E, X, V, X],
        Op::ListAliases                     => [V, V, V, V, V],
        Op::ListGrants                      => [V, V, V, V, V],
        Op::ListKeyPolicies                 => [V, V, V, V, V],
        Op::ListKeyRotations                => [V, V, V, V, V],
        Op::PromoteKeyVersion               => [P, X, X, P, X],
        Op::PutKeyPolicy                    => [V, V, V, V, V],
        Op::ReEncryptFrom                   => [V, X, X, X, X],
        Op::ReEncryptTo                     => [V, X, X, X, X],
        Op::RetireGrant                     => [V, V, V, V, V],
        Op::RevokeGrant                     => [V, V, V, V, V],
        Op::RewrapSubjects                  => [V, X, X, X, X],
        Op::RotateKeyOnDemand               => [P, X, X, P, X],
        Op::ScheduleKeyDeletion             => [V, V, X, V, V],
        Op::Sign                            => [V, X, X, X, X],
        Op::TagResource                     => [V, V, X, V, V],
        Op::UntagResource                   => [V, V, X, V, V],
        Op::UpdateAlias                     => [V, V, X, V, V],
        Op::UpdateKeyDescription            => [V, V, X, V, V],
        Op::Verify                          => [V, X, X, X, X],
        Op::VerifyMac                       => [V, X, X, X, X],
        Op::CreateKey
        | Op::ExplainAccess
        | Op::GenerateRandom
        | Op::GetStorePolicy
        | Op::ListKeys
        | Op::ListRetirableGrants
        | Op::PutStorePolicy
        | Op::ReadAuditTrail
        | Op::VerifyAuditTrail
        | Op::DeleteKey
        | Op::DeleteExpiredKeyMaterial
        | Op::RotateKey
        | Op::BackUp
        | Op::VerifyErasure
        | Op::RekeyRoot
        | Op::Restore => return None,
    })
}
