//! The disk of the audit trail runs full under a KMS: nothing is done that is not recorded, and work
//! goes on as soon as there is room.
#![cfg(target_os = "linux")]

#[path = "common/process.rs"]
mod process;

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use process::{Process, place, say, task, with_room_for};
use waxseal::audit::{AuditError, AuditQuery, AuditTrail, FileSink, Outcome, TrailReader};
use waxseal::{
    CreateKey, EncryptionContext, Kms, KmsError, KmsHandle, MemoryKeyStore, SoftwareKeyProvider,
};

/// The room that the files of a child have at first, in blocks of 512 bytes.
const BLOCKS: u32 = 100;

/// This test binary is its own child process: there, this test is all that runs.
#[test]
fn child_process() {
    let Some(task) = task() else {
        return;
    };
    let sink = FileSink::open_or_create(&task.store).unwrap();
    let kms = Kms::builder(MemoryKeyStore::new())
        .provider(SoftwareKeyProvider::generate().unwrap())
        .audit(AuditTrail::builder(sink))
        .open()
        .unwrap();
    let admin = kms.as_principal("ops:alice");
    let context = EncryptionContext::empty();
    let key = admin.create_key(CreateKey::new()).unwrap().id;
    let mut done = 1;
    let error = loop {
        match admin.generate_data_key(key, &context) {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
    };
    assert_full(&error);
    assert_full(&admin.rotate_now(key).unwrap_err());
    assert_full(&admin.disable_key(key).unwrap_err());
    assert_full(&admin.create_key(CreateKey::new()).map(drop).unwrap_err());
    #[cfg(feature = "tokio")]
    assert_full(&seals_as_a_task(&admin, key).unwrap_err());
    say(format_args!("refused {error}"));

    done += go_on(&admin, || admin.describe_key(key).map(drop));
    let told = admin.describe_key(key).unwrap();
    assert_eq!(
        told.primary.get(),
        1,
        "it was rotated, and that was not recorded"
    );
    admin.rotate_now(key).unwrap();
    say(format_args!("done {}", done + 2));
}

#[cfg(feature = "tokio")]
fn seals_as_a_task(admin: &KmsHandle, key: waxseal::KeyId) -> Result<(), KmsError> {
    use waxseal::{AsyncEnvelope, Envelope, Error};

    let envelope = AsyncEnvelope::new(Envelope::new(admin.keyring(key)?));
    let context = EncryptionContext::empty();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    match runtime.block_on(envelope.encrypt(b"x", &context)) {
        Ok(_) => Ok(()),
        Err(Error::Kms(error)) => Err(*error),
        Err(error) => panic!("{error:?}"),
    }
}

/// Tries until there is room.
fn go_on(admin: &KmsHandle, attempt: impl Fn() -> Result<(), KmsError>) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = attempt() {
        assert_full(&error);
        assert!(
            Instant::now() < deadline,
            "{} got no room",
            admin.principal()
        );
        sleep(Duration::from_millis(20));
    }
    1
}

fn assert_full(error: &KmsError) {
    assert!(
        matches!(error, KmsError::Audit(AuditError::Full { .. })),
        "{error:?}"
    );
    assert!(error.is_retryable());
}

#[test]
fn a_full_disk_stops_the_kms_until_there_is_room() {
    let (_directory, path) = place();
    let mut child = Process::start_in(&mut with_room_for(BLOCKS), "work", &path, "");
    let refused = child.hear().unwrap();
    assert!(
        refused.starts_with("refused there is no room left for the audit trail in"),
        "{refused}"
    );
    let made_room = Command::new("prlimit")
        .args(["--fsize=unlimited:unlimited", "--pid"])
        .arg(child.id().to_string())
        .status()
        .expect("prlimit makes room: apt-get install util-linux");
    assert!(made_room.success());
    let said = child.hear().unwrap();
    let done: usize = said.strip_prefix("done ").unwrap().parse().unwrap();
    assert!(child.hear_all().is_empty());

    let records = AuditQuery::new().over(TrailReader::directory(&path).unwrap());
    let allowed = records
        .map(Result::unwrap)
        .filter(|record| record.outcome == Outcome::Allowed);
    assert_eq!(allowed.count(), done);
}
