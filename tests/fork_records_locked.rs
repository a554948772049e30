//! A child that is forked while other threads seal and open records can do so itself.
#![cfg(unix)]

mod common;

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::header_store::Directory;
use fork::{Fork, fork, waitpid};
use waxseal::{EncryptionContext, Opener, Sealer};

#[test]
fn a_child_waits_for_no_thread_of_its_parent() {
    let context = EncryptionContext::empty();
    let directory = tempfile::tempdir().unwrap();
    let headers = Directory(directory.path().to_owned());
    // Every other record needs a new header, so that locks are held most of the time.
    let sealer =
        Sealer::new(common::envelope(), context.clone(), headers.clone()).with_max_records(2);
    let opener = Opener::new(common::envelope(), context, headers).with_cache(0);
    let round_trip = || {
        let record = sealer.seal(b"payload", b"").unwrap();
        assert_eq!(*opener.open(&record, b"").unwrap(), *b"payload");
    };
    let done = AtomicBool::new(false);
    let mut hung = 0;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    round_trip();
                }
            });
        }
        for _ in 0..50 {
            match fork().unwrap() {
                Fork::Child => {
                    std::thread::spawn(|| {
                        std::thread::sleep(Duration::from_secs(30));
                        exit(1);
                    });
                    round_trip();
                    round_trip();
                    exit(0);
                }
                Fork::Parent(child) => {
                    let status = waitpid(child).unwrap();
                    hung += usize::from(status != 0);
                }
            }
            if hung > 0 {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(hung, 0, "a child hung or failed");
}
