use super::super::error::AuditError;
use super::super::read::Place;

/// Why a trail was not verified.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyTrailError {
    /// The trail could not be read.
    #[error(transparent)]
    Read(#[from] AuditError),
    /// The trail is not what was written.
    #[error("{0}")]
    Tampered(Finding),
}

/// The first thing in a trail that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, where the trail should have sequence {sequence}: {what}")]
#[non_exhaustive]
pub struct Finding {
    /// Where. Of what is missing: the line after it, or the last there is.
    pub place: Place,
    /// The sequence of the line that belongs there.
    pub sequence: u64,
    /// What is wrong.
    pub what: Tampering,
}

/// What is wrong with a trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Tampering {
    /// The line is not the one that was written.
    #[error("the line was changed")]
    Altered,
    /// Lines were taken out before this one.
    #[error("lines are missing, up to sequence {until}")]
    Missing {
        /// The sequence of the last one missing.
        until: u64,
    },
    /// The line belongs elsewhere, and what belongs here is elsewhere.
    #[error("the line belongs where sequence {belongs} is")]
    Reordered {
        /// Its sequence.
        belongs: u64,
    },
    /// The line was put in.
    #[error("the line was added")]
    Added,
    /// The checkpoint is not signed by its signer. The lines before may be forged, back to the
    /// checkpoint before.
    #[error(
        "the signature of this checkpoint is wrong, so the lines before it may be forged{}",
        since(.signed_through)
    )]
    Forged {
        /// The sequence of the last checkpoint that is good.
        signed_through: Option<u64>,
    },
    /// The checkpoint is signed by nobody whose key was given.
    #[error("this checkpoint is signed by {signer}, whose key is none of those to trust")]
    UnknownSigner {
        /// What names the key.
        signer: String,
    },
    /// The end was cut off.
    #[error("the trail ends here, and its head was sealed at sequence {head}: lines were cut off")]
    Truncated {
        /// The sequence of the head.
        head: u64,
    },
    /// The line is not the one that the head was sealed at.
    #[error(
        "the line is not the one that the head was sealed at, so it or lines before are forged"
    )]
    NotTheHead,
    /// It is another trail than that of the head.
    #[error("this is another trail than the one whose head was given")]
    OtherTrail,
    /// Of this trail there is no head, though there should be: it may be another than was written.
    #[error("no head of this trail is kept, so it is not one that this KMS has written")]
    NoHead,
    /// A newer version of this crate wrote the line.
    #[error("a newer version of waxseal wrote this line; use that version to verify it")]
    Newer,
}

fn since(signed_through: &Option<u64>) -> String {
    match signed_through {
        Some(sequence) => format!(", back to sequence {sequence}"),
        None => String::new(),
    }
}
