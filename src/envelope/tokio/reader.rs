use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::AsyncEnvelope;
use crate::envelope::MessageOptions;
use crate::envelope::stream::{Front, OpenCore, Progress};
use crate::error::Error;

/// [`DecryptReader`](crate::DecryptReader) for async code: reads a message from `R` and gives its
/// payload, none of it before it is verified.
///
/// The end of the payload is an empty read, and comes only after the last chunk was verified.
/// Errors of the message are for good; errors of `R` lose nothing. A dropped `read` loses nothing.
pub struct AsyncDecryptReader<R: AsyncRead + Unpin> {
    core: OpenCore,
    inner: R,
    opened_by: usize,
}

impl<R: AsyncRead + Unpin> AsyncDecryptReader<R> {
    /// Reads the header of a message and verifies it.
    ///
    /// # Errors
    ///
    /// Those of `R`, and an [`Error`] as [`AsyncEnvelope::decrypt_with`] gives for the header,
    /// inside of the [`io::Error`].
    pub async fn new(
        envelope: &AsyncEnvelope,
        mut inner: R,
        options: MessageOptions<'_>,
    ) -> io::Result<Self> {
        let mut front = Front::new();
        loop {
            let read = poll_fn(|cx| poll_read_some(&mut inner, cx, front.room())).await?;
            front.put(read);
            if let Some(header) = front.header().map_err(Error::from)? {
                let opening = envelope
                    .begin_opening(front.bytes(), &header, options)
                    .await?;
                let header_len = header.len();
                return Ok(Self {
                    core: front.into_body(&opening, header_len),
                    inner,
                    opened_by: opening.opened_by,
                });
            }
        }
    }

    /// The number, from 0, of the wrapped key that opened the message.
    pub fn opened_by(&self) -> usize {
        self.opened_by
    }

    /// Gives back where the message is read from, at an arbitrary place.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AsyncDecryptReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        payload: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let out = payload.initialize_unfilled();
        let wanted = out.len();
        if wanted == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match this.core.read(out)? {
                Progress::Plain(len) => {
                    payload.advance(len);
                    return Poll::Ready(Ok(()));
                }
                Progress::NeedsInput => {
                    let input = this.core.input(wanted);
                    let len = ready!(poll_read_some(&mut this.inner, cx, input))?;
                    this.core.put(len);
                }
            }
        }
    }
}

impl<R: AsyncRead + Unpin> fmt::Debug for AsyncDecryptReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncDecryptReader").finish_non_exhaustive()
    }
}

fn poll_read_some(
    inner: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(inner).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}
