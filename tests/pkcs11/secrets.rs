//! Where the PIN and data keys are not: in memory after use, in logs, in errors; and how often the
//! file with the PIN is read.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};
use waxseal::pkcs11::{PinSource, Pkcs11Config};
use waxseal::{
    CreateKeyRequest, DataKey, KeyHandle, KeyProvider, RandomSource, SystemRandom, UnwrapRequest,
    WrapRequest,
};

use crate::providers::{self, Pkcs11KeyProvider};
use crate::tokens::{self, Shim, Tokens, token_tests};

const TOKEN: &str = "secretive";
const BINDING: &[u8] = b"bound";

token_tests! {
    fn neither_pin_nor_data_key_stays_in_memory(tokens) {
        let prepared = Prepared::new(tokens);
        let mut child = tokens::child(module_path!(), "another_process", tokens)
            .env(TASK, WAIT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = said.find_map(|line| {
            let line = line.unwrap();
            line.split_once("ready ").map(|(_, address)| address.parse::<u64>().unwrap())
        });
        let own_stack = ready.unwrap();
        let (mut kept, mut pin, mut data_key, mut bytes) = (0, 0, 0, 0);
        for (range, region) in memory(child.id()) {
            bytes += region.len();
            kept += occurrences(&region, prepared.place.kept.as_bytes());
            pin += occurrences(&region, prepared.pin.as_bytes());
            // Unoptimised code leaves copies on the stack of what it moves.
            if !(cfg!(debug_assertions) && range.contains(&own_stack)) {
                data_key += occurrences(&region, prepared.data_key.expose());
            }
        }
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert!(child.wait().unwrap().success());
        assert!(kept > 0, "{bytes} bytes were looked at, and what is there was not found");
        assert_eq!((pin, data_key), (0, 0), "of {bytes} bytes");
    }

    fn the_file_with_the_pin_is_read_once(tokens) {
        let prepared = Prepared::new(tokens);
        let trace = tokens.path("trace");
        let child = tokens::child(module_path!(), "another_process", tokens);
        let status = Command::new("strace")
            .args(["-f", "-e", "trace=open,openat,openat2", "-o"])
            .arg(&trace)
            .arg(child.get_program())
            .args(child.get_args())
            .envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env(TASK, LOG_IN)
            .status()
            .unwrap();
        assert!(status.success());
        let trace = fs::read_to_string(trace).unwrap();
        let name = prepared.place.pin_file.to_str().unwrap();
        let opened = trace.lines().filter(|line| line.contains(name)).count();
        assert_eq!(opened, 1, "of {} calls", trace.lines().count());
    }

    fn neither_pin_nor_data_key_is_logged(tokens) {
        static LOGGED: Logged = Logged(Mutex::new(String::new()));
        log::set_logger(&LOGGED).unwrap();
        log::set_max_level(LevelFilter::Trace);
        let prepared = Prepared::new(tokens);
        let place = &prepared.place;
        for rules in [&[][..], &["fail C_Decrypt 0x5"], &["fail * 0x30"], &["fail C_Login 0xa0"]] {
            place.shim.obey(rules);
            let provider = providers::try_open(place.config());
            let answer = provider.map(|provider| {
                let request = UnwrapRequest::new(&place.key, &place.wrapped, BINDING);
                format!("{provider:?}{:?}", provider.unwrap_key(request))
            });
            LOGGED.0.lock().unwrap().push_str(&format!("{answer:?}"));
        }
        let logged = LOGGED.0.lock().unwrap();
        let hex = hex(prepared.data_key.expose());
        let list = format!("{:?}", prepared.data_key.expose());
        assert!(logged.len() > 100);
        for secret in [&prepared.pin, &hex, list.trim_matches(['[', ']'])] {
            assert!(!logged.to_lowercase().contains(&secret.to_lowercase()));
        }
    }
}

/// What the child does, in a process that knows the PIN and the data key only through the provider.
#[test]
fn another_process() {
    let (Ok(task), Some(tokens)) = (std::env::var(TASK), tokens::here()) else {
        return;
    };
    let prepared = Place::read(&tokens);
    let provider = providers::try_open(prepared.config()).unwrap();
    prepared.use_key(&provider);
    if task == WAIT {
        println!("ready {}", std::ptr::from_ref(&task).addr());
        std::io::stdin().read_line(&mut String::new()).unwrap();
    } else {
        for _ in 0..10 {
            for rule in ["lose sessions 1 1", "lose module 1 1"] {
                prepared.shim.obey(&[rule]);
                prepared.use_key(&provider);
            }
        }
        assert!(prepared.shim.count("C_Login") > 20);
    }
    assert_eq!(prepared.kept.len(), 64);
}

const TASK: &str = "WAXSEAL_TEST_TASK";
const WAIT: &str = "use the key and wait";
const LOG_IN: &str = "lose sessions and log in again";

/// A token whose PIN stands in one file, with a key in it and a data key that it wrapped.
struct Prepared {
    place: Place,
    pin: String,
    data_key: DataKey,
}

impl Prepared {
    fn new(tokens: &Tokens) -> Self {
        let pin = random_text();
        let kept = random_text();
        tokens.secret_file("pin", &format!("{pin}\n"));
        tokens.secret_file("kept", &kept);
        tokens.softhsm_token_with_pin(TOKEN, &pin);
        let shim = Shim::new_at(&tokens.path("shim.so"), &tokens.softhsm(), &[]);
        let provider = providers::try_open(config(&shim.path, &tokens.path("pin")));
        let provider = provider.unwrap();
        let key = provider.create_key(CreateKeyRequest::default()).unwrap();
        let mut bytes = [0; 32];
        SystemRandom.fill(&mut bytes).unwrap();
        let data_key = DataKey::from_bytes(&bytes).unwrap();
        let wrapped = provider
            .wrap_key(WrapRequest::new(&key, &data_key, BINDING))
            .unwrap();
        fs::write(tokens.path("handle"), key.as_bytes()).unwrap();
        fs::write(tokens.path("wrapped"), wrapped.as_bytes()).unwrap();
        Self {
            place: Place::read(tokens),
            pin,
            data_key,
        }
    }
}

/// The same, as one finds it who knows neither PIN nor data key.
struct Place {
    shim: Shim,
    pin_file: PathBuf,
    key: KeyHandle,
    wrapped: Vec<u8>,
    /// Something that does stay in memory.
    kept: String,
}

impl Place {
    fn read(tokens: &Tokens) -> Self {
        Self {
            shim: Shim::at(&tokens.path("shim.so")),
            pin_file: tokens.path("pin"),
            key: KeyHandle::from_bytes(fs::read(tokens.path("handle")).unwrap()),
            wrapped: fs::read(tokens.path("wrapped")).unwrap(),
            kept: fs::read_to_string(tokens.path("kept")).unwrap(),
        }
    }

    fn config(&self) -> Pkcs11Config {
        config(&self.shim.path, &self.pin_file)
    }

    fn use_key(&self, provider: &Pkcs11KeyProvider) {
        for _ in 0..3 {
            let request = UnwrapRequest::new(&self.key, &self.wrapped, BINDING);
            let unwrapped = provider.unwrap_key(request).unwrap();
            let wrapped = WrapRequest::new(&self.key, &unwrapped, BINDING);
            provider.wrap_key(wrapped).unwrap();
        }
    }
}

fn config(module: &Path, pin_file: &Path) -> Pkcs11Config {
    Pkcs11Config::new(module)
        .with_token_label(TOKEN)
        .with_pin(PinSource::file(pin_file))
}

/// 64 characters that nobody else has.
fn random_text() -> String {
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes).unwrap();
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All memory of a process that can be read, as a core dump has it, region by region.
fn memory(process: u32) -> impl Iterator<Item = (Range<u64>, Vec<u8>)> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut regions = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        if rights.starts_with('r') {
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
            regions.push(from..to);
        }
    }
    regions.into_iter().filter_map(move |range| {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        memory.seek(SeekFrom::Start(range.start)).ok()?;
        // The kernel's own pages are not read.
        memory.read_exact(&mut bytes).ok().map(|()| (range, bytes))
    })
}

fn occurrences(bytes: &[u8], wanted: &[u8]) -> usize {
    memchr::memmem::find_iter(bytes, wanted).count()
}

/// A logger that keeps everything.
struct Logged(Mutex<String>);

impl Log for Logged {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push_str(&record.args().to_string());
    }

    fn flush(&self) {}
}
