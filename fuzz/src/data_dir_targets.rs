//! The small files of a data directory: whatever one of them holds, a member starts from what is there, or is
//! told which file keeps it from that; never with a panic. A file with a checksum that is not that of its
//! content says nothing.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use storage::{
    Compression, DataDir, Directories, EmptyDatabase, Epochs, Error, LogOptions, MissingDirectory,
    RecoverOptions, SECTOR_BYTES, SimulatedDisk, WithoutSnapshot, write_tree,
};
use types::{Epoch, ExtendedTypes, Memory, SessionId, Sid, Txn, TxnHeader, Xid, Zxid};
use wire::stored::LogBatch;

/// Where the files are.
const DIR: &str = "/data/version-2";
/// Where the history of the member begins that finds the file, what its snapshot holds of it, and its end.
const FIRST: Zxid = Zxid::from_raw(0x1_0000_0001);
const OF_SNAPSHOT: Zxid = Zxid::from_raw(0x1_0000_0004);
const LAST: Zxid = Zxid::from_raw(0x1_0000_0007);
/// The epoch that it has promised to listen to.
const ACCEPTED: Epoch = Epoch(2);
/// Bytes of a file of a number that are read; no server writes as many.
const NUMBER_BYTES_MAX: usize = 64;
/// What stands in a slot of the watermark before its checksum.
const MARK_BYTES: usize = 32;

/// A file, and what has to hold after a start that found these bytes in it.
struct SmallFile {
    name: &'static str,
    /// The bytes as the file holds them. Checksums are never guessed, so that some are put right.
    content: fn(&[u8]) -> Vec<u8>,
    check: fn(&[u8], &Result<Started, Error>),
}

/// The first byte of an input chooses one.
const FILES: [SmallFile; 12] = [
    SmallFile { name: "synced", content: as_it_is, check: check_synced },
    SmallFile { name: "synced", content: with_sum_of_mark, check: check_synced },
    SmallFile { name: "shortened", content: as_it_is, check: check_shortened },
    SmallFile { name: "shortened", content: with_sum_of_line, check: check_shortened },
    SmallFile { name: "acceptedEpoch", content: as_it_is, check: check_accepted },
    SmallFile { name: "currentEpoch", content: as_it_is, check: check_current },
    SmallFile { name: "acceptedEpoch.tmp", content: as_it_is, check: check_leftover },
    SmallFile { name: "currentEpoch.tmp", content: as_it_is, check: check_leftover },
    SmallFile { name: "session-ids", content: as_it_is, check: check_session_ids },
    SmallFile { name: "installing", content: as_it_is, check: check_installing },
    SmallFile { name: "between-states", content: as_it_is, check: check_between_states },
    SmallFile { name: "holds-no-logs", content: as_it_is, check: check_holds_no_logs },
];

/// One small file of a member's data directory: which, says the first byte.
pub fn small_files(input: &[u8]) {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let file = &FILES[usize::from(choice) % FILES.len()];
    let content = (file.content)(bytes);
    let disk = member().fork();
    if file.name == "holds-no-logs" {
        // What it says is only asked for where no logs are.
        for log in [FIRST, OF_SNAPSHOT.successor()] {
            let log = path(&format!("log.{log:x}"));
            storage::Disk::unlink(&disk, &log).expect("a log");
        }
        storage::Disk::unlink(&disk, &path("synced")).expect("a watermark");
    }
    disk.plant(&path(file.name), &content);
    let started = start(&disk);
    if let Some(text) = refusal(&started) {
        let named = file.name.trim_end_matches(".tmp");
        assert!(text.contains(named), "{named} is not named: {text}");
    }
    (file.check)(&content, &started);
    let Ok(Started { loss: None, last_logged, epochs, .. }) = started else { return };
    // What a start has made of the file holds.
    let again = start(&disk).expect("it has started before");
    assert_eq!((again.last_logged, again.epochs), (last_logged, epochs));
    assert!(again.loss.is_none());
}

/// What a member found.
struct Started {
    last_logged: Zxid,
    /// Why there should be more.
    loss: Option<Error>,
    epochs: Epochs,
    is_between_states: bool,
    first_session: SessionId,
}

/// Why the member did not start, or starts without a vote.
fn refusal(started: &Result<Started, Error>) -> Option<String> {
    match started {
        Ok(started) => started.loss.as_ref().map(Error::to_string),
        Err(error) => Some(error.to_string()),
    }
}

/// Starts as a member does.
fn start(disk: &SimulatedDisk) -> Result<Started, Error> {
    let data_dir = open(disk)?;
    let member = data_dir.recover_member(&options())?;
    let last_logged = member.recovered.last_logged;
    Ok(Started {
        last_logged,
        loss: member.loss,
        epochs: data_dir.epochs(last_logged)?,
        is_between_states: data_dir.is_between_states()?,
        first_session: data_dir.reserve_session_ids(wanted_session())?,
    })
}

/// A disk with a member's history: a log, a snapshot, another log; everything in order.
fn member() -> &'static SimulatedDisk {
    static MEMBER: OnceLock<SimulatedDisk> = OnceLock::new();
    MEMBER.get_or_init(|| {
        let disk = SimulatedDisk::new();
        write_member(&disk).expect("a disk without faults");
        disk
    })
}

fn write_member(disk: &SimulatedDisk) -> Result<(), Error> {
    let data_dir = open(disk)?;
    let created = RecoverOptions { empty: EmptyDatabase::Create, ..options() };
    let mut tree = data_dir.recover(&created)?.tree;
    data_dir.store_accepted_epoch(FIRST.epoch())?;
    data_dir.store_current_epoch(FIRST.epoch())?;
    data_dir.store_accepted_epoch(ACCEPTED)?;
    // Little space ahead, since the disk is copied for each input.
    let small = LogOptions { space_step_bytes: SECTOR_BYTES, ..LogOptions::default() };
    let mut log = data_dir.log(small, Zxid::ZERO)?;
    for raw in FIRST.raw()..=LAST.raw() {
        let zxid = Zxid::from_raw(raw);
        let header = TxnHeader { session: SessionId(1), cxid: Xid(1), zxid, time_ms: 0 };
        let mut batch = LogBatch::new();
        batch.push(&header, &Txn::Error { code: -101 }, None);
        log.append(&batch)?;
        tree.apply(&header, &Txn::Error { code: -101 }, &mut |_| {});
        if zxid == OF_SNAPSHOT {
            let writer = data_dir.start_snapshot(zxid, Compression::None)?;
            write_tree(writer, &mut tree)?;
            log.roll()?;
        }
    }
    log.close()?;
    data_dir.reserve_session_ids(wanted_session()).map(drop)
}

fn open(disk: &SimulatedDisk) -> Result<DataDir<SimulatedDisk>, Error> {
    DataDir::open(disk.clone(), Directories::shared("/data"), MissingDirectory::Create)
}

fn options() -> RecoverOptions {
    let extended_types = ExtendedTypes::Enabled;
    RecoverOptions {
        tree: tree::Options { extended_types, digest: true, hash_seed: 1 },
        without_snapshot: WithoutSnapshot::Refuse,
        empty: EmptyDatabase::RequireMarker,
    }
}

/// The first session that a run would number by its clock.
fn wanted_session() -> SessionId {
    SessionId::first(Sid(1), 1_000_000)
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// A watermark that says too much is not kept to itself; one that is damaged says nothing.
fn check_synced(content: &[u8], started: &Result<Started, Error>) {
    let started = started.as_ref().expect("a watermark keeps no member down");
    let slots = content.chunks(SECTOR_BYTES).take(2);
    let mark = slots.filter_map(mark_in).max();
    match (mark, &started.loss) {
        (None, loss) => assert!(loss.is_none(), "a damaged watermark is believed: {loss:?}"),
        (Some(mark), None) => assert!(mark <= LAST, "{mark} was synced and is forgotten"),
        (Some(_), Some(_)) => {
            assert_eq!(started.epochs.memory, Memory::Shortened { had: None });
            return;
        }
    }
    check_history(started);
    assert_eq!(started.epochs.memory, Memory::Whole);
}

/// The last transaction of a slot whose checksum is right.
fn mark_in(slot: &[u8]) -> Option<Zxid> {
    let (content, rest) = slot.split_first_chunk::<MARK_BYTES>()?;
    let sum = u32::from_be_bytes(*rest.first_chunk()?);
    let zxid = content[8..].first_chunk().map(|zxid| Zxid::from_raw(i64::from_be_bytes(*zxid)))?;
    (content.starts_with(b"RKSYNC01") && sum == crc32(content)).then_some(zxid)
}

/// How far the history went is believed only with the right checksum.
fn check_shortened(content: &[u8], started: &Result<Started, Error>) {
    let started = started.as_ref().expect("the note keeps no member down");
    let had = had_in(content);
    let noted = Memory::Shortened { had }.of_history(LAST, FIRST.epoch());
    assert_eq!(started.epochs.memory, noted, "had {had:?}");
    check_history(started);
}

fn had_in(content: &[u8]) -> Option<Zxid> {
    let content = &content[..content.len().min(NUMBER_BYTES_MAX)];
    let end = content.iter().position(|&byte| byte == b'\n')?;
    let line = std::str::from_utf8(&content[..end]).ok()?;
    let (claim, sum) = line.rsplit_once(' ')?;
    let raw = u64::from_str_radix(claim.strip_prefix("had=0x")?, 16).ok()?;
    // Only as servers write it.
    let is_right =
        claim == format!("had={raw:#x}") && sum == format!("{:08x}", crc32(claim.as_bytes()));
    is_right.then(|| Zxid::from_raw(raw.cast_signed()))
}

fn check_accepted(content: &[u8], started: &Result<Started, Error>) {
    let Ok(started) = started else { return };
    assert_eq!(Some(started.epochs.accepted), epoch_in(content));
    assert_eq!(started.epochs.current, FIRST.epoch());
    check_history(started);
}

fn check_current(content: &[u8], started: &Result<Started, Error>) {
    let Ok(started) = started else { return };
    let stored = epoch_in(content).expect("an epoch");
    // A history is never of a later epoch than the current one.
    assert_eq!(started.epochs.current, stored.max(FIRST.epoch()));
    assert_eq!(started.epochs.accepted, ACCEPTED);
    check_history(started);
}

/// What Apache's server has not renamed counts at most as a later value.
fn check_leftover(content: &[u8], started: &Result<Started, Error>) {
    let started = started.as_ref().expect("a leftover keeps no member down");
    let Epochs { accepted, current, .. } = started.epochs;
    assert!(accepted == ACCEPTED || accepted > ACCEPTED && Some(accepted) == epoch_in(content));
    assert!(current == FIRST.epoch() || current <= accepted && Some(current) == epoch_in(content));
    check_history(started);
}

/// The number on the first line, if that is as long as numbers are.
fn epoch_in(content: &[u8]) -> Option<Epoch> {
    let line = content.split(|&byte| byte == b'\n').next()?;
    if line.len() > NUMBER_BYTES_MAX {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
    let number = if line == "-1" { 0 } else { line.parse().ok()? };
    (number >= 0).then_some(Epoch(number))
}

fn check_session_ids(content: &[u8], started: &Result<Started, Error>) {
    let Ok(started) = started else { return };
    assert!(content.starts_with(b"0x") && content.contains(&b'\n'));
    assert!(started.first_session >= wanted_session());
    let last = SessionId(started.first_session.0 + (1 << 32));
    assert_eq!(started.first_session.server_byte(), wanted_session().server_byte());
    assert_eq!(last.server_byte(), wanted_session().server_byte());
    check_history(started);
}

/// If it names the snapshot, that is all there is afterwards; the logs behind the snapshot stay.
fn check_installing(_content: &[u8], started: &Result<Started, Error>) {
    let started = started.as_ref().expect("the note keeps no member down");
    assert!(started.loss.is_none());
    check_history(started);
}

fn check_between_states(_content: &[u8], started: &Result<Started, Error>) {
    let started = started.as_ref().expect("the note keeps no member down");
    assert!(started.is_between_states);
    check_history(started);
}

fn check_holds_no_logs(_content: &[u8], started: &Result<Started, Error>) {
    let started = started.as_ref().expect("what is lost keeps no member down");
    assert!(matches!(started.loss, Some(Error::LogDirectoryLost { .. })));
    assert_eq!(started.last_logged, OF_SNAPSHOT);
    assert_eq!(started.epochs.memory, Memory::Shortened { had: None });
}

fn check_history(started: &Started) {
    assert_eq!(started.last_logged, LAST);
}

fn as_it_is(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// The bytes as what a slot of the watermark says, and its checksum behind that.
fn with_sum_of_mark(bytes: &[u8]) -> Vec<u8> {
    let mut slot = b"RKSYNC01".to_vec();
    slot.extend_from_slice(bytes);
    slot.resize(MARK_BYTES, 0);
    slot.extend_from_slice(&crc32(&slot).to_be_bytes());
    slot
}

/// The bytes as the first line of the note, and its checksum behind that.
fn with_sum_of_line(bytes: &[u8]) -> Vec<u8> {
    let mut line = b"had=0x".to_vec();
    line.extend_from_slice(bytes);
    let sum = format!(" {:08x}\nmore", crc32(&line));
    line.extend_from_slice(sum.as_bytes());
    line
}

/// The checksum of these files, computed bit by bit: not with what is looked at.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(u32::MAX, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), step))
}
