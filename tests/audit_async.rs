//! Async code under a KMS with an audit trail: nothing is given out before it is on record, and
//! thousands of operations share a write.
#![cfg(all(feature = "tokio", feature = "sqlite"))]

mod common;
#[path = "common/held_sink.rs"]
mod held_sink;

use std::sync::Arc;
use std::time::Duration;

use common::kms::World;
use common::kms_access::{ADMIN, tenant};
use held_sink::{HeldSink, Works};
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, spawn_blocking};
use waxseal::audit::{
    AuditError, AuditQuery, AuditRecord, AuditSink, AuditTrail, FileSink, MemorySink, Outcome,
    StoreSink, TrailReader, Verification,
};
use waxseal::kms::Authorisation;
use waxseal::{
    AsyncDecryptReader, AsyncEncryptWriter, AsyncEnvelope, CachingKeyring, CreateKey,
    DiscoveryKeyring, Envelope, Error, FallbackKeyring, KeyId, Keyring, Kms, KmsError, KmsKeyring,
    MemoryKeyStore, MessageOptions, MultiKeyring, SoftwareKeyProvider, SqliteKeyStore,
    ThresholdKeyring,
};

/// A KMS whose trail can be held.
struct Audited {
    kms: Kms,
    lines: MemorySink,
    sink: HeldSink,
    key: KeyId,
}

impl Audited {
    fn new() -> Self {
        let lines = MemorySink::new();
        let sink = HeldSink::new(lines.clone());
        let kms = World::new()
            .builder()
            .authorisation(Authorisation::enforced(ADMIN))
            .audit(AuditTrail::builder(sink.clone()))
            .open()
            .unwrap();
        let key = kms.as_principal(ADMIN).create_key(CreateKey::new());
        Self {
            key: key.unwrap().id,
            kms,
            lines,
            sink,
        }
    }

    fn keyring(&self) -> KmsKeyring {
        self.keyring_of(ADMIN)
    }

    fn keyring_of(&self, principal: &str) -> KmsKeyring {
        self.kms.as_principal(principal).keyring(self.key).unwrap()
    }

    fn records(&self) -> Vec<AuditRecord> {
        let lines = self.lines.to_bytes();
        let records = AuditQuery::new().over(TrailReader::bytes(&lines));
        records.map(Result::unwrap).collect()
    }

    fn last_outcome(&self) -> (String, Outcome) {
        let last = self.records().pop().unwrap();
        (last.action, last.outcome)
    }
}

fn envelope(keyring: impl Keyring + 'static) -> AsyncEnvelope {
    AsyncEnvelope::new(Envelope::new(keyring))
}

/// What async code does with a keyring.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Encrypts,
    Decrypts,
    BeginsToWrite,
    BeginsToRead,
}

const ALL: [Does; 4] = [
    Does::Encrypts,
    Does::Decrypts,
    Does::BeginsToWrite,
    Does::BeginsToRead,
];

impl Does {
    fn start(
        self,
        keyring: impl Keyring + 'static,
        message: &[u8],
    ) -> JoinHandle<Result<(), Error>> {
        let (envelope, message) = (envelope(keyring), message.to_vec());
        tokio::spawn(async move {
            let context = tenant("acme");
            let options = MessageOptions::new(&context);
            match self {
                Self::Encrypts => envelope.encrypt(b"payload", &context).await.map(drop),
                Self::Decrypts => envelope.decrypt(&message, &context).await.map(drop),
                Self::BeginsToWrite => AsyncEncryptWriter::new(&envelope, Vec::new(), options)
                    .await
                    .map(drop),
                Self::BeginsToRead => AsyncDecryptReader::new(&envelope, &message[..], options)
                    .await
                    .map(drop)
                    .map_err(|error| error.downcast().unwrap()),
            }
        })
    }

    fn action(self) -> &'static str {
        match self {
            Self::Encrypts | Self::BeginsToWrite => "kms:GenerateDataKey",
            Self::Decrypts | Self::BeginsToRead => "kms:Decrypt",
        }
    }
}

fn assert_full<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.unwrap_err();
    let Error::Kms(error) = error else {
        panic!("{error:?}");
    };
    assert!(
        matches!(*error, KmsError::Audit(AuditError::Full { .. })),
        "{error:?}"
    );
}

/// Lets all tasks that were spawned run until they wait: a runtime of one thread keeps their order.
async fn let_run() {
    tokio::spawn(async {}).await.unwrap();
}

/// A runtime whose only thread for what blocks is taken, and that gives a message.
fn without_blocking(test: impl AsyncFnOnce(&Audited, Vec<u8>)) {
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let audited = Audited::new();
    let (taken, over) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        let envelope = envelope(audited.keyring());
        let context = tenant("acme");
        let message = envelope.encrypt(b"payload", &context).await.unwrap();
        let blocking = spawn_blocking(move || _ = over.recv());
        test(&audited, message).await;
        drop(taken);
        blocking.await.unwrap();
    });
}

#[test]
fn nothing_is_given_out_before_it_is_on_record() {
    without_blocking(async |audited, message| {
        for does in ALL {
            for principal in [ADMIN, "svc:nobody"] {
                audited.sink.hold();
                let before = audited.records().len();
                let task = does.start(audited.keyring_of(principal), &message);
                let_run().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                assert!(!task.is_finished(), "{does:?} gives out what nobody knows");
                assert_eq!(audited.records().len(), before);
                audited.sink.release();
                let outcome = match (principal, task.await.unwrap()) {
                    (ADMIN, Ok(())) => Outcome::Allowed,
                    (_, Err(Error::Kms(error))) => {
                        assert!(matches!(*error, KmsError::Denied { .. }), "{error:?}");
                        Outcome::Denied
                    }
                    (_, other) => panic!("{does:?}: {other:?}"),
                };
                assert_eq!(audited.last_outcome(), (does.action().to_owned(), outcome));
            }
        }
    });
}

#[test]
fn what_failed_is_told_when_it_is_on_record() {
    without_blocking(async |audited, message| {
        let admin = audited.kms.as_principal(ADMIN);
        admin.disable_key(audited.key).unwrap();
        for does in ALL {
            audited.sink.hold();
            let task = does.start(audited.keyring(), &message);
            let_run().await;
            assert!(!task.is_finished());
            audited.sink.release();
            let error = task.await.unwrap().unwrap_err();
            assert!(
                matches!(&error, Error::Kms(error) if matches!(**error, KmsError::InvalidState { .. })),
                "{error:?}"
            );
            let told = (does.action().to_owned(), Outcome::Failed);
            assert_eq!(audited.last_outcome(), told);
        }
    });
}

/// Whether it was allowed, denied or failed.
#[test]
fn what_cannot_be_recorded_is_not_given_out() {
    without_blocking(async |audited, message| {
        for is_disabled in [false, true] {
            for principal in [ADMIN, "svc:nobody"] {
                for does in ALL {
                    audited.sink.set(Works::Full);
                    let keyring = audited.keyring_of(principal);
                    assert_full(does.start(keyring, &message).await.unwrap());
                    audited.sink.set(Works::Well);
                }
            }
            if !is_disabled {
                let admin = audited.kms.as_principal(ADMIN);
                admin.disable_key(audited.key).unwrap();
            }
        }
        audited
            .kms
            .as_principal(ADMIN)
            .enable_key(audited.key)
            .unwrap();
        let again = Does::Decrypts.start(audited.keyring(), &message);
        again.await.unwrap().unwrap();
    });
}

#[test]
fn thousands_of_operations_share_a_write() {
    const OPERATIONS: usize = 3000;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let file = FileSink::open_or_create(path.join("audit")).unwrap();
    share_a_write(OPERATIONS, file, |kms| {
        verify(kms, TrailReader::directory(path.join("audit")).unwrap())
    });
    let store = Arc::new(SqliteKeyStore::create(path.join("audit.db")).unwrap());
    let sink = StoreSink::new(Arc::clone(&store)).unwrap();
    share_a_write(OPERATIONS, sink, |kms| {
        verify(kms, TrailReader::store(&store))
    });
}

fn share_a_write(
    operations: usize,
    sink: impl AuditSink + 'static,
    verified: impl Fn(&Kms) -> u64,
) {
    let sink = HeldSink::new(sink);
    let kms = Kms::builder(MemoryKeyStore::new())
        .provider(SoftwareKeyProvider::generate().unwrap())
        .audit(AuditTrail::builder(sink.clone()))
        .open()
        .unwrap();
    let handle = kms.as_principal(ADMIN);
    let key = handle.create_key(CreateKey::new()).unwrap().id;
    let before = verified(&kms);
    let begun = sink.begun();
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let envelope = envelope(handle.keyring(key).unwrap());
        sink.hold();
        let tasks: Vec<_> = (0..operations)
            .map(|_| {
                let envelope = envelope.clone();
                tokio::spawn(async move { envelope.encrypt(b"x", &tenant("acme")).await })
            })
            .collect();
        let_run().await;
        assert!(!tasks.iter().any(JoinHandle::is_finished));
        sink.release();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    });
    let writes = sink.begun() - begun;
    assert!(writes <= 2, "{writes} writes");
    // Verifying makes a record too.
    assert_eq!(verified(&kms) - before, operations as u64 + 1);
}

fn verify(kms: &Kms, trail: TrailReader<'_>) -> u64 {
    let admin = kms.as_principal(ADMIN);
    admin
        .verify_audit_trail(trail, &Verification::new())
        .unwrap()
        .records
}

#[tokio::test]
async fn a_future_that_is_dropped_is_on_record() {
    let audited = Audited::new();
    let envelope = envelope(audited.keyring());
    let before = audited.records().len();
    audited.sink.hold();
    let begun = audited.sink.begun();
    for _ in 0..10 {
        let context = tenant("acme");
        let sealing = envelope.encrypt(b"x", &context);
        let polled = tokio::time::timeout(Duration::ZERO, sealing).await;
        assert!(polled.is_err());
    }
    audited.sink.release();
    envelope.encrypt(b"x", &tenant("acme")).await.unwrap();
    assert_eq!(audited.records().len(), before + 11);
    assert!(audited.sink.begun() > begun);
}

/// A data key that is kept serves others than the one whose record may still fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_keeps_no_data_key_that_is_not_on_record() {
    let audited = Audited::new();
    let keyring = CachingKeyring::new(audited.keyring());
    let message = envelope(audited.keyring())
        .encrypt(b"payload", &tenant("acme"))
        .await
        .unwrap();
    for does in [Does::Encrypts, Does::Decrypts] {
        let is_kept = || {
            let stats = keyring.stats();
            stats.encryption.entries + stats.decryption.entries > 0
        };
        audited.sink.hold();
        let begun = audited.sink.begun();
        let tasks = [(); 8].map(|()| does.start(keyring.clone(), &message));
        let sink = audited.sink.clone();
        spawn_blocking(move || sink.wait_for(begun + 1))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!tasks.iter().any(JoinHandle::is_finished));
        assert!(!is_kept());
        audited.sink.set(Works::Full);
        audited.sink.release();
        for task in tasks {
            assert_full(task.await.unwrap());
        }
        assert!(!is_kept());
        audited.sink.set(Works::Well);
        does.start(keyring.clone(), &message)
            .await
            .unwrap()
            .unwrap();
        assert!(is_kept());
        let before = audited.records().len();
        does.start(keyring.clone(), &message)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(audited.records().len(), before, "what is kept is asked for");
        keyring.clear();
    }
}

/// As for synchronous callers: who cannot record gives way to the next.
#[tokio::test]
async fn a_kms_that_cannot_record_gives_way_to_another() {
    let [first, second] = [Audited::new(), Audited::new()];
    let both = MultiKeyring::new(first.keyring()).with_key(second.keyring());
    let context = tenant("acme");
    let message = envelope(both.clone())
        .encrypt(b"x", &context)
        .await
        .unwrap();
    let discovery = DiscoveryKeyring::new(|_| true)
        .among_keys_of(&first.kms.as_principal(ADMIN))
        .among_keys_of(&second.kms.as_principal(ADMIN));
    let fallback = || FallbackKeyring::new(first.keyring()).or(second.keyring());
    let third = Audited::new();
    let shares = ThresholdKeyring::new(2, [first.keyring(), second.keyring(), third.keyring()]);
    let shares = envelope(shares.unwrap());
    let shared = shares.encrypt(b"x", &context).await.unwrap();

    first.sink.set(Works::Full);
    for opening in [envelope(both), envelope(discovery), envelope(fallback())] {
        let opened = opening.decrypt(&message, &context).await;
        assert_eq!(*opened.unwrap(), *b"x");
    }
    let sealed = envelope(fallback()).encrypt(b"x", &context).await.unwrap();
    assert_eq!(*shares.decrypt(&shared, &context).await.unwrap(), *b"x");
    let opened = envelope(second.keyring()).decrypt(&sealed, &context).await;
    assert_eq!(*opened.unwrap(), *b"x");
    second.sink.set(Works::Full);
    assert_full(envelope(second.keyring()).decrypt(&sealed, &context).await);
}
