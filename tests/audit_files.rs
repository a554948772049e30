//! Trails in files: processes that die, several at once, full disks, rotation.
#![cfg(unix)]

#[path = "common/audit.rs"]
mod audit;
#[path = "common/process.rs"]
mod process;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use audit::{Heads, NEVER, builder, event, key, made_anew, split, trail};
use process::{Process, say, task, with_room_for};
use tempfile::TempDir;
use waxseal::audit::{
    AuditError, AuditQuery, AuditTrail, Durability, FileSink, Tampering, TrailReader, Verification,
    Verified, VerifyTrailError,
};

/// This test binary is its own child process: there, this test is all that runs.
#[test]
fn child_process() {
    let Some(task) = task() else {
        return;
    };
    match task.name.as_str() {
        "record until killed" => record_until_killed(&task.store),
        "record some" => record_some(&task.store, &task.whose),
        "fill" => fill(&task.store),
        name => panic!("no such task: {name}"),
    }
}

fn place() -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    (directory, path)
}

fn verify(path: &Path) -> Verified {
    let key = key();
    let against = Verification::new().trusting_macs(&key);
    against
        .verify(TrailReader::directory(path).unwrap())
        .unwrap()
}

fn requests(path: &Path) -> Vec<String> {
    AuditQuery::new()
        .over(TrailReader::directory(path).unwrap())
        .map(|record| record.unwrap().request_id)
        .collect()
}

fn record(trail: &AuditTrail, request: &str) -> Result<(), AuditError> {
    trail.record(&event(request, "svc:billing")).map(drop)
}

/// `WAXSEAL_TEST_AUDIT_KILLS=200` is the campaign.
#[test]
fn what_was_recorded_survives_sigkill_and_the_trail_goes_on() {
    let kills = std::env::var("WAXSEAL_TEST_AUDIT_KILLS").map_or(20, |n| n.parse().unwrap());
    let (_directory, path) = place();
    drop(FileSink::open_or_create(&path).unwrap());
    let mut acknowledged = Vec::new();
    let mut torn = 0;
    for round in 0..kills {
        let mut process = Process::start("record until killed", &path, "");
        acknowledged.extend(process.hear());
        thread::sleep(Duration::from_micros(round * 1_300 % 30_000));
        acknowledged.extend(process.kill());

        torn += usize::from(verify(&path).torn > 0);
        let found: std::collections::HashSet<_> = requests(&path).into_iter().collect();
        for request in &acknowledged {
            assert!(found.contains(request), "{request} is lost");
        }
    }
    let goes_on = trail(FileSink::open(&path).unwrap());
    record(&goes_on, "after all").unwrap();
    goes_on.close().unwrap();
    let verified = verify(&path);
    assert_eq!(verified.torn, 0);
    assert_eq!(
        verified.signed_through,
        Some(verified.tail.unwrap().sequence)
    );
    println!(
        "{kills} kills: {} records were acknowledged, all are there; {} were written; {torn} lines were torn",
        acknowledged.len(),
        verified.records
    );
}

/// In a child: eight threads record until it is killed, and each says what was recorded.
fn record_until_killed(path: &Path) {
    let sink = FileSink::open(path).unwrap().rotate_at(100_000);
    let trail = builder(sink).checkpoint_every(100, NEVER).open().unwrap();
    let process = std::process::id();
    thread::scope(|scope| {
        for n in 0..8 {
            let trail = &trail;
            scope.spawn(move || {
                for count in 0.. {
                    let request = format!("{process}-{n}-{count}");
                    record(trail, &request).unwrap();
                    say(request);
                }
            });
        }
    });
}

/// Whatever of its end a file has lost: what was half written is cut off, and that is said.
#[test]
fn a_torn_line_is_cut_off_and_the_trail_goes_on() {
    let (_directory, path) = place();
    let first = trail(FileSink::open_or_create(&path).unwrap());
    record(&first, "first").unwrap();
    record(&first, "second").unwrap();
    let file = FileSink::open(&path).unwrap().files().unwrap().remove(0);
    let whole = fs::read(&file).unwrap();
    std::mem::forget(first);
    let lines = split(&whole);
    assert_eq!(lines.len(), 3);
    for len in 0..=whole.len() {
        fs::write(&file, &whole[..len]).unwrap();
        let again = trail(FileSink::open(&path).unwrap());
        record(&again, "again").unwrap();
        drop(again);
        let bytes = fs::read(&file).unwrap();
        let kept = lines
            .iter()
            .scan(0, |end, line| {
                *end += line.len();
                Some(*end)
            })
            .filter(|&end| end <= len)
            .last()
            .unwrap_or(0);
        assert_eq!(bytes[..kept], whole[..kept]);
        let verified = verify(&path);
        let text = String::from_utf8(bytes).unwrap();
        let is_cut = text.contains("\"eventType\":\"recovered\",");
        assert_eq!(is_cut, len > kept, "{len}");
        let is_said = text.contains(&format!("\"cutBytes\":{},", len - kept));
        assert_eq!(is_said, len > kept);
        let expected = lines.iter().filter(|line| {
            kept >= line.as_ptr() as usize - whole.as_ptr() as usize + line.len()
                && line.windows(8).any(|text| text == b"\"record\"")
        });
        assert_eq!(verified.records, expected.count() as u64 + 1);
    }
}

/// Also one whose first line was half written once: that is said before its first record.
#[test]
fn every_trail_has_a_head_from_its_beginning() {
    for torn in ["", "{\"eventVersion\""] {
        let (_directory, path) = place();
        let sink = FileSink::open_or_create(&path).unwrap();
        fs::write(&sink.files().unwrap()[0], torn).unwrap();
        let heads = Heads::default();
        let trail = builder(sink).heads(heads.clone()).open().unwrap();
        record(&trail, "first").unwrap();
        assert!(trail.head().unwrap().is_some(), "{torn}");
    }
}

/// The newest may be empty where there was no room for its first line.
#[test]
fn the_file_before_an_empty_one_is_not_to_be_archived() {
    let (directory, path) = place();
    let sink = FileSink::open_or_create(&path).unwrap().rotate_at(1);
    let trail = trail(sink);
    record(&trail, "first").unwrap();
    record(&trail, "second").unwrap();
    std::mem::forget(trail);
    let files = FileSink::open(&path).unwrap().files().unwrap();
    let [before, newest] = files.as_slice() else {
        panic!("{files:?}");
    };
    fs::write(newest, "").unwrap();
    let archived = directory.path().join("archived");
    fs::rename(before, &archived).unwrap();
    let error = FileSink::open(&path).unwrap_err().to_string();
    assert!(
        error.contains(
            "its newest file is empty, and the one before it is not there; put that back"
        ),
        "{error}"
    );
    fs::rename(&archived, before).unwrap();
    FileSink::open(&path).unwrap();
}

/// A power cut may leave zeros where data was to be.
#[test]
fn zeros_after_the_last_line_are_cut_off_and_other_damage_is_refused() {
    let (_directory, path) = place();
    let sink = FileSink::open_or_create(&path).unwrap();
    let file = sink.files().unwrap().remove(0);
    let first = trail(sink);
    record(&first, "first").unwrap();
    drop(first);
    append(&file, &[0; 100_000]);
    let again = trail(FileSink::open(&path).unwrap());
    record(&again, "second").unwrap();
    drop(again);
    assert_eq!(verify(&path).records, 2);

    for damage in [&b"no line\n"[..], b"{}\n", &[b'x'; 70_000][..]] {
        let whole = fs::read(&file).unwrap();
        append(&file, damage);
        if damage.len() > 1000 {
            append(&file, b"\n");
        }
        let damaged = fs::read(&file).unwrap();
        let error = FileSink::open(&path).unwrap_err();
        assert!(matches!(error, AuditError::Damaged { .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), damaged, "it was touched");
        fs::write(&file, whole).unwrap();
    }
    let newer = "{\"eventVersion\":2,\"sequence\":9,\"prev\":\"\",\"eventType\":\"x\"}\n";
    append(
        &file,
        newer.replace("\"\"", &format!("\"{:064}\"", 0)).as_bytes(),
    );
    let error = FileSink::open(&path).unwrap_err();
    assert!(matches!(error, AuditError::Newer { .. }), "{error}");
}

fn append(file: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    file.write_all(bytes).unwrap();
}

const PROCESSES: usize = 6;
const RECORDS: usize = 150;

#[test]
fn several_processes_make_one_chain() {
    let (_directory, path) = place();
    let names: Vec<String> = (0..PROCESSES).map(|n| n.to_string()).collect();
    let processes: Vec<_> = names
        .iter()
        .map(|name| Process::start("record some", &path, name))
        .collect();
    for process in processes {
        assert_eq!(process.hear_all(), ["done"]);
    }
    let verified = verify(&path);
    assert_eq!(verified.records, (PROCESSES * RECORDS) as u64);
    let mut found = requests(&path);
    found.sort();
    let mut expected: Vec<_> = names
        .iter()
        .flat_map(|name| (0..RECORDS).map(move |n| format!("{name}-{n}")))
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    let files = FileSink::open(&path).unwrap().files().unwrap();
    assert!(files.len() > 5, "{} files", files.len());
}

fn record_some(path: &Path, name: &str) {
    let sink = FileSink::open_or_create(path).unwrap().rotate_at(30_000);
    let trail = builder(sink).checkpoint_every(50, NEVER).open().unwrap();
    thread::scope(|scope| {
        for thread in 0..3 {
            let trail = &trail;
            scope.spawn(move || {
                for n in (thread..RECORDS).step_by(3) {
                    record(trail, &format!("{name}-{n}")).unwrap();
                }
            });
        }
    });
    trail.close().unwrap();
    say("done");
}

/// Else the next checkpoint would sign it.
#[test]
fn a_trail_that_was_made_anew_is_not_gone_on_with() {
    let (_directory, path) = place();
    let heads = Heads::default();
    let open = || {
        let sink = FileSink::open_or_create(&path).unwrap().rotate_at(2000);
        builder(sink).heads(heads.clone()).open()
    };
    let first = open().unwrap();
    let file = || FileSink::open(&path).unwrap().files().unwrap().remove(0);
    record(&first, "first").unwrap();
    record(&first, "second").unwrap();
    first.close().unwrap();
    record(&first, "third").unwrap();
    let written = fs::read(file()).unwrap();

    // While it is open, and with a line more, as if another process had written it.
    let longer = builder(FileSink::open(&path).unwrap()).open().unwrap();
    record(&longer, "fourth").unwrap();
    std::mem::forget(longer);
    let forged = made_anew(&fs::read(file()).unwrap());
    fs::write(file(), &forged).unwrap();
    let error = record(&first, "fifth").unwrap_err();
    assert!(matches!(error, AuditError::Replaced { .. }), "{error}");
    std::mem::forget(first);

    let error = open().unwrap_err();
    assert!(matches!(error, AuditError::Damaged { .. }), "{error}");
    assert_eq!(fs::read(file()).unwrap(), forged, "it was touched");

    fs::write(file(), written).unwrap();
    let again = open().unwrap();
    for n in 0..20 {
        record(&again, &n.to_string()).unwrap();
    }
    let files = FileSink::open(&path).unwrap().files().unwrap();
    assert!(files.len() > 3);
    std::mem::forget(again);
    drop(open().unwrap());

    // The head may be in an archive.
    for archived in &files[..files.len() - 1] {
        fs::remove_file(archived).unwrap();
    }
    record(&open().unwrap(), "last").unwrap();
}

#[test]
fn files_are_rotated_and_may_be_archived() {
    let (directory, path) = place();
    let sink = FileSink::open_or_create(&path).unwrap().rotate_at(2000);
    let long = builder(sink).checkpoint_every(7, NEVER).open().unwrap();
    for n in 0..60 {
        record(&long, &n.to_string()).unwrap();
    }
    long.close().unwrap();
    assert_eq!(verify(&path).records, 60);
    let files = FileSink::open(&path).unwrap().files().unwrap();
    assert!(files.len() > 8);

    // A file of the middle is missing.
    let archive = directory.path().join("archive");
    fs::create_dir(&archive).unwrap();
    let archived = |file: &Path| archive.join(file.file_name().unwrap());
    fs::rename(&files[3], archived(&files[3])).unwrap();
    let key = key();
    let against = Verification::new().trusting_macs(&key);
    let lost = against
        .clone()
        .verify(TrailReader::directory(&path).unwrap());
    let Err(VerifyTrailError::Tampered(finding)) = lost else {
        panic!("{lost:?}");
    };
    assert!(
        matches!(finding.what, Tampering::Missing { .. }),
        "{finding}"
    );
    assert_eq!(finding.place.file.as_deref(), Some(files[4].as_path()));

    // So are all before it: that is an archive.
    for file in &files[..3] {
        fs::rename(file, archived(file)).unwrap();
    }
    let rest = || TrailReader::directory(&path).unwrap();
    assert!(against.verify(rest()).is_err());
    let since = against.clone().without_archived_files();
    let verified = since.verify(rest()).unwrap();
    assert!(verified.first > 0 && verified.records < 60);
    assert_eq!(
        verified.signed_through,
        Some(verified.tail.unwrap().sequence)
    );

    // It goes on, and with the archive it is whole.
    record(&long, "more").unwrap();
    let all = files[..4].iter().map(|file| archived(file));
    let now = FileSink::open(&path).unwrap().files().unwrap();
    let whole = TrailReader::files(all.chain(now));
    assert_eq!(against.verify(whole).unwrap().records, 61);
}

#[test]
fn a_full_disk_refuses_and_leaves_nothing_half_written() {
    let (_directory, path) = place();
    drop(FileSink::open_or_create(&path).unwrap());
    let mut total = 0;
    for limit in [8, 16, 40, 41, 100] {
        let heard = Process::start_in(&mut with_room_for(limit), "fill", &path, "").hear_all();
        let [recorded, said] = heard.as_slice() else {
            panic!("{heard:?}");
        };
        assert!(
            said.contains("there is no room left for the audit trail in"),
            "{said}"
        );
        total += recorded.parse::<u64>().unwrap();

        let verified = verify(&path);
        assert_eq!((verified.records, verified.torn), (total, 0), "{limit}");
        let file = FileSink::open(&path).unwrap().files().unwrap().remove(0);
        assert!(!fs::read_to_string(file).unwrap().contains("recovered"));
    }
    let with_room = trail(FileSink::open(&path).unwrap());
    record(&with_room, "with room again").unwrap();
    assert_eq!(verify(&path).records, total + 1);
}

/// In a child: records until it fails, again with room, and says how often it did not fail.
fn fill(path: &Path) {
    let sink = FileSink::open(path).unwrap();
    let trail = builder(sink)
        .checkpoint_every(u64::MAX, NEVER)
        .open()
        .unwrap();
    let mut recorded = 0;
    let error = loop {
        match record(&trail, "fill") {
            Ok(()) => recorded += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AuditError::Full { .. }), "{error:?}");
    assert!(error.is_retryable());
    let again = record(&trail, "still no room").unwrap_err();
    assert!(matches!(again, AuditError::Full { .. }), "{again:?}");
    say(recorded);
    say(error);
    // Not to be closed: there is no room for the checkpoint.
    std::mem::forget(trail);
}

#[test]
fn a_file_that_was_moved_or_replaced_is_noticed() {
    for again in ["nothing", "an older copy", "another trail"] {
        let (directory, path) = place();
        let sink = FileSink::open_or_create(&path).unwrap();
        let file = sink.files().unwrap().remove(0);
        let trail = trail(sink);
        record(&trail, "first").unwrap();
        let copy = fs::read(&file).unwrap();
        record(&trail, "second").unwrap();
        let aside = directory.path().join("aside");
        fs::rename(&file, &aside).unwrap();
        match again {
            "an older copy" => fs::write(&file, copy).unwrap(),
            "another trail" => {
                let other = audit::trail(FileSink::open_or_create(&path).unwrap());
                for n in 0..9 {
                    record(&other, &n.to_string()).unwrap();
                }
            }
            _ => {}
        }
        let error = record(&trail, "third").unwrap_err();
        assert!(
            matches!(
                error,
                AuditError::Replaced { .. } | AuditError::OtherTrail { .. }
            ),
            "{error}"
        );
        fs::rename(&aside, &file).unwrap();
        record(&trail, "third").unwrap();
        assert_eq!(requests(&path), ["first", "second", "third"]);
    }
}

#[test]
fn a_trail_is_opened_where_there_is_one_and_only_its_owner_reads_it() {
    let (directory, path) = place();
    let error = FileSink::open(&path).unwrap_err();
    assert!(matches!(error, AuditError::Io { .. }), "{error}");
    assert!(error.to_string().contains("No such file"), "{error}");
    fs::create_dir(&path).unwrap();
    let error = FileSink::open(&path).unwrap_err();
    assert!(matches!(error, AuditError::Damaged { .. }), "{error}");
    fs::remove_dir(&path).unwrap();

    let sink = FileSink::open_or_create(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&sink.files().unwrap()[0]), 0o600);
    let nowhere = directory.path().join("no/such");
    assert!(FileSink::open_or_create(nowhere).is_err());
}

#[test]
fn each_durability_writes_the_same() {
    for durability in [
        Durability::Grouped,
        Durability::EachRecord,
        Durability::OperatingSystem,
    ] {
        let (_directory, path) = place();
        let sink = FileSink::open_or_create(&path)
            .unwrap()
            .durability(durability);
        let trail = trail(sink);
        thread::scope(|scope| {
            for n in 0..8 {
                let trail = &trail;
                scope.spawn(move || {
                    for count in 0..20 {
                        record(trail, &format!("{n}-{count}")).unwrap();
                    }
                });
            }
        });
        trail.close().unwrap();
        assert_eq!(verify(&path).records, 160);
        let mut requests = requests(&path);
        requests.sort();
        requests.dedup();
        assert_eq!(requests.len(), 160);
    }
}
