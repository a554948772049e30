//! A forked child shares no randomness with its parent.
#![cfg(unix)]

use std::process::exit;

use fork::{Fork, fork, waitpid};
use waxseal::{RandomSource, SystemRandom};

#[test]
fn a_child_gets_other_random_bytes_than_its_parent() {
    let random = || {
        let mut bytes = [0; 32];
        SystemRandom.fill(&mut bytes).unwrap();
        bytes
    };
    random();
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    match fork().unwrap() {
        Fork::Child => {
            std::fs::write(&path, random()).unwrap();
            exit(0);
        }
        Fork::Parent(child) => {
            waitpid(child).unwrap();
            assert_ne!(std::fs::read(&path).unwrap(), random());
        }
    }
}
