use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::AsyncEnvelope;
use crate::envelope::MessageOptions;
use crate::envelope::stream::{SealCore, moved};
use crate::error::Error;

/// [`EncryptWriter`](crate::EncryptWriter) for async code: seals what is written to it, and writes
/// the message to `W`.
///
/// [`finish`](Self::finish) it, or shut it down: a message that was only dropped is truncated, and
/// every reader refuses it as that. A dropped `write` took nothing.
pub struct AsyncEncryptWriter<W: AsyncWrite + Unpin> {
    core: SealCore,
    inner: W,
}

impl<W: AsyncWrite + Unpin> AsyncEncryptWriter<W> {
    /// Begins a message. Nothing is written yet.
    ///
    /// # Errors
    ///
    /// As [`AsyncEnvelope::encrypt_with`].
    pub async fn new(
        envelope: &AsyncEnvelope,
        inner: W,
        options: MessageOptions<'_>,
    ) -> Result<Self, Error> {
        let core = SealCore::new(envelope.begin_sealing(options, None).await?);
        Ok(Self { core, inner })
    }

    /// Seals what is left, writes it, flushes, and returns `W`, which is not shut down.
    ///
    /// # Errors
    ///
    /// Those of `W`; the message is then truncated.
    pub async fn finish(mut self) -> io::Result<W> {
        poll_fn(|cx| {
            ready!(self.poll_seal_all(cx))?;
            Pin::new(&mut self.inner).poll_flush(cx)
        })
        .await?;
        Ok(self.inner)
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.core.pending().is_empty() {
            let pending = self.core.pending();
            let len = ready!(Pin::new(&mut self.inner).poll_write(cx, pending))?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let len = moved(len, pending.len())?;
            self.core.advance(len);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_seal_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        self.core.finish()?;
        self.poll_pending(cx)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for AsyncEncryptWriter<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        plaintext: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(cx))?;
        Poll::Ready(self.core.push(plaintext))
    }

    /// Writes all full chunks. The last bytes, up to 16 KiB, wait for the chunk to fill.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        self.core.seal_gathered()?;
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Seals what is left, writes it, and shuts `W` down.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_seal_all(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<W: AsyncWrite + Unpin> fmt::Debug for AsyncEncryptWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncEncryptWriter").finish_non_exhaustive()
    }
}
