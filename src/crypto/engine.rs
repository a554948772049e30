/// Which library encrypts and decrypts payloads. The bytes are the same; the speed is not.
///
/// Keys are wrapped and derived, and everything is hashed, by RustCrypto always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Engine {
    /// The faster one of those that are compiled in: AWS-LC with the feature `aws-lc`, else
    /// RustCrypto.
    #[default]
    Auto,
    /// RustCrypto: all Rust.
    RustCrypto,
    /// AWS-LC: C and assembler.
    ///
    /// It keeps each key, some 600 bytes, in C's heap, and erases it there. So the calls that
    /// allocate nothing do allocate that.
    #[cfg(feature = "aws-lc")]
    AwsLc,
}

/// What an [`Engine`] stands for where this is compiled.
#[derive(Clone, Copy)]
pub(super) enum Chosen {
    RustCrypto,
    #[cfg(feature = "aws-lc")]
    AwsLc,
}

impl Engine {
    #[cfg(test)]
    pub(crate) const EACH: &[Self] = &[
        Self::RustCrypto,
        #[cfg(feature = "aws-lc")]
        Self::AwsLc,
    ];

    pub(super) fn chosen(self) -> Chosen {
        match self {
            #[cfg(feature = "aws-lc")]
            Self::Auto | Self::AwsLc => Chosen::AwsLc,
            #[cfg(not(feature = "aws-lc"))]
            Self::Auto => Chosen::RustCrypto,
            Self::RustCrypto => Chosen::RustCrypto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Engine;
    use crate::crypto::{Aead, AeadAlgorithm, Keyed};

    #[test]
    fn each_is_taken_when_asked_for() {
        let is_rust = |engine| {
            let Aead(keyed) = Aead::new(engine, AeadAlgorithm::Aes256Gcm, &[7; 32]);
            matches!(keyed, Keyed::RustCrypto(_))
        };
        assert!(is_rust(Engine::RustCrypto));
        assert_eq!(is_rust(Engine::Auto), cfg!(not(feature = "aws-lc")));
        #[cfg(feature = "aws-lc")]
        assert!(!is_rust(Engine::AwsLc));
    }
}
