//! Files whose headers are overwritten in place or copied, and what a power cut leaves of them.

use std::fs;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use waxseal::format::{Header, KeyEntriesBuf, KeyEntry};
use waxseal::{
    DecryptionRequest, EncryptionContext, EncryptionMaterials, EncryptionRequest, Envelope,
    EnvelopeEncryptor, Error, FileRewrap, Keyring, MultiKeyring, Rewrap, RewrapFileError,
    RewrapJob, RewrapReport, RootKey, SingleKeyring, Unwrapped, WrapDataKeyRequest, rewrap_file,
};

const JOURNAL: &str = ".waxseal-rewrap";

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn keyring(number: u8) -> SingleKeyring {
    SingleKeyring::software(&RootKey::from_bytes(&[number; 32]))
}

fn envelope(number: u8) -> Envelope {
    Envelope::new(keyring(number))
}

fn payload(number: usize) -> Vec<u8> {
    vec![u8::try_from(number % 251).unwrap(); number * 97]
}

/// A directory of sealed files, some deeper than others, under key 1.
fn sealed(files: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..files {
        let path = path_of(directory.path(), number);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let message = envelope(1).encrypt(&payload(number), &context()).unwrap();
        fs::write(path, message).unwrap();
    }
    directory
}

fn path_of(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("d{}/f{number}", number % 7))
}

fn check(directory: &Path, files: usize, key: u8) {
    for number in 0..files {
        let message = fs::read(path_of(directory, number)).unwrap();
        let opened = envelope(key).decrypt(&message, &context()).unwrap();
        assert_eq!(*opened, payload(number)[..], "{number}");
    }
}

fn run(directory: &Path, change: Rewrap) -> RewrapReport {
    RewrapJob::new(&envelope(1), change)
        .run_directory(directory, |_| Some(context()))
        .unwrap()
}

#[test]
fn a_directory_goes_from_key_to_key_in_place() {
    let directory = sealed(600);
    fs::write(directory.path().join("notes.txt"), "nothing sealed").unwrap();
    fs::write(directory.path().join("empty"), "").unwrap();
    let modified = |number| {
        fs::metadata(path_of(directory.path(), number))
            .unwrap()
            .len()
    };
    let before: Vec<_> = (0..600).map(modified).collect();

    let dry = RewrapJob::new(&envelope(1), Rewrap::to(keyring(2)))
        .dry_run()
        .run_directory(directory.path(), |_| Some(context()))
        .unwrap();
    assert!(dry.dry_run && !dry.is_complete());
    assert_eq!(
        (dry.looked_at, dry.rewrapped, dry.other, dry.bytes_written),
        (602, 600, 2, 0)
    );
    check(directory.path(), 600, 1);

    let report = run(directory.path(), Rewrap::to(keyring(2)));
    assert!(report.is_complete());
    assert_eq!(
        (report.rewrapped, report.in_place, report.failed),
        (600, 600, 0)
    );
    assert!(
        report.bytes_written <= 600 * 2048,
        "{}",
        report.bytes_written
    );
    check(directory.path(), 600, 2);
    assert_eq!((0..600).map(modified).collect::<Vec<_>>(), before);
    assert!(!directory.path().join(JOURNAL).exists());

    let one = envelope(1);
    let job = RewrapJob::new(&one, Rewrap::new());
    let again = job
        .run_directory(directory.path(), |_| Some(context()))
        .unwrap();
    assert_eq!(
        (again.rewrapped, again.failed),
        (0, 600),
        "under another key now"
    );
    assert_eq!(again.failures.len(), 100);
    assert!(
        again.failures[0].error.contains("another root key"),
        "{again:?}"
    );
    let two = envelope(2);
    let job = RewrapJob::new(&two, Rewrap::new());
    let again = job
        .run_directory(directory.path(), |_| Some(context()))
        .unwrap();
    assert_eq!(
        (again.rewrapped, again.current, again.bytes_written),
        (0, 600, 0)
    );
    assert_eq!(serde_json::to_value(&again).unwrap()["current"], 600);
}

#[test]
fn a_header_that_grows_is_copied_with_its_body() {
    let directory = sealed(20);
    let report = run(
        directory.path(),
        Rewrap::keeping().add_key(keyring(2)).with_room(200),
    );
    assert_eq!((report.rewrapped, report.in_place), (20, 0));
    check(directory.path(), 20, 1);
    check(directory.path(), 20, 2);
    let report = run(directory.path(), Rewrap::keeping().add_key(keyring(3)));
    assert_eq!((report.rewrapped, report.in_place), (20, 20));
    check(directory.path(), 20, 3);
    let names = walkdir::WalkDir::new(directory.path()).into_iter();
    assert_eq!(
        names
            .filter(|entry| entry.as_ref().unwrap().file_type().is_file())
            .count(),
        20
    );
}

#[test]
fn files_with_two_names_are_rewrapped_once() {
    let directory = sealed(600);
    for number in 0..600 {
        let path = path_of(directory.path(), number);
        fs::hard_link(&path, path.with_extension("too")).unwrap();
    }
    let two = keyring(2);
    let both = Envelope::new(MultiKeyring::new(keyring(1)).opening_also(two.clone()));
    let report = RewrapJob::new(&both, Rewrap::to(two))
        .run_directory(directory.path(), |_| Some(context()))
        .unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(
        (report.looked_at, report.rewrapped, report.current),
        (1200, 600, 600)
    );
    check(directory.path(), 600, 2);
}

#[test]
fn progress_tells_of_what_is_durable() {
    let directory = sealed(900);
    let mut told = Vec::new();
    let one = envelope(1);
    let report = RewrapJob::new(&one, Rewrap::to(keyring(2)))
        .with_progress(|report| {
            let done = report.rewrapped;
            if told.last() != Some(&done) {
                told.push(done);
            }
            if report.looked_at == 800 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .run_directory(directory.path(), |_| Some(context()))
        .unwrap();
    assert!(told.is_sorted() && told.len() > 1, "{told:?}");
    // At the most two batches are on their way.
    assert!(*told.last().unwrap() >= 800 - 2 * 256, "{told:?}");
    assert_eq!((report.stopped, report.rewrapped), (true, 800));
    let two = envelope(2);
    let opened = (0..900).filter(|&number| {
        let message = fs::read(path_of(directory.path(), number)).unwrap();
        two.decrypt(&message, &context()).is_ok()
    });
    assert_eq!(opened.count(), 800);
}

#[test]
fn a_job_is_stopped_and_gone_on_with() {
    let directory = sealed(30);
    let mut looks = 0;
    let one = envelope(1);
    let report = RewrapJob::new(&one, Rewrap::to(keyring(2)))
        .with_rate_limit(NonZeroU32::new(10_000).unwrap())
        .with_progress(|report| {
            assert_eq!(report.looked_at, looks);
            looks += 1;
            if looks == 11 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .run_directory(directory.path(), |_| Some(context()))
        .unwrap();
    assert!(report.stopped && !report.is_complete());
    assert_eq!(report.rewrapped, 10);
    let skipping = RewrapJob::new(&one, Rewrap::to(keyring(2)))
        .run_directory(directory.path(), |path| {
            (!path.ends_with("d0/f0")).then(context)
        })
        .unwrap();
    assert_eq!(skipping.rewrapped + skipping.failed + skipping.skipped, 30);
    assert_eq!(skipping.skipped, 1);
}

#[test]
fn one_file() {
    let directory = sealed(3);
    let path = path_of(directory.path(), 2);
    let (one, context) = (envelope(1), context());
    let rewrap = |change| rewrap_file(&path, &one, &context, &change);
    assert_eq!(rewrap(Rewrap::new()).unwrap(), FileRewrap::Current);
    assert_eq!(
        rewrap(Rewrap::keeping().add_key(keyring(2))).unwrap(),
        FileRewrap::Copied
    );
    let change = Rewrap::keeping().remove_key(keyring(2).key().clone());
    assert_eq!(rewrap(change).unwrap(), FileRewrap::InPlace);
    check(directory.path(), 3, 1);
    let beside = fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 1);
    assert_eq!(rewrap(Rewrap::to(keyring(2))).unwrap(), FileRewrap::InPlace);
    let refused = rewrap(Rewrap::new()).unwrap_err();
    assert!(
        matches!(refused, RewrapFileError::Message { .. }),
        "{refused}"
    );

    let locked = fs::File::open(&path).unwrap();
    locked.lock().unwrap();
    let refused = rewrap(Rewrap::new()).unwrap_err();
    assert!(matches!(refused, RewrapFileError::Busy { .. }), "{refused}");
    assert!(refused.is_retryable());
}

/// Does something when it is asked to wrap, and then wraps.
struct Meanwhile<F>(SingleKeyring, F);

impl<F> std::fmt::Debug for Meanwhile<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<F: Fn() + Send + Sync> Keyring for Meanwhile<F> {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        self.0.encryption_materials(request)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.0.decryption_materials(request)
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        (self.1)();
        self.0.wrap_data_key(request)
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.0.holds(entry)
    }

    fn max_entries_len(&self) -> usize {
        self.0.max_entries_len()
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_or_removed_meanwhile_is_not_put_back() {
    let directory = sealed(3);
    let path = path_of(directory.path(), 2);
    let newer = envelope(1).encrypt(b"newer", &context()).unwrap();
    let (beside, in_place) = (directory.path().join("newer"), path.clone());
    let replace = {
        let newer = newer.clone();
        move || {
            fs::write(&beside, &newer).unwrap();
            fs::rename(&beside, &in_place).unwrap();
        }
    };
    let change = Rewrap::keeping().add_key(Meanwhile(keyring(2), replace));
    let refused = rewrap_file(&path, &envelope(1), &context(), &change).unwrap_err();
    assert!(refused.to_string().contains("replaced it"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), newer);

    let gone = path.clone();
    let remove = move || fs::remove_file(&gone).unwrap();
    let change = Rewrap::keeping().add_key(Meanwhile(keyring(2), remove));
    rewrap_file(&path, &envelope(1), &context(), &change).unwrap_err();
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn permissions_are_kept() {
    use std::os::unix::fs::PermissionsExt;

    let directory = sealed(3);
    let path = path_of(directory.path(), 2);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let change = Rewrap::keeping().add_key(keyring(2));
    assert_eq!(
        rewrap_file(&path, &envelope(1), &context(), &change).unwrap(),
        FileRewrap::Copied
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
}

/// As far as that may be, which takes a privileged process.
#[cfg(unix)]
#[test]
fn a_copy_has_the_owner_of_the_file() {
    use std::os::unix::fs::{MetadataExt, chown};

    let directory = sealed(3);
    let path = path_of(directory.path(), 2);
    let may_chown = chown(&path, Some(4321), Some(8765)).is_ok();
    let owner = |path| fs::metadata(path).map(|found| (found.uid(), found.gid()));
    let before = owner(&path).unwrap();
    assert_eq!(may_chown, before == (4321, 8765));
    let change = Rewrap::keeping().add_key(keyring(2));
    let done = rewrap_file(&path, &envelope(1), &context(), &change).unwrap();
    assert_eq!(done, FileRewrap::Copied);
    assert_eq!(owner(&path).unwrap(), before);
}

/// The journal of one overwrite, as `FORMAT.md` says.
fn journal(name: &str, old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = b"waxseal rewrap 1\n\x01".to_vec();
    bytes.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
    bytes.extend(name.as_bytes());
    bytes.extend(u16::try_from(old.len()).unwrap().to_be_bytes());
    bytes.extend(old);
    bytes.extend(new);
    bytes.push(0);
    let hash = Sha256::digest(&bytes);
    bytes.extend(hash);
    bytes
}

/// A file under key 1, and its headers under key 1 and key 2.
fn one_sealed() -> (TempDir, PathBuf, Vec<u8>, Vec<u8>) {
    let directory = sealed(5);
    let path = path_of(directory.path(), 4);
    let message = fs::read(&path).unwrap();
    let rewrapped = envelope(1)
        .rewrap_with(&message, &context(), &Rewrap::to(keyring(2)))
        .unwrap();
    let old = message[..rewrapped.replaces].to_vec();
    (directory, path, old, rewrapped.header)
}

#[test]
fn a_header_half_overwritten_is_made_whole() {
    let (_directory, path, old, new) = one_sealed();
    let message = fs::read(&path).unwrap();
    let body = &message[old.len()..];
    let beside = path.with_file_name(format!("f4{JOURNAL}"));
    let both = Envelope::new(keyring(1));
    for torn in 0..=old.len() {
        for (front, back) in [(&new, &old), (&old, &new)] {
            let header = [&front[..torn], &back[torn..]].concat();
            fs::write(&path, [&header, body].concat()).unwrap();
            fs::write(&beside, journal("f4", &old, &new)).unwrap();
            // With the old key alone: where the new header is not known to open, the old one is.
            let _ = rewrap_file(&path, &both, &context(), &Rewrap::new());
            let found = fs::read(&path).unwrap();
            let under_old = envelope(1).decrypt(&found, &context());
            let under_new = envelope(2).decrypt(&found, &context());
            let opened = under_old.or(under_new).unwrap();
            assert_eq!(*opened, payload(4)[..], "{torn}");
            assert!(!beside.exists());
        }
    }
}

#[test]
fn a_journal_that_was_never_finished_is_nothing() {
    let (_directory, path, old, new) = one_sealed();
    let beside = path.with_file_name(format!("f4{JOURNAL}"));
    let whole = journal("f4", &old, &new);
    for len in 0..whole.len() {
        for rest in [0, whole.len() - len] {
            let mut cut = whole[..len].to_vec();
            cut.resize(len + rest, 0);
            fs::write(&beside, cut).unwrap();
            let done = rewrap_file(&path, &envelope(1), &context(), &Rewrap::new()).unwrap();
            assert_eq!(done, FileRewrap::Current);
            assert!(!beside.exists());
        }
    }
}

#[test]
fn a_journal_writes_nothing_that_it_should_not() {
    let (directory, path, old, new) = one_sealed();
    let beside = path.with_file_name(format!("f4{JOURNAL}"));
    let other = envelope(1).encrypt(b"another", &context()).unwrap();
    let rewrap = || rewrap_file(&path, &envelope(1), &context(), &Rewrap::new());

    // Another message has taken the file's place.
    fs::write(&path, &other).unwrap();
    fs::write(&beside, journal("f4", &old, &new)).unwrap();
    rewrap().unwrap();
    assert_eq!(fs::read(&path).unwrap(), other);

    // One that does not open, so nobody can tell.
    let foreign = envelope(3).encrypt(b"another", &context()).unwrap();
    fs::write(&path, &foreign).unwrap();
    fs::write(&beside, journal("f4", &old, &new)).unwrap();
    let refused = rewrap().unwrap_err();
    assert!(
        matches!(refused, RewrapFileError::Unrecovered { .. }),
        "{refused}"
    );
    assert_eq!(fs::read(&path).unwrap(), foreign);
    assert!(beside.exists());

    // Outside of its directory.
    let victim = directory.path().join("victim");
    fs::write(&victim, &foreign).unwrap();
    for name in ["../victim", "/etc/passwd", "", "a/../../victim", "."] {
        fs::write(&beside, journal(name, &old, &new)).unwrap();
        let refused = rewrap().unwrap_err();
        assert!(
            matches!(refused, RewrapFileError::NoJournal { .. }),
            "{name}: {refused}"
        );
    }
    // Headers that do not open are not written, though they would fit.
    let (mut forged_old, mut forged_new) = (other[..101].to_vec(), other[..101].to_vec());
    forged_old[100] ^= 1;
    forged_new[99] ^= 1;
    let mut torn = other.clone();
    torn[99] ^= 1;
    torn[100] ^= 1;
    fs::write(&path, &torn).unwrap();
    fs::write(&beside, journal("f4", &forged_old, &forged_new)).unwrap();
    let refused = rewrap().unwrap_err();
    assert!(
        matches!(refused, RewrapFileError::Unrecovered { .. }),
        "{refused}"
    );
    assert_eq!(fs::read(&path).unwrap(), torn);
    // Something else of that name.
    fs::write(&beside, "a letter").unwrap();
    assert!(matches!(rewrap(), Err(RewrapFileError::NoJournal { .. })));
    assert_eq!(fs::read(&beside).unwrap(), b"a letter");
}

#[test]
fn the_journal_of_a_directory_is_gone_on_with_first() {
    let (directory, path, old, new) = one_sealed();
    let message = fs::read(&path).unwrap();
    let header = [&new[..60], &old[60..]].concat();
    fs::write(&path, [&header, &message[old.len()..]].concat()).unwrap();
    let journal_path = directory.path().join(JOURNAL);
    fs::write(&journal_path, journal("d4/f4", &old, &new)).unwrap();
    let report = run(directory.path(), Rewrap::to(keyring(2)));
    assert_eq!(
        (report.recovered, report.failed, report.rewrapped),
        (1, 0, 5)
    );
    check(directory.path(), 5, 2);
    assert!(Header::parse(&fs::read(&path).unwrap()).is_ok());

    // Only one job at a time.
    let held = fs::File::create(&journal_path).unwrap();
    held.lock().unwrap();
    let busy = RewrapJob::new(&envelope(2), Rewrap::new())
        .run_directory(directory.path(), |_| Some(context()));
    assert!(matches!(busy, Err(RewrapFileError::Busy { .. })));
}

#[cfg(unix)]
#[test]
fn links_that_somebody_put_there_are_not_followed() {
    let (directory, path, ..) = one_sealed();
    let victim = directory.path().join("victim");
    for (suffix, change) in [
        (".waxseal-new", Rewrap::keeping().add_key(keyring(2))),
        (
            JOURNAL,
            Rewrap::to(keyring(3)).remove_key(keyring(2).key().clone()),
        ),
    ] {
        fs::write(&victim, "").unwrap();
        let link = path.with_file_name(format!("f4{suffix}"));
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let done = rewrap_file(&path, &envelope(1), &context(), &change);
        assert_eq!(done.is_ok(), suffix != JOURNAL, "{done:?}");
        assert_eq!(fs::read(&victim).unwrap(), b"");
        let message = fs::read(&path).unwrap();
        assert!(envelope(1).decrypt(&message, &context()).is_ok());
    }
}

#[cfg(unix)]
#[test]
fn a_journal_is_not_followed_through_a_link() {
    let (directory, path, old, new) = one_sealed();
    let message = fs::read(&path).unwrap();
    let torn = [&new[..60], &old[60..], &message[old.len()..]].concat();
    let elsewhere = tempfile::tempdir().unwrap();
    let outside = elsewhere.path().join("f");
    fs::write(&outside, &torn).unwrap();
    std::os::unix::fs::symlink(&outside, directory.path().join("file")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), directory.path().join("deeper")).unwrap();
    let journal_path = directory.path().join(JOURNAL);
    for name in ["file", "deeper/f"] {
        fs::write(&journal_path, journal(name, &old, &new)).unwrap();
        let refused = RewrapJob::new(&envelope(1), Rewrap::new())
            .run_directory(directory.path(), |_| Some(context()))
            .unwrap_err();
        assert!(refused.to_string().contains("link"), "{name}: {refused}");
        assert_eq!(fs::read(&outside).unwrap(), torn, "{name}");
        assert!(journal_path.exists());
    }
}

#[cfg(unix)]
#[test]
fn of_a_link_the_file_that_it_leads_to_is_rewrapped() {
    let (directory, path, ..) = one_sealed();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let rewrap = |change| rewrap_file(&link, &envelope(1), &context(), &change);
    let added = rewrap(Rewrap::keeping().add_key(keyring(2)));
    assert_eq!(added.unwrap(), FileRewrap::Copied);
    check(directory.path(), 5, 1);
    let message = fs::read(&path).unwrap();
    assert!(envelope(2).decrypt(&message, &context()).is_ok());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

    // What was interrupted is beside the file, whatever it was called by then.
    let change = Rewrap::to(keyring(2));
    let rewrapped = envelope(1)
        .rewrap_with(&message, &context(), &change)
        .unwrap();
    let (old, new) = (&message[..rewrapped.replaces], rewrapped.header);
    let torn = [&new[..60], &old[60..], &message[old.len()..]].concat();
    fs::write(&path, torn).unwrap();
    let beside = path.with_file_name(format!("f4{JOURNAL}"));
    fs::write(&beside, journal("f4", old, &new)).unwrap();
    rewrap(Rewrap::new()).unwrap();
    check(directory.path(), 5, 1);
    assert!(!beside.exists());
}
