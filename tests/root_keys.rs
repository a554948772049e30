//! Where root keys come from, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, KeyTextError, PassphraseCosts,
    PassphraseRecord, RootKey, RootKeyError, SingleKeyring, SoftwareKeyProvider,
};

const KEY: [u8; 32] = *b"\x00\xff\x10 thirty-two bytes, not text\n\x80";
const KEY_HEX: &str = "00ff10207468697274792d74776f2062797465732c206e6f7420746578740a80";
const KEY_BASE64: &str = "AP8QIHRoaXJ0eS10d28gYnl0ZXMsIG5vdCB0ZXh0CoA=";

fn is_the_key(root_key: &RootKey) -> bool {
    let handle = |root_key: &RootKey| SoftwareKeyProvider::new(root_key).root_handle();
    handle(root_key) == handle(&RootKey::from_bytes(&KEY))
}

/// A file that only its owner may read.
fn private_file(directory: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    set_mode(&path, 0o600);
    path
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) {}

#[test]
fn every_text_form_of_a_key_is_read() {
    let padded = format!("  {KEY_BASE64}\r\n");
    let forms: [&[u8]; 7] = [
        &KEY,
        KEY_HEX.as_bytes(),
        &KEY_HEX.to_uppercase().into_bytes(),
        KEY_BASE64.as_bytes(),
        KEY_BASE64.trim_end_matches('=').as_bytes(),
        padded.as_bytes(),
        &[KEY_HEX.as_bytes(), b"\n"].concat(),
    ];
    for form in forms {
        assert!(is_the_key(&RootKey::from_text(form).unwrap()));
    }
}

#[test]
fn what_is_no_key_is_refused_with_the_reason() {
    for (text, reason) in [
        (&b""[..], KeyTextError::Length { len: 0 }),
        (b"\n", KeyTextError::Length { len: 1 }),
        (&KEY[..31], KeyTextError::Length { len: 31 }),
        (
            &[KEY_HEX, KEY_HEX].concat().into_bytes(),
            KeyTextError::Length { len: 128 },
        ),
        (&[b'a'; 64][..63], KeyTextError::Length { len: 63 }),
        (&KEY_HEX.replace('7', "g").into_bytes(), KeyTextError::Hex),
        (
            &KEY_BASE64.replace('0', "!").into_bytes(),
            KeyTextError::Base64,
        ),
        (
            &KEY_BASE64.replace('A', "_").into_bytes(),
            KeyTextError::Base64,
        ),
        (
            &[KEY_HEX.as_bytes(), &[b' '; 65]].concat(),
            KeyTextError::Length { len: 129 },
        ),
        (b"correct-horse-battery-staple-abc", KeyTextError::Text),
        (b"00112233445566778899aabbccddeeff", KeyTextError::Text),
        (&[0; 32], KeyTextError::Uniform),
        (&[b'0'; 64], KeyTextError::Uniform),
    ] {
        assert_eq!(RootKey::from_text(text).unwrap_err(), reason);
    }
}

#[test]
fn a_variable_holds_base64_or_hexadecimal() {
    for text in [KEY_BASE64, KEY_HEX] {
        temp_env::with_var("WAXSEAL_TEST_KEY", Some(text), || {
            assert!(is_the_key(&RootKey::from_env("WAXSEAL_TEST_KEY").unwrap()));
        });
    }
    temp_env::with_var("WAXSEAL_TEST_KEY", Some("short"), || {
        let error = RootKey::from_env("WAXSEAL_TEST_KEY").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("the environment variable WAXSEAL_TEST_KEY holds no"),
            "{text}"
        );
        assert!(!text.contains("short"));
    });
    temp_env::with_var_unset("WAXSEAL_TEST_KEY", || {
        let error = RootKey::from_env("WAXSEAL_TEST_KEY").unwrap_err();
        assert!(matches!(error, RootKeyError::NoVariable { name } if name == "WAXSEAL_TEST_KEY"));
    });
}

#[test]
fn a_file_holds_any_form() {
    let directory = tempfile::tempdir().unwrap();
    for content in [&KEY[..], KEY_HEX.as_bytes(), KEY_BASE64.as_bytes()] {
        let path = private_file(directory.path(), "root.key", content);
        assert!(is_the_key(&RootKey::from_file(path).unwrap()));
    }
    let missing = RootKey::from_file(directory.path().join("none")).unwrap_err();
    let missing = missing.to_string();
    assert!(missing.contains("none could not be read: No such file"));
    assert!(missing.ends_with("make one with RootKey::create_file"));
    let long = private_file(directory.path(), "long.key", &vec![b'a'; 1 << 20]);
    let error = RootKey::from_file(long).unwrap_err();
    assert!(matches!(error, RootKeyError::NotAKey { .. }));
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_refused_and_says_how_to_mend_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = private_file(directory.path(), "root.key", &KEY);
    for mode in [0o604, 0o640, 0o644, 0o666, 0o610, 0o602] {
        set_mode(&path, mode);
        let text = RootKey::from_file(&path).unwrap_err().to_string();
        assert!(text.contains(&format!("(mode {mode:04o})")), "{text}");
        assert!(
            text.ends_with(&format!("chmod 600 {}", path.display())),
            "{text}"
        );
    }
    for mode in [0o400, 0o600, 0o700] {
        set_mode(&path, mode);
        assert!(is_the_key(&RootKey::from_file(&path).unwrap()));
    }
}

#[test]
fn a_created_file_is_private_random_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.key");
    let created = SoftwareKeyProvider::new(&RootKey::create_file(&path).unwrap());
    let read = SoftwareKeyProvider::new(&RootKey::from_file(&path).unwrap());
    assert_eq!(created.root_handle(), read.root_handle());
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
    let before = fs::read(&path).unwrap();
    let error = RootKey::create_file(&path).unwrap_err().to_string();
    assert!(
        error.contains("could not be created: File exists"),
        "{error}"
    );
    assert!(error.contains("read that one with RootKey::from_file"));
    assert_eq!(fs::read(&path).unwrap(), before);
    let other = SoftwareKeyProvider::generate().unwrap();
    assert_ne!(other.root_handle(), read.root_handle());
}

#[test]
fn a_systemd_credential_is_read_from_the_directory_that_systemd_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = private_file(directory.path(), "waxseal-root", KEY_BASE64.as_bytes());
    temp_env::with_var("CREDENTIALS_DIRECTORY", Some(directory.path()), || {
        assert!(is_the_key(
            &RootKey::from_systemd_credential("waxseal-root").unwrap()
        ));
        set_mode(&path, 0o440);
        assert!(RootKey::from_systemd_credential("waxseal-root").is_ok());
        #[cfg(unix)]
        {
            set_mode(&path, 0o444);
            let error = RootKey::from_systemd_credential("waxseal-root").unwrap_err();
            assert!(matches!(error, RootKeyError::ReadableByOthers { .. }));
        }
        let error = RootKey::from_systemd_credential("other").unwrap_err();
        assert!(
            error.to_string().contains("LoadCredential=other:PATH"),
            "{error}"
        );
        for name in ["", ".", "..", "../waxseal-root", "/etc/hostname"] {
            let error = RootKey::from_systemd_credential(name).unwrap_err();
            assert!(matches!(error, RootKeyError::CredentialName { .. }));
        }
    });
    temp_env::with_var_unset("CREDENTIALS_DIRECTORY", || {
        let error = RootKey::from_systemd_credential("waxseal-root").unwrap_err();
        assert!(matches!(error, RootKeyError::NoCredential { .. }));
    });
}

#[test]
fn a_passphrase_gives_the_same_key_again_and_only_it_does() {
    let (root_key, record) = PassphraseRecord::create("correct horse battery staple").unwrap();
    let stored = record.to_bytes();
    assert_eq!(stored.len(), PassphraseRecord::LEN);
    let record = PassphraseRecord::from_bytes(&stored).unwrap();
    assert_eq!(record.costs(), PassphraseCosts::default());

    let context = EncryptionContext::empty();
    let message = Envelope::new(SingleKeyring::software(&root_key))
        .encrypt(b"payload", &context)
        .unwrap();
    let again = RootKey::from_passphrase("correct horse battery staple", &record).unwrap();
    let envelope = Envelope::new(SingleKeyring::software(&again));
    assert_eq!(*envelope.decrypt(&message, &context).unwrap(), *b"payload");

    let wrong = RootKey::from_passphrase("correct horse battery stapl", &record);
    assert!(matches!(wrong, Err(RootKeyError::WrongPassphrase)));
    let empty = PassphraseRecord::create("").map(drop);
    assert!(matches!(empty, Err(RootKeyError::EmptyPassphrase)));
}

#[test]
fn two_records_of_one_passphrase_give_two_keys() {
    let costs = PassphraseCosts {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };
    let (a, _) = PassphraseRecord::create_with("passphrase", costs).unwrap();
    let (b, _) = PassphraseRecord::create_with("passphrase", costs).unwrap();
    let handle = |root_key| SoftwareKeyProvider::new(root_key).root_handle();
    assert_ne!(handle(&a), handle(&b));
}

#[test]
fn costs_of_a_record_are_capped_before_any_work() {
    let costs = PassphraseCosts {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };
    let (_, record) = PassphraseRecord::create_with("passphrase", costs).unwrap();
    let stored = record.to_bytes();
    let with_cost = |index: usize, cost: u32| {
        let mut changed = stored.clone();
        changed[1 + 4 * index..][..4].copy_from_slice(&cost.to_be_bytes());
        PassphraseRecord::from_bytes(&changed)
    };
    for (index, allowed) in [(0, 8..=2_097_152), (1, 1..=64), (2, 1..=8)] {
        for cost in [*allowed.start(), *allowed.end()] {
            assert!(with_cost(index, cost).is_ok(), "{index} {cost}");
        }
        for cost in [allowed.start() - 1, allowed.end() + 1, u32::MAX] {
            assert!(with_cost(index, cost).is_err(), "{index} {cost}");
        }
    }
    for len in (0..stored.len()).chain([stored.len() + 1]) {
        let mut changed = stored.clone();
        changed.resize(len, 0);
        let error = PassphraseRecord::from_bytes(&changed)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("not a passphrase record: it is"),
            "{error}"
        );
    }
    let mut other_version = stored.clone();
    other_version[0] = 2;
    assert!(PassphraseRecord::from_bytes(&other_version).is_err());
    let refused = PassphraseRecord::create_with("p", PassphraseCosts { lanes: 0, ..costs });
    assert!(matches!(refused, Err(RootKeyError::Costs { .. })));
}
