//! Reading and writing the fields of a header without ever indexing out of bounds.

use super::FormatError;

/// Reads fields from the front of a byte string.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(
        &mut self,
        len: usize,
        field: &'static str,
    ) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(FormatError::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn take_array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a [u8; N], FormatError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(FormatError::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, FormatError> {
        let [byte] = *self.take_array(field)?;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, FormatError> {
        Ok(u16::from_be_bytes(*self.take_array(field)?))
    }

    /// An unsigned LEB128 number of at most 32 bits, in its shortest form.
    pub(crate) fn varint(&mut self, field: &'static str) -> Result<u32, FormatError> {
        let malformed = |reason| FormatError::Malformed { field, reason };
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8(field)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(malformed("a number is not in its shortest form"));
                }
                return u32::try_from(value).map_err(|_| malformed("a number is over 32 bits"));
            }
        }
        Err(malformed("a number is over 32 bits"))
    }
}

/// The length of `value` as a varint, in bytes.
pub(crate) fn varint_len(value: u32) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        0x1000_0000.. => 5,
    }
}

/// Hands out the bytes of `value` as a varint, low group first.
pub(crate) fn varint(mut value: u32) -> impl Iterator<Item = u8> {
    let groups = varint_len(value);
    (1..=groups).map(move |group| {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if group < groups { low | 0x80 } else { low }
    })
}

/// Writes fields to the front of a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

/// The buffer has no room for the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { rest: buffer }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let rest = std::mem::take(&mut self.rest);
        let (field, rest) = rest.split_at_mut_checked(bytes.len()).ok_or(Full)?;
        field.copy_from_slice(bytes);
        self.rest = rest;
        Ok(())
    }

    pub(crate) fn put_zeros(&mut self, len: usize) -> Result<(), Full> {
        let rest = std::mem::take(&mut self.rest);
        let (field, rest) = rest.split_at_mut_checked(len).ok_or(Full)?;
        field.fill(0);
        self.rest = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(value: u32) -> Vec<u8> {
        varint(value).collect()
    }

    proptest! {
        #[test]
        fn varint_round_trips(value: u32) {
            let bytes = encode(value);
            prop_assert_eq!(bytes.len(), varint_len(value));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint("n"), Ok(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn only_one_encoding_is_accepted(bytes in prop::collection::vec(any::<u8>(), 0..7)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint("n") {
                let used = bytes.len() - reader.rest().len();
                prop_assert_eq!(&bytes[..used], &encode(value)[..]);
            }
        }
    }

    #[test]
    fn varint_at_its_edges() {
        assert_eq!(encode(0), [0]);
        assert_eq!(encode(127), [0x7f]);
        assert_eq!(encode(128), [0x80, 0x01]);
        assert_eq!(encode(u32::MAX), [0xff, 0xff, 0xff, 0xff, 0x0f]);
        for (bytes, reason) in [
            (&[0x80, 0x00][..], "a number is not in its shortest form"),
            (&[0xff, 0xff, 0xff, 0xff, 0x1f], "a number is over 32 bits"),
            (
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
                "a number is over 32 bits",
            ),
        ] {
            assert_eq!(
                Reader::new(bytes).varint("n"),
                Err(FormatError::Malformed { field: "n", reason })
            );
        }
    }
}
