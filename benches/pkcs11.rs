//! A token used through waxseal, held against the same calls made directly.
//!
//! `cargo bench --features pkcs11 --bench pkcs11`. Needs SoftHSM (`apt-get install softhsm2`), of
//! which it makes a token of its own. Prints what a wrap and an unwrap cost as a multiple of the raw
//! calls, and how many of them four threads get through.

mod pairs;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use pairs::{compare, quartiles};
use waxseal::pkcs11::{PinSource, Pkcs11Config, Pkcs11KeyProvider};
use waxseal::{CreateKeyRequest, DataKey, KeyHandle, KeyProvider, UnwrapRequest, WrapRequest};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "271828";
const LABEL: &str = "bench";
const ROUNDS: usize = 2000;
const THREADS: usize = 4;
const TURNS: usize = 12;
const TURN: Duration = Duration::from_millis(250);
/// As long as what a keyring binds.
const BINDING: &[u8] = &[7; 96];

/// In the child: its token's folder was made.
const PREPARED: &str = "WAXSEAL_BENCH_TOKEN";

fn main() {
    if std::env::var_os(PREPARED).is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        exit(prepare(folder.path()));
    }
    let config = Pkcs11Config::new(MODULE)
        .with_token_label(LABEL)
        .with_pin(PinSource::value(PIN.as_bytes()).expect("a PIN"));
    let provider = Pkcs11KeyProvider::open(config).expect("the token opens");
    let provider = provider.with_key_label(LABEL);
    let handle = provider
        .create_key(CreateKeyRequest::default())
        .expect("the token makes a key");
    let raw = Raw::new();
    one_thread(&provider, &handle, &raw);
    many_threads(&provider, &handle, raw);
}

/// SoftHSM reads its configuration when it is loaded, so this runs again as a child.
fn prepare(folder: &Path) -> i32 {
    let configuration = folder.join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\n", folder.display());
    fs::write(&configuration, text).expect("a file");
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", LABEL])
        .args(["--so-pin", "314159", "--pin", PIN])
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .expect("softhsm2-util runs; install it: apt-get install softhsm2");
    assert!(made.status.success(), "softhsm2-util: {made:?}");
    let status = Command::new(std::env::current_exe().expect("a path"))
        .args(std::env::args_os().skip(1))
        .env("SOFTHSM2_CONF", &configuration)
        .env(PREPARED, "yes")
        .status();
    status.expect("it runs again").code().unwrap_or(1)
}

/// The token used directly, as one would who needs nothing else.
struct Raw {
    session: Session,
    key: ObjectHandle,
}

impl Raw {
    fn new() -> Self {
        let module = Pkcs11::new(MODULE).expect("the module loads");
        let slots = module.get_slots_with_initialized_token().expect("slots");
        let slot = *slots.first().expect("the token");
        let session = module.open_ro_session(slot).expect("a session");
        let label = Attribute::Label(LABEL.into());
        let keys = session.find_objects(&[label]).expect("keys");
        Self {
            key: *keys.first().expect("the key"),
            session,
        }
    }

    fn encrypt(&self, data_key: &[u8]) -> Vec<u8> {
        let mut iv = [9; 12];
        let params = GcmParams::new(&mut iv, BINDING, 128.into()).expect("parameters");
        self.session
            .encrypt(&Mechanism::AesGcm(params), self.key, data_key)
            .expect("it encrypts")
    }

    fn decrypt(&self, sealed: &[u8]) -> Vec<u8> {
        let mut iv = [9; 12];
        let params = GcmParams::new(&mut iv, BINDING, 128.into()).expect("parameters");
        self.session
            .decrypt(&Mechanism::AesGcm(params), self.key, sealed)
            .expect("it decrypts")
    }
}

fn one_thread(provider: &Pkcs11KeyProvider, handle: &KeyHandle, raw: &Raw) {
    let data_key = DataKey::from_bytes(&[5; 32]).expect("32 bytes");
    let wrapping = compare(
        ROUNDS,
        || drop(black_box(wrap(provider, handle, &data_key))),
        || drop(black_box(raw.encrypt(data_key.expose()))),
    );
    let wrapped = wrap(provider, handle, &data_key);
    let sealed = raw.encrypt(data_key.expose());
    let unwrapping = compare(
        ROUNDS,
        || unwrap(provider, handle, &wrapped),
        || drop(black_box(raw.decrypt(&sealed))),
    );
    for (name, comparison) in [("wrap", wrapping), ("unwrap", unwrapping)] {
        let [lower, median, upper] = quartiles(&comparison.ratios);
        let [_, ours, _] = quartiles(&comparison.first);
        println!(
            "{name}: {median:.3} of the raw call ({lower:.3} to {upper:.3}), {:.1} us",
            ours / 1000.0
        );
    }
}

/// Pairs of a wrap and an unwrap by four threads, for as long as a turn: through waxseal, directly
/// over a session for each, and directly over one session behind a mutex.
fn many_threads(provider: &Pkcs11KeyProvider, handle: &KeyHandle, raw: Raw) {
    let data_key = DataKey::from_bytes(&[5; 32]).expect("32 bytes");
    let sessions: Vec<_> = (0..THREADS).map(|_| Mutex::new(Raw::new())).collect();
    let one_session = Mutex::new(raw);
    let use_raw = |raw: &Mutex<Raw>| {
        let raw = raw.lock().expect("nobody panicked");
        let sealed = raw.encrypt(data_key.expose());
        drop(black_box(raw.decrypt(&sealed)));
    };
    let (mut ours, mut direct) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let pooled = rate(|_| {
            let wrapped = wrap(provider, handle, &data_key);
            unwrap(provider, handle, &wrapped);
        });
        let guarded = rate(|_| use_raw(&one_session));
        let each_its_own = rate(|thread| sessions.get(thread).into_iter().for_each(use_raw));
        ours.push(pooled / guarded);
        direct.push(each_its_own / guarded);
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    println!("{THREADS} threads on {processors} processors, one session behind a mutex being 1:");
    for (name, ratios) in [("waxseal", ours), ("a raw session each", direct)] {
        let [lower, median, upper] = quartiles(&ratios);
        println!("  {name}: {median:.2} ({lower:.2} to {upper:.2})");
    }
}

/// How often four threads do something in a turn.
fn rate(work: impl Fn(usize) + Sync) -> f64 {
    let (over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (over, count, work) = (&over, &count, &work);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    work(thread);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(TURN);
        over.store(true, Ordering::Relaxed);
    });
    f64::from(u32::try_from(count.into_inner()).unwrap_or(u32::MAX))
}

fn wrap(provider: &Pkcs11KeyProvider, handle: &KeyHandle, data_key: &DataKey) -> Vec<u8> {
    let request = WrapRequest::new(handle, data_key, BINDING);
    let wrapped = provider.wrap_key(request).expect("it wraps");
    wrapped.as_bytes().to_vec()
}

fn unwrap(provider: &Pkcs11KeyProvider, handle: &KeyHandle, wrapped: &[u8]) {
    let request = UnwrapRequest::new(handle, wrapped, BINDING);
    drop(black_box(provider.unwrap_key(request).expect("it unwraps")));
}
