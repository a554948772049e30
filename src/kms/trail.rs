//! Reading and verifying the audit trail, by those who may.

use super::KmsHandle;
use super::error::KmsError;
use super::operation::Operation;
use crate::audit::{
    AuditQuery, AuditRecord, AuditTrail, TrailReader, Verification, Verified, VerifyTrailError,
};

impl KmsHandle {
    /// Looks for records in a trail, and returns those that a query wants.
    ///
    /// # Errors
    ///
    /// [`KmsError::Audit`] when the trail cannot be read.
    pub fn read_audit_trail(
        &self,
        lines: TrailReader<'_>,
        query: &AuditQuery,
    ) -> Result<Vec<AuditRecord>, KmsError> {
        self.gate()
            .perform_on_store(Operation::ReadAuditTrail, |_| {
                Ok(query.over(lines).collect::<Result<_, _>>()?)
            })
    }

    /// Verifies the trail of this KMS: that nothing in it was changed, and that its end is not before
    /// the head that the store keeps. A trail of which the store keeps no head is refused. To `against`
    /// it adds that head, and the key of MACs.
    ///
    /// # Errors
    ///
    /// [`KmsError::VerifyTrail`] with the first line that is not as it was written,
    /// [`KmsError::NoTrail`] when this KMS was opened without one, and the failures of the store.
    pub fn verify_audit_trail(
        &self,
        lines: TrailReader<'_>,
        against: &Verification<'_>,
    ) -> Result<Verified, KmsError> {
        self.gate()
            .perform_on_store(Operation::VerifyAuditTrail, |kms| {
                let trail = kms.trail.as_ref().ok_or(KmsError::NoTrail)?;
                verify(trail, lines, against.clone())
            })
    }
}

fn verify<'t>(
    trail: &'t AuditTrail,
    lines: TrailReader<'_>,
    against: Verification<'t>,
) -> Result<Verified, KmsError> {
    let mut against = against.trusting_macs(trail.key()).needing_head();
    if let Some(head) = trail.head()? {
        against = against.with_head(head);
    }
    against.verify(lines).map_err(|error| match error {
        VerifyTrailError::Read(error) => KmsError::Audit(error),
        error => KmsError::VerifyTrail(Box::new(error)),
    })
}
