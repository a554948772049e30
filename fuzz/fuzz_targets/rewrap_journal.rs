//! Whatever stands where a journal of a rewrap is looked for, what is behind a header stays, nothing
//! outside of the directory is touched, and a message that opened opens.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Rewrap, RewrapJob, RootKey, SingleKeyring,
};

/// One header to be overwritten, as a forger says.
#[derive(Debug, Arbitrary)]
struct Overwrite {
    name: Name,
    old: Header,
    new: Header,
}

#[derive(Debug, Arbitrary)]
enum Name {
    Whole,
    Torn,
    Outside,
    Other(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
enum Header {
    Old,
    New,
    Edited(u16, u8),
    Other(Vec<u8>),
}

struct Sealed {
    envelope: Envelope,
    context: EncryptionContext,
    old: Vec<u8>,
    new: Vec<u8>,
    body: Vec<u8>,
    top: tempfile::TempDir,
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let keyring = |byte| SingleKeyring::software(&RootKey::from_bytes(&[byte; 32]));
    let envelope = Envelope::new(keyring(1)).with_room(200);
    let context = EncryptionContext::new([("tenant", "a")]).unwrap();
    let message = envelope.encrypt(b"payload", &context).unwrap();
    let change = Rewrap::keeping().add_key(keyring(2));
    let rewrapped = envelope.rewrap_with(&message, &context, &change).unwrap();
    let (old, body) = message.split_at(rewrapped.replaces);
    assert_eq!(rewrapped.header.len(), old.len());
    Sealed {
        old: old.to_vec(),
        new: rewrapped.header,
        body: body.to_vec(),
        // In memory where that is possible: there is much to make durable.
        top: tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap(),
        envelope,
        context,
    }
});

fuzz_target!(|bytes: &[u8]| {
    run(bytes);
    run(&hashed(bytes.to_vec()));
    if let Ok(overwrites) = Vec::<Overwrite>::arbitrary(&mut Unstructured::new(bytes)) {
        run(&journal(&overwrites));
    }
});

fn run(journal: &[u8]) {
    let Sealed { envelope, context, old, new, body, top } = &*SEALED;
    let directory = top.path().join("directory");
    fs::create_dir_all(&directory).unwrap();
    let half = old.len() / 2;
    // Headers that are whole, half overwritten, and out of reach.
    let whole = Message::put(directory.join("f1"), &[old, body]);
    let torn = Message::put(directory.join("f2"), &[&new[..half], &old[half..], body]);
    let outside = Message::put(top.path().join("f1"), &[&new[..half], &old[half..], body]);
    fs::write(directory.join(".waxseal-rewrap"), journal).unwrap();

    let job = RewrapJob::new(envelope, Rewrap::keeping());
    let _finished_or_refused = job.run_directory(&directory, |_| Some(context.clone()));

    assert_eq!(outside.now(), outside.before);
    for message in [&whole, &torn] {
        let now = message.now();
        assert_eq!(now.len(), message.before.len());
        assert_eq!(now[old.len()..], **body);
        if now != message.before || message.path == whole.path {
            envelope.decrypt(&now, context).unwrap();
        }
    }
}

struct Message {
    path: PathBuf,
    before: Vec<u8>,
}

impl Message {
    fn put(path: PathBuf, parts: &[&[u8]]) -> Self {
        let before = parts.concat();
        fs::write(&path, &before).unwrap();
        Self { path, before }
    }

    fn now(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }
}

/// The bytes of a journal (FORMAT.md, "Journals of rewraps").
fn journal(overwrites: &[Overwrite]) -> Vec<u8> {
    let mut bytes = b"waxseal rewrap 1\n".to_vec();
    for Overwrite { name, old, new } in overwrites {
        let name = match name {
            Name::Whole => b"f1",
            Name::Torn => b"f2",
            Name::Outside => &b"../f1"[..],
            Name::Other(name) => name,
        };
        let (old, mut new) = (header(old), header(new));
        new.resize(old.len(), 0);
        bytes.push(1);
        for (part, has_len) in [(name, true), (&old, true), (&new, false)] {
            if has_len {
                bytes.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            }
            bytes.extend_from_slice(part);
        }
    }
    bytes.push(0);
    hashed(bytes)
}

fn header(header: &Header) -> Vec<u8> {
    match header {
        Header::Old => SEALED.old.clone(),
        Header::New => SEALED.new.clone(),
        Header::Edited(at, bits) => {
            let mut edited = SEALED.new.clone();
            let at = usize::from(*at) % edited.len();
            edited[at] ^= bits;
            edited
        }
        Header::Other(bytes) => bytes.clone(),
    }
}

/// The hash that makes a journal a finished one.
fn hashed(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = Sha256::digest(&bytes);
    bytes.extend(hash);
    bytes
}
