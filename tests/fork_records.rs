//! A forked child does not go on sealing under its parent's header.
#![cfg(unix)]

mod common;

use std::process::exit;

use fork::{Fork, fork, waitpid};
use waxseal::{EncryptionContext, HeaderId, MemoryHeaderStore, Opener, Sealer};

#[test]
fn a_child_seals_under_a_header_of_its_own() {
    let headers = MemoryHeaderStore::new();
    let context = EncryptionContext::empty();
    let sealer = Sealer::new(common::envelope(), context.clone(), headers.clone());
    let opener = Opener::new(common::envelope(), context, headers.clone());
    let seal = || {
        let record = sealer.seal(b"payload", b"").unwrap();
        assert_eq!(*opener.open(&record, b"").unwrap(), *b"payload");
        HeaderId::of_record(&record).unwrap()
    };
    let parents = seal();
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    match fork().unwrap() {
        Fork::Child => {
            let [first, second] = [seal(), seal()];
            assert_eq!((first, headers.len()), (second, 2));
            std::fs::write(&path, first.as_bytes()).unwrap();
            exit(0);
        }
        Fork::Parent(child) => {
            waitpid(child).unwrap();
            let childs = std::fs::read(&path).unwrap();
            assert_eq!(childs.len(), 4, "the child failed");
            assert_ne!(childs, parents.as_bytes());
            assert_eq!((seal(), headers.len()), (parents, 1));
        }
    }
}
