//! What keeps its order while many threads are at work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use types::{Op, Read, Xid, Zxid};
use wire::reply;

use crate::fixture::{Host, Line, persistent, set};

const READERS: usize = 4;
const WRITES: usize = 2000;
const READS_AT_ONCE: usize = 8;

#[test]
fn a_change_is_told_before_it_is_shown_and_nothing_goes_back() {
    let host = Host::start(&["nio.numSelectorThreads=4"]);
    let mut writer = host.client();
    writer.ask(persistent("/a"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..READERS {
            let mut reader = host.client();
            let is_over = &is_over;
            scope.spawn(move || {
                let mut seen = Seen::default();
                while !is_over.load(Ordering::Relaxed) {
                    seen.read_some(&mut reader);
                }
                assert!(seen.events > 0, "there were changes to tell of");
            });
        }
        for _ in 0..WRITES / 4 {
            let burst: Vec<u8> = (0..4).flat_map(|_| writer.next(set("/a", b"next"))).collect();
            writer.send(&burst);
            for _ in 0..4 {
                assert_eq!(writer.answer().header.code, 0);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// What one reader was told.
#[derive(Default)]
struct Seen {
    zxid: Zxid,
    version: i32,
    /// Since the last read, each of which sets the watch again.
    events_since_read: usize,
    events: usize,
}

impl Seen {
    /// Reads and watches the znode a few times, with pings in between.
    fn read_some(&mut self, reader: &mut Line) {
        let mut bytes = Vec::new();
        for _ in 0..READS_AT_ONCE {
            bytes.extend(reader.next(Op::Read(Read::GetData { path: "/a".into(), watch: true })));
            bytes.extend(reader.next(Op::Ping));
        }
        reader.send(&bytes);
        let mut left = 2 * READS_AT_ONCE;
        while left > 0 {
            let answer = reader.answer();
            assert!(answer.header.zxid >= self.zxid, "{:?} after {}", answer.header, self.zxid);
            self.zxid = answer.header.zxid;
            match answer.header.xid {
                Xid::NOTIFICATION => {
                    self.events_since_read += 1;
                    self.events += 1;
                    continue;
                }
                Xid::PING => {}
                _ => self.on_read(reply::decode_data(&answer.record).expect("data").stat.version),
            }
            left -= 1;
        }
    }

    fn on_read(&mut self, version: i32) {
        assert!(version >= self.version, "{version} after {}", self.version);
        let is_first = self.version == 0 && self.events == 0;
        let is_changed = version > self.version;
        if !is_first {
            assert_eq!(self.events_since_read, usize::from(is_changed), "version {version}");
        }
        self.version = version;
        self.events_since_read = 0;
    }
}
