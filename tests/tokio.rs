//! With the `tokio` feature: the same messages as without, and a runtime that is never blocked.
#![cfg(feature = "tokio")]

mod common;

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use waxseal::format::{KeyEntriesBuf, KeyEntry};
use waxseal::{
    AsyncDecryptReader, AsyncEncryptWriter, AsyncEnvelope, DecryptionRequest, EncryptionContext,
    EncryptionMaterials, EncryptionRequest, Envelope, EnvelopeEncryptor, Error, Keyring,
    MessageOptions, Rewrap, RootKey, SingleKeyring, Unwrapped, WrapDataKeyRequest,
};

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn payload(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

/// A keyring that must ask a slow provider, and counts how often it was asked.
#[derive(Debug)]
struct Slow {
    inner: SingleKeyring,
    asked: AtomicUsize,
    runtime_thread: thread::ThreadId,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: SingleKeyring::software(&RootKey::from_bytes(&common::ROOT_KEY)),
            asked: AtomicUsize::new(0),
            runtime_thread: thread::current().id(),
        })
    }

    fn ask(&self) {
        assert_ne!(
            thread::current().id(),
            self.runtime_thread,
            "blocks the runtime"
        );
        self.asked.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
    }
}

impl Keyring for Slow {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        self.ask();
        self.inner.encryption_materials(request)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.ask();
        self.inner.decryption_materials(request)
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        self.ask();
        self.inner.wrap_data_key(request)
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.inner.holds(entry)
    }

    fn max_entries_len(&self) -> usize {
        self.inner.max_entries_len()
    }
}

/// Is pending at every other call, and takes or gives few bytes at a time.
struct Hesitant<T> {
    inner: T,
    ready: bool,
}

impl<T> Hesitant<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            ready: false,
        }
    }

    fn hesitates(&mut self, cx: &Context<'_>) -> bool {
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
        }
        self.ready
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Hesitant<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.hesitates(cx) {
            return Poll::Pending;
        }
        let len = bytes.len().min(7001);
        Pin::new(&mut self.inner).poll_write(cx, &bytes[..len])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Hesitant<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.hesitates(cx) {
            return Poll::Pending;
        }
        let mut piece = [0; 5003];
        let mut part = ReadBuf::new(&mut piece);
        let mut part = part.take(buffer.remaining());
        match Pin::new(&mut self.inner).poll_read(cx, &mut part) {
            Poll::Ready(Ok(())) => {
                buffer.put_slice(part.filled());
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

#[tokio::test]
async fn messages_and_streams_are_those_of_the_synchronous_calls() {
    let envelope = common::envelope();
    let asynchronous = AsyncEnvelope::new(envelope.clone());
    let context = context();
    let options = MessageOptions::new(&context).with_aad(b"row 42");
    for len in [0, 1, 16383, 16384, 300_000, 16 * 16384, 33 * 16384 + 1] {
        let payload = payload(len);
        let one_shot = asynchronous.encrypt_with(&payload, options).await.unwrap();
        let sink = Hesitant::new(Vec::new());
        let mut writer = AsyncEncryptWriter::new(&asynchronous, sink, options)
            .await
            .unwrap();
        for piece in payload.chunks(10_007) {
            writer.write_all(piece).await.unwrap();
        }
        let streamed = writer.finish().await.unwrap().inner;
        for message in [one_shot, streamed] {
            let opened = envelope.decrypt_with(&message, options).unwrap();
            assert!(*opened.plaintext == payload, "{len}");
            let opened = asynchronous.decrypt_with(&message, options).await.unwrap();
            assert!(*opened.plaintext == payload, "{len}");
            let source = Hesitant::new(&message[..]);
            let mut reader = AsyncDecryptReader::new(&asynchronous, source, options)
                .await
                .unwrap();
            let mut read = Vec::new();
            reader.read_to_end(&mut read).await.unwrap();
            assert!(read == payload, "{len}");
            assert_eq!(reader.opened_by(), 0);
        }
    }
}

#[tokio::test]
async fn a_provider_is_asked_off_the_runtime_while_other_tasks_run() {
    let keyring = Slow::new();
    let envelope = AsyncEnvelope::new(Envelope::new(Arc::clone(&keyring)));
    let context = context();
    let ticking = tokio::spawn(async {
        let mut ticks = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ticks += 1;
            if ticks == 20 {
                return;
            }
        }
    });
    let message = envelope.encrypt(b"payload", &context).await.unwrap();
    let opened = envelope.decrypt(&message, &context).await.unwrap();
    assert_eq!(*opened, *b"payload");
    assert!(ticking.is_finished(), "other tasks stood still");
    assert_eq!(keyring.asked.load(Ordering::SeqCst), 2);
    let options = MessageOptions::new(&context);
    let reader = AsyncDecryptReader::new(&envelope, &message[..], options).await;
    let mut read = Vec::new();
    reader.unwrap().read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"payload");
}

#[tokio::test]
async fn a_dropped_future_loses_its_own_message_only() {
    let keyring = Slow::new();
    let envelope = AsyncEnvelope::new(Envelope::new(Arc::clone(&keyring)));
    let context = context();
    for _ in 0..3 {
        let sealing = envelope.encrypt(b"dropped", &context);
        let dropped = tokio::time::timeout(Duration::from_millis(10), sealing).await;
        assert!(dropped.is_err());
    }
    let message = envelope.encrypt(b"payload", &context).await.unwrap();
    assert_eq!(
        *envelope.decrypt(&message, &context).await.unwrap(),
        *b"payload"
    );

    // A write that is dropped while the sink is not ready took none of its bytes.
    let envelope = AsyncEnvelope::new(common::envelope());
    let options = MessageOptions::new(&context);
    let (sink, mut source) = tokio::io::duplex(1000);
    let mut writer = AsyncEncryptWriter::new(&envelope, sink, options)
        .await
        .unwrap();
    writer.write_all(&payload(65536)).await.unwrap();
    let stuck = writer.write(b"not taken");
    assert!(
        tokio::time::timeout(Duration::from_millis(10), stuck)
            .await
            .is_err()
    );
    let finishing = tokio::spawn(async move {
        writer.write_all(b"taken").await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut message = Vec::new();
    source.read_to_end(&mut message).await.unwrap();
    finishing.await.unwrap();
    let opened = envelope.decrypt(&message, &context).await.unwrap();
    assert!(*opened == [&payload(65536)[..], b"taken"].concat());
}

#[tokio::test]
async fn truncated_and_changed_streams_are_refused_for_good() {
    let envelope = AsyncEnvelope::new(common::envelope());
    let context = context();
    let options = MessageOptions::new(&context);
    let mut unfinished = Vec::new();
    let mut writer = AsyncEncryptWriter::new(&envelope, &mut unfinished, options)
        .await
        .unwrap();
    writer.write_all(&payload(100_000)).await.unwrap();
    writer.flush().await.unwrap();
    drop(writer);
    let message = envelope.encrypt(&payload(100_000), &context).await.unwrap();
    let mut changed = message.clone();
    changed[60_000] ^= 1;
    for (bytes, kind) in [
        (unfinished, ErrorKind::UnexpectedEof),
        (changed, ErrorKind::InvalidData),
        (message[..50].to_vec(), ErrorKind::UnexpectedEof),
    ] {
        let mut read = Vec::new();
        let error = match AsyncDecryptReader::new(&envelope, &bytes[..], options).await {
            Err(error) => error,
            Ok(mut reader) => {
                let error = reader.read_to_end(&mut read).await.unwrap_err();
                assert_eq!(reader.read_u8().await.unwrap_err().kind(), kind);
                error
            }
        };
        assert_eq!(error.kind(), kind);
        assert!(payload(100_000).starts_with(&read) && read.len() < 100_000);
    }
    let refused = envelope
        .decrypt(&message, &EncryptionContext::empty())
        .await;
    assert!(matches!(refused, Err(Error::Decrypt)));
}

#[tokio::test]
async fn a_keyring_that_panics_is_an_outage() {
    #[derive(Debug)]
    struct Panicking;
    impl Keyring for Panicking {
        fn encryption_materials(
            &self,
            _: EncryptionRequest<'_>,
        ) -> Result<EncryptionMaterials, Error> {
            panic!("on purpose")
        }
        fn decryption_materials(&self, _: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
            Ok(Unwrapped::NotMine)
        }
        fn wrap_data_key(&self, _: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
            panic!("on purpose")
        }
        fn holds(&self, _: &KeyEntry<'_>) -> bool {
            false
        }
        fn max_entries_len(&self) -> usize {
            0
        }
    }
    let envelope = AsyncEnvelope::new(Envelope::new(Panicking));
    let error = envelope.encrypt(b"payload", &context()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_rewrap_blocks_nobody() {
    let keyring = Slow::new();
    let envelope = Envelope::new(Arc::clone(&keyring));
    let other = Envelope::new(SingleKeyring::software(&RootKey::from_bytes(&[9; 32])));
    let asynchronous = AsyncEnvelope::new(envelope);
    let mut message = asynchronous
        .encrypt(&payload(100_000), &context())
        .await
        .unwrap();
    let change = Rewrap::keeping().add_key(SingleKeyring::software(&RootKey::from_bytes(&[9; 32])));
    let rewrapped = asynchronous
        .rewrap_with(&message, &context(), &change)
        .await
        .unwrap();
    message.splice(..rewrapped.replaces, rewrapped.header);
    assert_eq!(
        *other.decrypt(&message, &context()).unwrap(),
        *payload(100_000)
    );
    let again = asynchronous.rewrap(&message, &context()).await.unwrap();
    assert!(!again.is_changed);
}
