//! Messages of a newer format, told from what is no message.

use super::codec::Reader;
use super::entries::KeyEntry;
use super::header::{FLAG_SALT, header_kind};
use super::{FormatError, SALT_LEN, Suite};

/// How much is at hand of the wrapped keys of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    All,
    /// Some are cut off.
    Part,
}

/// Lets the front of a message pass, or of a header for records, that is of a version or a suite
/// that is not known here: its wrapped keys, as far as they are there, are laid out as in version 1,
/// and at least one is of a known kind.
///
/// The first byte does not tell: versions 2 to 7 are the characters of ASCII. No text passes, because
/// the tags of the known kinds are none of these characters. Of random bytes, one input in some
/// thousands does. Of keys and certificates in DER up to one in ten does, but hardly any that has
/// [all](Extent::All) of its wrapped keys.
///
/// # Errors
///
/// [`FormatError::Truncated`] if more bytes are needed to tell, any other if it is nothing of the kind.
pub(crate) fn check_newer(front: &[u8]) -> Result<Extent, FormatError> {
    let mut reader = Reader::new(front);
    let version_byte = reader.u8("version")?;
    let flags = reader.u8("flags")?;
    match Suite::from_version_byte(version_byte) {
        Err(FormatError::UnsupportedVersion { .. }) => {}
        // All suites of version 1 have its flags, and what gzip writes has not.
        Err(FormatError::UnsupportedSuite { .. }) => drop(header_kind(flags)?),
        Ok(_) | Err(_) => return Err(FormatError::NotAMessage),
    }
    if flags & FLAG_SALT != 0 {
        reader.take(SALT_LEN, "salt")?;
    }
    let mut is_known = false;
    for _ in 0..=flags >> 4 {
        match KeyEntry::read(&mut reader) {
            Ok(entry) => is_known |= entry.is_of_known_kind(),
            Err(FormatError::Truncated { .. }) if is_known => return Ok(Extent::Part),
            Err(error) => return Err(error),
        }
    }
    is_known
        .then_some(Extent::All)
        .ok_or(FormatError::NotAMessage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncryptionContext, Envelope, EnvelopeEncryptor, RootKey, SingleKeyring};

    fn message() -> Vec<u8> {
        let keyring = SingleKeyring::software(&RootKey::from_bytes(&[7; 32]));
        let context = EncryptionContext::empty();
        Envelope::new(keyring).encrypt(b"x", &context).unwrap()
    }

    #[test]
    fn messages_of_other_versions_and_suites_are_newer() {
        let mut front = message();
        for first in 0..=u8::MAX {
            front[0] = first;
            let is_newer = (0x10..0x80).contains(&first) && !matches!(first, 0x11 | 0x12);
            let is_whole = check_newer(&front) == Ok(Extent::All);
            assert_eq!(is_whole, is_newer, "{first:#x}");
        }
        front[0] = 0x21;
        for cut in 0..69 {
            let error = check_newer(&front[..cut]).unwrap_err();
            assert!(matches!(error, FormatError::Truncated { .. }), "{cut}");
        }
        // Of two wrapped keys, the second is cut off.
        front[1] |= 1 << 4;
        assert_eq!(check_newer(&front[..69]), Ok(Extent::Part));
    }

    #[test]
    fn what_is_no_message_is_not_newer() {
        // As long as a salt, then what would be a wrapped key.
        let mut gzip = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03".to_vec();
        gzip.extend_from_slice(&[0xed; 16]);
        gzip.extend_from_slice(&message()[2..71]);
        let files: [&[u8]; 4] = [
            &gzip,
            include_bytes!("../../README.md"),
            b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n",
            b"SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20\0\0\0\x02\0\0\0\x02",
        ];
        for file in files {
            check_newer(file).unwrap_err();
        }
        for first in ' '..='~' {
            for second in ' '..='~' {
                let text = format!("{first}{second}").repeat(2000);
                check_newer(text.as_bytes()).unwrap_err();
            }
        }
    }
}
