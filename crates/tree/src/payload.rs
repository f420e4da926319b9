//! Where names and data live: one run of bytes per znode, the name first.
//!
//! Runs of up to a kilobyte are kept in size classes eight bytes apart. A slot costs no header, and
//! replacing data by data of about the same size reuses the slot without touching the allocator.
//! Longer runs have an allocation each.

use std::ops::Range;

use crate::limits::{PAYLOAD_CHUNK_BYTES, PAYLOAD_CLASS_BYTES_MAX, PAYLOAD_CLASS_STEP_BYTES};

const CLASSES: usize = PAYLOAD_CLASS_BYTES_MAX / PAYLOAD_CLASS_STEP_BYTES;

/// Where one run is and how it divides. Plain numbers: copying it does not copy the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    slot: u32,
    name_bytes: u32,
    data_bytes: u32,
}

impl Payload {
    /// Of a record that has not been stored yet.
    pub(crate) const NOWHERE: Self = Self { slot: 0, name_bytes: 0, data_bytes: 0 };

    /// Length of the data.
    pub(crate) const fn data_bytes(self) -> usize {
        self.data_bytes as usize
    }

    const fn total_bytes(self) -> usize {
        self.name_bytes as usize + self.data_bytes as usize
    }
}

/// All runs.
#[derive(Debug)]
pub(crate) struct Payloads {
    /// Class `i` has slots of `(i + 1) * PAYLOAD_CLASS_STEP_BYTES`.
    classes: [SizeClass; CLASSES],
    large: LargeRuns,
}

impl Payloads {
    pub(crate) fn new() -> Self {
        Self {
            classes: std::array::from_fn(|index| {
                SizeClass::new((index + 1) * PAYLOAD_CLASS_STEP_BYTES)
            }),
            large: LargeRuns::default(),
        }
    }

    /// Stores a name and its data.
    pub(crate) fn insert(&mut self, name: &[u8], data: &[u8]) -> Payload {
        let length =
            |bytes: &[u8]| u32::try_from(bytes.len()).expect("a frame is shorter than 2^31 bytes");
        let (name_bytes, data_bytes) = (length(name), length(data));
        let slot = match class_of(name.len() + data.len()) {
            Some(class) => {
                let class = &mut self.classes[class];
                let slot = class.allocate();
                let run = class.bytes_mut(slot);
                run[..name.len()].copy_from_slice(name);
                run[name.len()..name.len() + data.len()].copy_from_slice(data);
                slot
            }
            None => self.large.insert([name, data].concat().into_boxed_slice()),
        };
        Payload { slot, name_bytes, data_bytes }
    }

    /// Replaces the data; the run may move.
    pub(crate) fn replace_data(&mut self, payload: Payload, data: &[u8]) -> Payload {
        let name_bytes = payload.name_bytes as usize;
        let class = class_of(payload.total_bytes());
        if class.is_some() && class == class_of(name_bytes + data.len()) {
            let data_bytes = u32::try_from(data.len()).expect("fits a size class");
            let run = self.run_mut(payload);
            run[name_bytes..name_bytes + data.len()].copy_from_slice(data);
            return Payload { data_bytes, ..payload };
        }
        if class.is_none() && payload.data_bytes() == data.len() {
            self.run_mut(payload)[name_bytes..].copy_from_slice(data);
            return payload;
        }
        let name: Box<[u8]> = self.name(payload).into();
        self.free(payload);
        self.insert(&name, data)
    }

    /// Gives the bytes back.
    pub(crate) fn free(&mut self, payload: Payload) {
        match class_of(payload.total_bytes()) {
            Some(class) => self.classes[class].free(payload.slot),
            None => self.large.free(payload.slot),
        }
    }

    /// The name's bytes.
    pub(crate) fn name(&self, payload: Payload) -> &[u8] {
        &self.run(payload)[..payload.name_bytes as usize]
    }

    /// The data's bytes.
    pub(crate) fn data(&self, payload: Payload) -> &[u8] {
        &self.run(payload)[payload.name_bytes as usize..payload.total_bytes()]
    }

    fn run(&self, payload: Payload) -> &[u8] {
        match class_of(payload.total_bytes()) {
            Some(class) => self.classes[class].bytes(payload.slot),
            None => self.large.bytes(payload.slot),
        }
    }

    fn run_mut(&mut self, payload: Payload) -> &mut [u8] {
        match class_of(payload.total_bytes()) {
            Some(class) => self.classes[class].bytes_mut(payload.slot),
            None => self.large.bytes_mut(payload.slot),
        }
    }
}

/// The class for a run of that length; `None` for a large run.
const fn class_of(bytes: usize) -> Option<usize> {
    if bytes > PAYLOAD_CLASS_BYTES_MAX {
        None
    } else {
        Some(bytes.saturating_sub(1) / PAYLOAD_CLASS_STEP_BYTES)
    }
}

/// Slots of one size, in chunks that never move. The free ones form a list through their first
/// bytes.
#[derive(Debug)]
struct SizeClass {
    slot_bytes: usize,
    /// A power of two, and this is its exponent: each access divides by it.
    slots_per_chunk_log2: u32,
    chunks: Vec<Box<[u8]>>,
    /// Slots of the last chunk that were handed out at least once.
    last_chunk_used: usize,
    first_free: Option<u32>,
}

/// Ends the list of free slots; no class gets this many slots.
const NO_SLOT: u32 = u32::MAX;

impl SizeClass {
    fn new(slot_bytes: usize) -> Self {
        let slots_per_chunk_log2 = (PAYLOAD_CHUNK_BYTES / slot_bytes).ilog2();
        Self {
            slot_bytes,
            slots_per_chunk_log2,
            chunks: Vec::new(),
            last_chunk_used: 1 << slots_per_chunk_log2,
            first_free: None,
        }
    }

    fn allocate(&mut self) -> u32 {
        if let Some(slot) = self.first_free {
            let link = self.bytes(slot).first_chunk().expect("a slot holds a link");
            let next = u32::from_le_bytes(*link);
            self.first_free = (next != NO_SLOT).then_some(next);
            return slot;
        }
        let slots_per_chunk = 1 << self.slots_per_chunk_log2;
        if self.last_chunk_used == slots_per_chunk {
            self.chunks.push(vec![0; slots_per_chunk * self.slot_bytes].into());
            self.last_chunk_used = 0;
        }
        let slot = (self.chunks.len() - 1) * slots_per_chunk + self.last_chunk_used;
        self.last_chunk_used += 1;
        u32::try_from(slot).expect("memory ends before 2^32 slots")
    }

    fn free(&mut self, slot: u32) {
        let next = self.first_free.unwrap_or(NO_SLOT);
        self.bytes_mut(slot)[..4].copy_from_slice(&next.to_le_bytes());
        self.first_free = Some(slot);
    }

    fn bytes(&self, slot: u32) -> &[u8] {
        let (chunk, bytes) = self.place(slot);
        &self.chunks[chunk][bytes]
    }

    fn bytes_mut(&mut self, slot: u32) -> &mut [u8] {
        let (chunk, bytes) = self.place(slot);
        &mut self.chunks[chunk][bytes]
    }

    /// In which chunk a slot is, and where.
    fn place(&self, slot: u32) -> (usize, Range<usize>) {
        let (slot, log2) = (slot as usize, self.slots_per_chunk_log2);
        let start = (slot & ((1 << log2) - 1)) * self.slot_bytes;
        (slot >> log2, start..start + self.slot_bytes)
    }
}

/// Runs too long for a class.
#[derive(Debug, Default)]
struct LargeRuns {
    /// An empty box is a free place.
    runs: Vec<Box<[u8]>>,
    free: Vec<u32>,
}

impl LargeRuns {
    fn insert(&mut self, run: Box<[u8]>) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.runs[slot as usize] = run;
            return slot;
        }
        self.runs.push(run);
        u32::try_from(self.runs.len() - 1).expect("memory ends before 2^32 runs")
    }

    fn free(&mut self, slot: u32) {
        self.runs[slot as usize] = Box::default();
        self.free.push(slot);
    }

    fn bytes(&self, slot: u32) -> &[u8] {
        &self.runs[slot as usize]
    }

    fn bytes_mut(&mut self, slot: u32) -> &mut [u8] {
        &mut self.runs[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_keep_their_bytes_while_others_come_and_go() {
        let mut payloads = Payloads::new();
        let mut live = Vec::new();
        let byte = |number: usize| u8::try_from(number % 251).expect("in range");
        for round in 0..2000_usize {
            let name = vec![b'n'; round % 13];
            let data: Vec<u8> = (0..round * 7 % 1500).map(|at| byte(at + round)).collect();
            live.push((payloads.insert(&name, &data), name, data));
            if round % 3 == 0 {
                let (payload, ..) = live.swap_remove(round * 31 % live.len());
                payloads.free(payload);
            }
            if round % 5 == 1 {
                let index = round * 17 % live.len();
                let data = vec![byte(round); round * 11 % 1300];
                live[index].0 = payloads.replace_data(live[index].0, &data);
                live[index].2 = data;
            }
        }
        for (payload, name, data) in live {
            assert_eq!(payloads.name(payload), name);
            assert_eq!(payloads.data(payload), data);
            assert_eq!(payload.data_bytes(), data.len());
        }
    }

    #[test]
    fn data_of_the_same_size_stays_in_place() {
        let mut payloads = Payloads::new();
        for bytes in [0, 1, 100, 1019, 5000] {
            let before = payloads.insert(b"name", &vec![1; bytes]);
            let after = payloads.replace_data(before, &vec![2; bytes]);
            assert_eq!(after.slot, before.slot);
            assert_eq!(payloads.name(after), b"name");
            assert_eq!(payloads.data(after), vec![2; bytes]);
        }
    }

    #[test]
    fn a_freed_slot_is_the_next_one_handed_out() {
        let mut payloads = Payloads::new();
        let first = payloads.insert(b"first", b"");
        payloads.insert(b"second", b"");
        payloads.free(first);
        assert_eq!(payloads.insert(b"third", b"!").slot, first.slot);
    }
}
