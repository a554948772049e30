/// What a key is derived for (the `info` of RFC 5869): a label, and digests and the like after it.
pub(crate) struct Info {
    pub(super) bytes: [u8; Self::MAX_LEN],
    pub(super) len: usize,
}

impl Info {
    const MAX_LEN: usize = 128;

    #[inline]
    pub(crate) fn new(label: &[u8]) -> Self {
        let mut info = Self {
            bytes: [0; Self::MAX_LEN],
            len: 0,
        };
        info.push(label);
        info
    }

    /// Adds bytes, of which there must not be more than 128 in all.
    #[inline]
    #[expect(clippy::expect_used, reason = "all that is added has a fixed length")]
    pub(crate) fn push(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        self.bytes
            .get_mut(self.len..end)
            .expect("at most 128 bytes")
            .copy_from_slice(part);
        self.len = end;
    }
}
