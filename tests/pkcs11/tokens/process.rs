//! A test in a process of its own: the test binary is its own child, where that test is all that runs.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Tokens, install, kryoptic, shim, softhsm};

/// In the child: the folder of its tokens.
const DIRECTORY: &str = "WAXSEAL_TEST_TOKENS";

/// After this a test hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs `body` in a child process that has a folder and no tokens yet.
pub fn run(module: &str, name: &str, body: impl FnOnce(&Tokens)) {
    if let Some(tokens) = here() {
        return body(&tokens);
    }
    install::everything();
    let directory = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(arguments(module, name))
        .env(DIRECTORY, directory.path())
        .envs(softhsm::configure(directory.path()))
        .envs(kryoptic::configure(directory.path()))
        .envs(shim::configure())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (ended, printed) = wait(child);
    eprint!("{printed}");
    assert!(
        printed.contains("test result: ok. 1 passed"),
        "{name}: {ended}"
    );
}

/// The tokens of this process, if it is a child.
pub fn here() -> Option<Tokens> {
    let directory = std::env::var_os(DIRECTORY)?;
    Some(Tokens {
        directory: PathBuf::from(directory),
    })
}

/// A command that runs one test of this binary again, on the tokens of the running test.
pub fn child(module: &str, name: &str, tokens: &Tokens) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(arguments(module, name))
        .env(DIRECTORY, &tokens.directory);
    command
}

fn arguments(module: &str, name: &str) -> [String; 5] {
    let (_, module) = module.split_once("::").unwrap_or_default();
    let name = format!("{module}::{name}");
    let [exact, all, output, threads] = [
        "--exact",
        "--include-ignored",
        "--nocapture",
        "--test-threads=1",
    ]
    .map(str::to_owned);
    [name, exact, all, output, threads]
}

/// How the child ended, and what it printed.
fn wait(mut child: Child) -> (String, String) {
    let readers = [
        reader(child.stdout.take().unwrap()),
        reader(child.stderr.take().unwrap()),
    ];
    let started = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break match status.signal() {
                Some(signal) => format!("crashed with signal {signal}"),
                None => status.to_string(),
            };
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            break format!("hung for {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let printed = readers.map(|reader| reader.join().unwrap());
    (ended, printed.concat())
}

fn reader(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
