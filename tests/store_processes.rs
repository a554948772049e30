//! Several processes on one SQLite store: nothing is lost between them, when one of them is killed,
//! or when there is no room to write.
#![cfg(all(unix, feature = "sqlite"))]

#[path = "common/process.rs"]
mod process;
#[path = "common/stores.rs"]
mod stores;

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use process::{Process, place, say, task, with_room_for};
use stores::{key, put_new};
use waxseal::store::{Expected, RecordKey, Transaction};
use waxseal::{CommitError, KeyStore, SqliteKeyStore, StoreError};

/// This test binary is its own child process: there, this test is all that runs.
#[test]
fn child_process() {
    let Some(task) = task() else {
        return;
    };
    match task.name.as_str() {
        "write pairs" => write_pairs(&task.store),
        "count" => count(&task.store, &task.whose),
        "open or create" => put_own_record(&task.store, &task.whose),
        "fill" => fill(&task.store),
        name => panic!("no such task: {name}"),
    }
}

const KILLS: u64 = 50;

#[test]
fn what_was_acknowledged_survives_sigkill() {
    let (_directory, path) = place();
    let observer = SqliteKeyStore::create(&path).unwrap();
    let mut observer = Some(observer);
    let mut acknowledged = 0;
    for round in 0..KILLS {
        // With the last process gone, opening begins with a recovery; with another one, it does not.
        if round % 2 == 1 {
            observer = None;
        }
        let mut process = Process::start("write pairs", &path, "");
        let mut heard: Vec<String> = process.hear().into_iter().collect();
        sleep(Duration::from_micros(round * 1_700 % 20_000));
        heard.extend(process.kill());
        let last: u64 = heard.last().expect("a commit").parse().unwrap();
        assert!(last > acknowledged);
        acknowledged = last;

        let store = observer.get_or_insert_with(|| SqliteKeyStore::open(&path).unwrap());
        store.verify().unwrap();
        let written = store.latest().unwrap().get();
        assert!(written == acknowledged || written == acknowledged + 1);
        for n in 1..=written + 1 {
            let [left, right] = pair(n).map(|key| store.get(&key).unwrap());
            assert_eq!(left, right, "half of a commit");
            let bytes = left.map(|record| record.bytes);
            assert_eq!(bytes, (n <= written).then(|| contents(n)));
        }
        acknowledged = written;
    }
}

/// In a child: writes pairs of records until it is killed, and says so of each.
fn write_pairs(path: &Path) {
    let store = SqliteKeyStore::open(path).unwrap();
    let written = store.latest().unwrap().get();
    for n in written + 1.. {
        let [left, right] = pair(n);
        let both = Transaction::new()
            .put(left, Expected::Absent, contents(n))
            .put(right, Expected::Absent, contents(n));
        assert_eq!(store.commit(&both).unwrap().get(), n);
        say(n);
        // Brings the log into the file: there it may be killed too.
        if n % 3 == 0 {
            store.erase_replaced().unwrap();
        }
    }
}

fn pair(n: u64) -> [RecordKey; 2] {
    ["left", "right"].map(|side| key(&format!("{side} {n}")))
}

fn contents(n: u64) -> Vec<u8> {
    n.to_be_bytes().repeat(200)
}

const PROCESSES: u64 = 8;
const INCREMENTS: u64 = 40;

#[test]
fn processes_lose_no_update() {
    let (_directory, path) = place();
    let store = SqliteKeyStore::create(&path).unwrap();
    put_new(&store, &key("counter"), &0_u64.to_be_bytes());
    let processes: Vec<Process> = (0..PROCESSES)
        .map(|n| Process::start("count", &path, &n.to_string()))
        .collect();
    let mut seen = BTreeSet::new();
    for process in processes {
        for number in process.hear_all() {
            assert!(
                seen.insert(number.parse::<u64>().unwrap()),
                "{number} twice"
            );
        }
    }
    let total = PROCESSES * INCREMENTS;
    assert_eq!(seen, (1..=total).collect());
    let counter = store.get(&key("counter")).unwrap().unwrap();
    assert_eq!(counter.bytes, total.to_be_bytes());
    assert_eq!(store.latest().unwrap().get(), total + 1);
    store.verify().unwrap();
}

/// In a child: adds one to a number that all share, and says which number it made.
fn count(path: &Path, name: &str) {
    let store = SqliteKeyStore::open(path).unwrap();
    let mut done = 0;
    while done < INCREMENTS {
        let found = store.get(&key("counter")).unwrap().unwrap();
        let number = u64::from_be_bytes(found.bytes.try_into().unwrap()) + 1;
        let own = key(&format!("{name} made {number}"));
        let swap = Transaction::new()
            .put(
                key("counter"),
                Expected::Revision(found.revision),
                number.to_be_bytes(),
            )
            .put(own, Expected::Absent, "");
        match store.commit(&swap) {
            Ok(_) => {
                say(number);
                done += 1;
            }
            Err(CommitError::Conflict { key }) => assert_eq!(key, self::key("counter")),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn processes_that_would_all_create_a_store_have_the_same() {
    let (directory, path) = place();
    let names: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    let processes: Vec<Process> = names
        .iter()
        .map(|name| Process::start("open or create", &path, name))
        .collect();
    for process in processes {
        assert_eq!(process.hear_all(), ["done"]);
    }
    let store = SqliteKeyStore::open(&path).unwrap();
    for name in &names {
        assert!(store.get(&key(name)).unwrap().is_some());
    }
    drop(store);
    assert_eq!(directory.path().read_dir().unwrap().count(), 1);
}

fn put_own_record(path: &Path, name: &str) {
    let store = SqliteKeyStore::open_or_create(path).unwrap();
    put_new(&store, &key(name), b"");
    say("done");
}

#[test]
fn a_full_disk_loses_nothing() {
    for limit in [130, 200, 370, 700] {
        let (_directory, path) = place();
        drop(SqliteKeyStore::create(&path).unwrap());
        let heard = Process::start_in(&mut with_room_for(limit), "fill", &path, "").hear_all();
        let [written, said] = heard.as_slice() else {
            panic!("{heard:?}");
        };
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        let written: u64 = written.parse().unwrap();

        let store = SqliteKeyStore::open(&path).unwrap();
        store.verify().unwrap();
        assert_eq!(store.latest().unwrap().get(), written, "limit {limit}");
        for n in 1..=written {
            assert!(store.get(&key(&n.to_string())).unwrap().is_some());
        }
        put_new(&store, &key("with room again"), b"");
    }
}

/// In a child: writes until it fails, and says how often it did not, and why it did.
fn fill(path: &Path) {
    let store = SqliteKeyStore::open(path).unwrap();
    let mut written = 0;
    let error = loop {
        let n = key(&(written + 1).to_string());
        let put = Transaction::new().put(n, Expected::Absent, vec![7; 9000]);
        match store.commit(&put) {
            Ok(_) => written += 1,
            Err(CommitError::Store(error)) => break error,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(matches!(
        error,
        StoreError::Full { .. } | StoreError::Io { .. }
    ));
    // It fails again, and what there is can be read.
    let put = Transaction::new().put(key("more"), Expected::Absent, vec![7; 100_000]);
    store.commit(&put).unwrap_err();
    assert_eq!(store.latest().unwrap().get(), written);
    assert!(store.get(&key("1")).unwrap().is_some());
    say(written);
    say(error);
}
