//! Child processes for tests: the test binary is its own child, where the test `child_process` is
//! all that runs.
#![allow(dead_code, reason = "each test uses a part")]

use std::io::{BufRead, BufReader, Lines, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

const TASK: &str = "WAXSEAL_TEST_STORE_TASK";
const STORE: &str = "WAXSEAL_TEST_STORE_PATH";
const NAME: &str = "WAXSEAL_TEST_STORE_NAME";

/// What a child process is to do.
pub struct Task {
    pub name: String,
    pub store: PathBuf,
    /// Who the child is.
    pub whose: String,
}

/// The task of this process, if it is a child.
pub fn task() -> Option<Task> {
    Some(Task {
        name: std::env::var(TASK).ok()?,
        store: PathBuf::from(std::env::var_os(STORE).unwrap()),
        whose: std::env::var(NAME).unwrap(),
    })
}

/// This test binary, of which no file can grow beyond so many blocks of 512 bytes: it stands for a
/// full disk, where a write fails in the middle. The limit can be lifted.
pub fn with_room_for(blocks: u32) -> Command {
    let mut shell = Command::new("sh");
    let limited = "trap '' XFSZ; ulimit -S -f $0; exec \"$@\"";
    shell.args(["-c", limited, &blocks.to_string()]);
    shell.arg(std::env::current_exe().unwrap());
    shell
}

/// A child process that is killed, if it still runs, when it is dropped.
pub struct Process {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub fn start(task: &str, path: &Path, name: &str) -> Self {
        Self::start_in(
            &mut Command::new(std::env::current_exe().unwrap()),
            task,
            path,
            name,
        )
    }

    pub fn start_in(command: &mut Command, task: &str, path: &Path, name: &str) -> Self {
        let mut child = command
            .args(["--exact", "child_process", "--nocapture"])
            .env(TASK, task)
            .env(STORE, path)
            .env(NAME, name)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the child says to us, if it says any more.
    pub fn hear(&mut self) -> Option<String> {
        self.said
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| Some(line.strip_prefix("child: ")?.to_owned()))
    }

    pub fn hear_all(mut self) -> Vec<String> {
        let all = std::iter::from_fn(|| self.hear()).collect();
        assert!(self.child.wait().unwrap().success());
        all
    }

    /// SIGKILL; then what it still had said.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let rest = std::iter::from_fn(|| self.hear()).collect();
        self.child.wait().unwrap();
        rest
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: says a line that leaves the process at once.
pub fn say(line: impl std::fmt::Display) {
    let mut stdout = stdout().lock();
    writeln!(stdout, "child: {line}").unwrap();
    stdout.flush().unwrap();
}

pub fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.db");
    (directory, path)
}
