//! What can be asked of a KMS.

use super::key::KeyUsage;
use crate::names::named;

/// What is asked of a KMS: the action that a policy allows and an audit trail names.
///
/// The [names](Self::name) are those of AWS KMS where AWS has such an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Writes a backup. Not an action of AWS.
    BackUp,
    /// Takes back the scheduled deletion of a key.
    CancelKeyDeletion,
    /// Gives a key an alias.
    CreateAlias,
    /// Gives somebody a right to use a key.
    CreateGrant,
    /// Creates the key of a subject. Not an action of AWS.
    CreateSubject,
    /// Creates a key.
    CreateKey,
    /// Makes a version of a key that is not primary yet. Not an action of AWS.
    CreateKeyVersion,
    /// Decrypts, or unwraps a data key.
    Decrypt,
    /// Takes an alias away.
    DeleteAlias,
    /// Destroys imported material before its time.
    DeleteImportedKeyMaterial,
    /// Tells of a key.
    DescribeKey,
    /// Destroys an old version of a key. Not an action of AWS.
    DestroyKeyVersion,
    /// Tells of a subject. Not an action of AWS.
    DescribeSubject,
    /// Disables a key.
    DisableKey,
    /// Ends the automatic rotation of a key.
    DisableKeyRotation,
    /// Enables a key.
    EnableKey,
    /// Begins the automatic rotation of a key, or changes it.
    EnableKeyRotation,
    /// Encrypts a payload.
    Encrypt,
    /// Tells why somebody may do something or may not. Not an action of AWS.
    ExplainAccess,
    /// Destroys the key of a subject. Not an action of AWS.
    EraseSubject,
    /// Generates a data key and wraps it.
    GenerateDataKey,
    /// Generates a data key and gives out its wrapped form alone.
    GenerateDataKeyWithoutPlaintext,
    /// Makes a MAC.
    GenerateMac,
    /// Gives out random bytes.
    GenerateRandom,
    /// Gives out the policy of a key.
    GetKeyPolicy,
    /// Tells how a key is rotated.
    GetKeyRotationStatus,
    /// Gives out what is needed to import material.
    GetParametersForImport,
    /// Gives out a public key.
    GetPublicKey,
    /// Gives out the policy of the store. Not an action of AWS.
    GetStorePolicy,
    /// Imports material.
    ImportKeyMaterial,
    /// Lists aliases.
    ListAliases,
    /// Lists the grants of a key.
    ListGrants,
    /// Lists the policies of a key.
    ListKeyPolicies,
    /// Lists the versions of a key.
    ListKeyRotations,
    /// Lists keys.
    ListKeys,
    /// Lists the grants that a principal may retire.
    ListRetirableGrants,
    /// Makes a version of a key primary. Not an action of AWS.
    PromoteKeyVersion,
    /// Gives a key another policy.
    PutKeyPolicy,
    /// Gives the store another policy. Not an action of AWS.
    PutStorePolicy,
    /// Unwraps a data key in order to wrap it under another key.
    ReEncryptFrom,
    /// Wraps a data key that was wrapped under another key.
    ReEncryptTo,
    /// Reads the audit trail. Not an action of AWS.
    ReadAuditTrail,
    /// Puts all keys under another root key. Not an action of AWS.
    RekeyRoot,
    /// Brings the store to the state of a backup. Not an action of AWS.
    Restore,
    /// Gives a grant up.
    RetireGrant,
    /// Takes a grant back.
    RevokeGrant,
    /// Puts the keys of all subjects of a key under its primary version. Not an action of AWS.
    RewrapSubjects,
    /// Makes a new primary version of a key at once.
    RotateKeyOnDemand,
    /// Schedules the deletion of a key.
    ScheduleKeyDeletion,
    /// Signs.
    Sign,
    /// Puts tags on a key.
    TagResource,
    /// Takes tags off a key.
    UntagResource,
    /// Gives an alias to another key.
    UpdateAlias,
    /// Changes the description of a key.
    UpdateKeyDescription,
    /// Tells whether a proof of erasure is genuine. Not an action of AWS.
    VerifyErasure,
    /// Verifies a signature.
    Verify,
    /// Verifies the audit trail. Not an action of AWS.
    VerifyAuditTrail,
    /// Verifies a MAC.
    VerifyMac,
    /// Destroys the material of a key whose deletion is due. Done by
    /// [`tick`](super::KmsHandle::tick); AWS does it by itself and so names it in its trail.
    DeleteKey,
    /// Destroys imported material whose time is over. As `DeleteKey`.
    DeleteExpiredKeyMaterial,
    /// Makes and promotes the versions of an automatic rotation. As `DeleteKey`.
    RotateKey,
}

named!(Operation, "operation", {
    BackUp => "BackUp",
    CancelKeyDeletion => "CancelKeyDeletion",
    CreateAlias => "CreateAlias",
    CreateGrant => "CreateGrant",
    CreateSubject => "CreateSubject",
    CreateKey => "CreateKey",
    CreateKeyVersion => "CreateKeyVersion",
    Decrypt => "Decrypt",
    DeleteAlias => "DeleteAlias",
    DeleteImportedKeyMaterial => "DeleteImportedKeyMaterial",
    DescribeKey => "DescribeKey",
    DestroyKeyVersion => "DestroyKeyVersion",
    DescribeSubject => "DescribeSubject",
    DisableKey => "DisableKey",
    DisableKeyRotation => "DisableKeyRotation",
    EnableKey => "EnableKey",
    EnableKeyRotation => "EnableKeyRotation",
    Encrypt => "Encrypt",
    ExplainAccess => "ExplainAccess",
    EraseSubject => "EraseSubject",
    GenerateDataKey => "GenerateDataKey",
    GenerateDataKeyWithoutPlaintext => "GenerateDataKeyWithoutPlaintext",
    GenerateMac => "GenerateMac",
    GenerateRandom => "GenerateRandom",
    GetKeyPolicy => "GetKeyPolicy",
    GetKeyRotationStatus => "GetKeyRotationStatus",
    GetParametersForImport => "GetParametersForImport",
    GetPublicKey => "GetPublicKey",
    GetStorePolicy => "GetStorePolicy",
    ImportKeyMaterial => "ImportKeyMaterial",
    ListAliases => "ListAliases",
    ListGrants => "ListGrants",
    ListKeyPolicies => "ListKeyPolicies",
    ListKeyRotations => "ListKeyRotations",
    ListKeys => "ListKeys",
    ListRetirableGrants => "ListRetirableGrants",
    PromoteKeyVersion => "PromoteKeyVersion",
    PutKeyPolicy => "PutKeyPolicy",
    PutStorePolicy => "PutStorePolicy",
    ReEncryptFrom => "ReEncryptFrom",
    ReEncryptTo => "ReEncryptTo",
    ReadAuditTrail => "ReadAuditTrail",
    RekeyRoot => "RekeyRoot",
    Restore => "Restore",
    RetireGrant => "RetireGrant",
    RevokeGrant => "RevokeGrant",
    RewrapSubjects => "RewrapSubjects",
    RotateKeyOnDemand => "RotateKeyOnDemand",
    ScheduleKeyDeletion => "ScheduleKeyDeletion",
    Sign => "Sign",
    TagResource => "TagResource",
    UntagResource => "UntagResource",
    UpdateAlias => "UpdateAlias",
    UpdateKeyDescription => "UpdateKeyDescription",
    VerifyErasure => "VerifyErasure",
    Verify => "Verify",
    VerifyAuditTrail => "VerifyAuditTrail",
    VerifyMac => "VerifyMac",
    DeleteKey => "DeleteKey",
    DeleteExpiredKeyMaterial => "DeleteExpiredKeyMaterial",
    RotateKey => "RotateKey",
});

impl Operation {
    /// What a key must be for, if it is not the same to the operation.
    #[must_use]
    pub const fn usage(self) -> Option<KeyUsage> {
        match self {
            Self::CreateKeyVersion
            | Self::CreateSubject
            | Self::Decrypt
            | Self::DescribeSubject
            | Self::EraseSubject
            | Self::RewrapSubjects
            | Self::DestroyKeyVersion
            | Self::DisableKeyRotation
            | Self::EnableKeyRotation
            | Self::Encrypt
            | Self::GenerateDataKey
            | Self::GenerateDataKeyWithoutPlaintext
            | Self::PromoteKeyVersion
            | Self::ReEncryptFrom
            | Self::ReEncryptTo
            | Self::RotateKeyOnDemand
            | Self::RotateKey => Some(KeyUsage::EncryptDecrypt),
            Self::GetPublicKey | Self::Sign | Self::Verify => Some(KeyUsage::SignVerify),
            Self::GenerateMac | Self::VerifyMac => Some(KeyUsage::GenerateVerifyMac),
            _ => None,
        }
    }

    /// Whether it wraps a data key under the primary version, which counts towards the budget of
    /// that version.
    pub(super) const fn wraps(self) -> bool {
        matches!(
            self,
            Self::Encrypt
                | Self::GenerateDataKey
                | Self::GenerateDataKeyWithoutPlaintext
                | Self::ReEncryptTo
        )
    }
}
