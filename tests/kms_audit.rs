//! What cannot be recorded is not done, and what is done is recorded in time.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::{fmt, io};

use common::kms::{Ledger, World};
use common::kms_access::{ADMIN, Guarded, assert_denied, tenant};
use common::kms_stores::{Again, Death, Interrupted, Mortal};
use waxseal::audit::{
    Appended, AuditError, AuditQuery, AuditRecord, AuditSink, AuditTrail, Batch, MemorySink,
    Outcome, Tail, TrailReader, Verification,
};
use waxseal::{
    CachingKeyring, CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeyId, KeyState,
    KeyStore, Kms, KmsError, KmsHandle, ListKeys, MemoryKeyStore,
};

/// A sink that runs out of room when told to, and notes how far the key store was at each write.
#[derive(Clone)]
struct Watched {
    inner: MemorySink,
    store: MemoryKeyStore,
    is_full: Arc<AtomicBool>,
    commits_before: Arc<Mutex<Vec<u64>>>,
}

impl Watched {
    fn new(world: &World) -> Self {
        Self {
            inner: MemorySink::new(),
            store: world.store.clone(),
            is_full: Arc::default(),
            commits_before: Arc::default(),
        }
    }

    fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    fn records(&self) -> Vec<AuditRecord> {
        records(&self.inner)
    }
}

fn records(sink: &MemorySink) -> Vec<AuditRecord> {
    let lines = sink.to_bytes();
    let all = AuditQuery::new().over(TrailReader::bytes(&lines));
    all.collect::<Result<_, _>>().unwrap()
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl AuditSink for Watched {
    fn name(&self) -> String {
        "the watched trail".to_owned()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        self.inner.tail()
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(AuditError::Full {
                sink: self.name(),
                source: Arc::new(io::ErrorKind::StorageFull.into()),
            });
        }
        let latest = self.store.latest().unwrap().get();
        self.commits_before.lock().unwrap().push(latest);
        self.inner.append(batch)
    }
}

fn watched() -> (World, Watched, Kms) {
    let world = World::new();
    let sink = Watched::new(&world);
    let kms = world
        .builder()
        .audit(AuditTrail::builder(sink.clone()))
        .open()
        .unwrap();
    (world, sink, kms)
}

fn key(kms: &KmsHandle) -> KeyId {
    kms.create_key(CreateKey::new()).unwrap().id
}

fn assert_full<T: fmt::Debug>(result: Result<T, KmsError>) {
    let error = result.unwrap_err();
    assert!(
        matches!(error, KmsError::Audit(AuditError::Full { .. })),
        "{error}"
    );
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "there is no room left for the watched trail; what cannot be recorded is not done; make room, then try again"
    );
}

#[test]
fn without_room_for_records_nothing_is_done_until_there_is() {
    let (world, sink, kms) = watched();
    let kms = kms.as_principal(ADMIN);
    let key = key(&kms);
    let sealed = kms.encrypt(key, b"x", &tenant("a")).unwrap().bytes;
    let (before, keys) = (world.store_contents(), world.provider.alive());
    let recorded = sink.records().len();

    sink.set_full(true);
    assert_full(kms.generate_data_key(key, &tenant("a")));
    assert_full(kms.decrypt(&sealed, &tenant("a")).map(drop));
    assert_full(kms.describe_key(key));
    assert_full(kms.generate_random(8).map(drop));
    assert_full(kms.disable_key(key));
    assert_full(kms.create_key(CreateKey::new()));
    assert_full(kms.rotate_now(key));
    assert_full(kms.create_alias("alias/a", key));
    assert_eq!(world.store_contents(), before);
    assert_eq!(
        world.provider.alive(),
        keys,
        "what was made for nothing is gone"
    );
    assert_eq!(sink.records().len(), recorded);

    sink.set_full(false);
    kms.decrypt(&sealed, &tenant("a")).unwrap();
    kms.disable_key(key).unwrap();
    assert_eq!(kms.describe_key(key).unwrap().state, KeyState::Disabled);
    assert_eq!(sink.records().len(), recorded + 3);
}

#[test]
fn a_change_is_recorded_before_it_is_made() {
    let (world, sink, kms) = watched();
    let kms = kms.as_principal(ADMIN);
    let key = key(&kms);
    let change = |change: &dyn Fn()| {
        let before = world.store.latest().unwrap().get();
        sink.commits_before.lock().unwrap().clear();
        change();
        assert_eq!(world.store.latest().unwrap().get(), before + 1);
        assert_eq!(
            *sink.commits_before.lock().unwrap(),
            [before],
            "one record, in time"
        );
    };
    change(&|| kms.disable_key(key).unwrap());
    change(&|| kms.enable_key(key).unwrap());
    change(&|| assert_eq!(kms.rotate_now(key).unwrap().get(), 2));
    change(&|| kms.create_alias("alias/a", key).unwrap());
    change(&|| assert_ne!(self::key(&kms), key));
}

#[test]
fn what_was_announced_and_failed_is_recorded_as_failed() {
    let world = World::new();
    let store = Mortal::new(&world);
    let sink = MemorySink::new();
    let kms = world
        .builder_over(store.clone())
        .audit(AuditTrail::builder(sink.clone()))
        .open()
        .unwrap()
        .as_principal(ADMIN)
        .with_request_id("request-1");
    let key = key(&kms);
    let before = records(&sink).len();
    store.die(Death {
        commit: 0,
        committed: false,
    });
    let error = kms.disable_key(key).unwrap_err();
    assert!(matches!(error, KmsError::Store(_)), "{error}");
    let made = &records(&sink)[before..];
    let outcomes: Vec<_> = made.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Allowed, Outcome::Failed]);
    assert_eq!(made[1].error.as_deref(), Some("Store"));
    for record in made {
        assert_eq!(record.action, "kms:DisableKey");
        assert_eq!(record.request_id, "request-1");
        assert_eq!(record.key, Some(key));
    }
}

#[test]
fn a_change_that_is_made_again_because_of_others_is_one_record() {
    let world = World::new();
    let store = Interrupted::new(&world);
    let sink = MemorySink::new();
    let kms = world
        .builder_over(store.clone())
        .audit(AuditTrail::builder(sink.clone()))
        .open()
        .unwrap()
        .as_principal(ADMIN);
    let other = world.handle();
    let key = key(&kms);
    let before = records(&sink).len();
    let mut left = 3;
    store.each_time(move || {
        left -= 1;
        other.tag_key(key, "round", &left.to_string()).unwrap();
        if left > 0 { Again::Yes } else { Again::No }
    });
    kms.disable_key(key).unwrap();
    let made = &records(&sink)[before..];
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].outcome, Outcome::Allowed);
}

/// The trail in the key store: a change and its record are one commit.
#[test]
fn in_the_key_store_neither_is_there_without_the_other() {
    for committed in [false, true] {
        let world = World::new();
        let kms = |store: &dyn Fn() -> Box<dyn KeyStore>| {
            let builder = world.builder_over(store());
            builder.audit(AuditTrail::in_key_store()).open().unwrap()
        };
        let store = Mortal::new(&world);
        let doomed = kms(&|| Box::new(store.clone())).as_principal(ADMIN);
        let key = key(&doomed);
        let commits = world.store.latest().unwrap().get();
        doomed.tag_key(key, "team", "billing").unwrap();
        assert_eq!(
            world.store.latest().unwrap().get(),
            commits + 1,
            "one commit"
        );
        store.die(Death {
            commit: 0,
            committed,
        });
        doomed.disable_key(key).unwrap_err();

        world.provider.set_outage(false);
        let kms = kms(&|| Box::new(world.store.clone())).as_principal(ADMIN);
        let state = kms.describe_key(key).unwrap().state;
        let query = AuditQuery::new()
            .key(key)
            .action(waxseal::kms::Operation::DisableKey);
        let found = kms
            .read_audit_trail(TrailReader::store(&world.store), &query)
            .unwrap();
        assert_eq!(state == KeyState::Disabled, committed);
        assert_eq!(found.len(), usize::from(committed));
        let verified =
            kms.verify_audit_trail(TrailReader::store(&world.store), &Verification::new());
        assert!(verified.unwrap().records > 3);
    }
}

#[test]
fn a_record_says_who_from_where_and_nothing_of_the_context_but_hashes() {
    let guarded = Guarded::new();
    let key = key(&guarded.admin());
    guarded.take_records();
    let billing = guarded
        .kms
        .as_principal("svc:billing")
        .with_attribute("tenant", "attribute-value")
        .with_source_attribute("host", "web-7")
        .with_request_id("4bf92f3577b34da6");
    let context = EncryptionContext::new([("customer", "context-value")]).unwrap();
    assert_denied(billing.encrypt(key, b"plaintext", &context));
    let records = guarded.take_records();
    assert_eq!(records[0].identity.attributes["tenant"], "attribute-value");
    assert_eq!(records[0].source["host"], "web-7");
    assert_eq!(records[0].request_id, "4bf92f3577b34da6");
    assert!(records[0].parameters.context["customer"].starts_with("hmac:"));
    let lines = String::from_utf8(guarded.sink.to_bytes()).unwrap();
    assert!(!lines.contains("context-value") && !lines.contains("plaintext"));
    // Without an id of the application's, each call has its own.
    let admin = guarded.admin();
    admin.describe_key(key).unwrap();
    admin.describe_key(key).unwrap();
    let ids: Vec<_> = guarded
        .take_records()
        .into_iter()
        .map(|it| it.request_id)
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 32);
}

#[test]
fn nobody_does_anything_without_a_name() {
    let (world, sink, kms) = watched();
    let key = key(&kms.as_principal(ADMIN));
    let nobody = kms.as_principal("");
    let (before, recorded) = (world.store_contents(), sink.records().len());
    for refused in [
        nobody.disable_key(key).map(drop),
        nobody.encrypt(key, b"x", &tenant("a")).map(drop),
        nobody.list_keys(&ListKeys::new()).map(drop),
    ] {
        assert_eq!(
            refused.unwrap_err().to_string(),
            "a principal is the name of who acts, not empty, such as svc:billing; what was given is not"
        );
    }
    assert_eq!(world.store_contents(), before);
    let made = &sink.records()[recorded..];
    assert_eq!(made.len(), 3);
    for record in made {
        assert_eq!(record.outcome, Outcome::Failed);
        assert_eq!(record.error.as_deref(), Some("InvalidName"));
    }
}

#[test]
fn the_trail_is_verified_against_the_head_that_the_store_keeps() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = key(&admin);
    for _ in 0..50 {
        admin.describe_key(key).unwrap();
    }
    let whole = guarded.sink.to_bytes();
    let verify =
        |lines: &[u8]| admin.verify_audit_trail(TrailReader::bytes(lines), &Verification::new());
    assert_eq!(verify(&whole).unwrap().records, 52);
    let mut edited = whole.clone();
    let place = edited.len() / 2;
    edited[place] ^= 1;
    let error = verify(&edited).unwrap_err();
    assert!(matches!(error, KmsError::VerifyTrail(_)), "{error}");
}

/// As with AWS: the record of its data key covers a message under a cached one.
#[test]
fn messages_under_a_cached_data_key_make_no_record_of_their_own() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = key(&admin);
    guarded.take_records();
    let envelope = Envelope::new(CachingKeyring::new(admin.keyring(key).unwrap()));
    for _ in 0..100 {
        envelope.encrypt(b"x", &tenant("a")).unwrap();
    }
    let records = guarded.take_records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].action, "kms:GenerateDataKey");
}

#[test]
fn an_operation_that_panics_is_recorded_and_the_kms_goes_on() {
    let (world, ledger, sink) = (World::new(), Ledger::new("software"), MemorySink::new());
    let kms = Kms::builder(world.store.clone())
        .provider(ledger.clone())
        .audit(AuditTrail::builder(sink.clone()))
        .open()
        .unwrap();
    let kms = kms.as_principal(ADMIN);
    let key = kms.create_key(CreateKey::new()).unwrap();
    let sealed = kms.encrypt(&key, b"value", &tenant("acme")).unwrap().bytes;

    let panics = |action: &dyn Fn()| {
        ledger.set_panics(true);
        let panicked = catch_unwind(AssertUnwindSafe(action)).is_err();
        ledger.set_panics(false);
        assert!(panicked);
        let last = records(&sink).pop().unwrap();
        assert_eq!(last.error.as_deref(), Some("Panicked"), "{last:?}");
        assert_eq!(last.outcome, Outcome::Failed);
        (last.action, last.key)
    };
    let decrypted = panics(&|| drop(kms.decrypt(&sealed, &tenant("acme"))));
    assert_eq!(decrypted, ("kms:Decrypt".to_owned(), Some(key.id)));
    let created = panics(&|| drop(kms.create_key(CreateKey::new())));
    assert_eq!(created, ("kms:CreateKey".to_owned(), None));

    let opened = kms.decrypt(&sealed, &tenant("acme")).unwrap();
    assert_eq!(*opened.plaintext, *b"value");
    kms.create_key(CreateKey::new()).unwrap();
    let lines = sink.to_bytes();
    kms.verify_audit_trail(TrailReader::bytes(&lines), &Verification::new())
        .unwrap();
}
