use std::ops::Range;

/// A buffer of which a part is filled.
pub(super) struct Window<B> {
    pub(super) buffer: B,
    pub(super) range: Range<usize>,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Window<B> {
    pub(super) fn filled(&self) -> &[u8] {
        self.buffer
            .as_ref()
            .get(self.range.clone())
            .unwrap_or_default()
    }

    /// What is free after that, up to `end`.
    pub(super) fn free(&mut self, end: usize) -> &mut [u8] {
        self.buffer
            .as_mut()
            .get_mut(self.range.end..end)
            .unwrap_or_default()
    }

    /// Moves what is filled to the front.
    pub(super) fn compact(&mut self) {
        if self.range.start > 0 {
            let len = self.range.len();
            self.buffer.as_mut().copy_within(self.range.clone(), 0);
            self.range = 0..len;
        }
    }

    /// Moves bytes from the front to `out`.
    pub(super) fn take(&mut self, out: &mut [u8]) -> usize {
        let len = self.range.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..len), self.filled().get(..len)) {
            to.copy_from_slice(from);
        }
        self.range.start += len;
        len
    }
}
