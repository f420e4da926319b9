//! Requests encoded once, and stamped with an xid and numbers each time they are sent.
//!
//! Paths of numbered znodes are written with the placeholder [`NUMBER`] (or its halves); a template
//! finds the places in the encoded frame, so that it depends on no layout but that of the xid.

use types::{Op, Xid};
use wire::reply::{MultiResult, decode_multi};
use wire::request::Request;

/// Stands for a znode's number in a path: eight digits.
pub(crate) const NUMBER: &str = "########";
/// Stands for half of a number: the upper four digits first, then the lower four.
pub(crate) const HALF: &str = "####";

/// Where the xid of a frame is: behind the length.
const XID_AT: usize = 4;
/// Marks half of a number in a frame. No length or version of a request that we make has this
/// value, and data is free of it.
const MARK: &[u8; 4] = b"####";
/// The digits of each number below 100: looking them up takes a third of the time of dividing.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [*b"00"; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [DIGITS[number / 10], DIGITS[number % 10]];
        number += 1;
    }
    pairs
};
const DIGITS: &[u8; 10] = b"0123456789";

/// A request that lacks its xid and its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Its name in reports and errors.
    pub(crate) name: &'static str,
    /// How many operations it counts for.
    pub(crate) weight: u64,
    /// Bytes of the right reply's record, which follows its header.
    pub(crate) record_bytes: usize,
    frame: Box<[u8]>,
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    /// The upper digits of the next number.
    Upper(usize),
    /// The lower digits of the same number.
    Lower(usize),
}

impl Template {
    /// Encodes `op`, whose answer has a record of `record_bytes`.
    pub(crate) fn new(name: &'static str, op: Op<'_>, record_bytes: usize) -> Self {
        let mut frame = Vec::new();
        Request { xid: Xid(0), op }.encode(&mut frame);
        let mut slots = Vec::new();
        let mut at = 0;
        while let Some(found) = frame[at..].windows(MARK.len()).position(|bytes| bytes == MARK) {
            at += found;
            let slot = match slots.last() {
                // The halves of one number are side by side, or have a slash between them.
                Some(Slot::Upper(upper)) if at - upper <= MARK.len() + 1 => Slot::Lower(at),
                _ => Slot::Upper(at),
            };
            slots.push(slot);
            at += MARK.len();
        }
        Self { name, weight: 1, record_bytes, frame: frame.into(), slots: slots.into() }
    }

    /// The same, counting for several operations.
    pub(crate) fn weighing(self, weight: u64) -> Self {
        Self { weight, ..self }
    }

    /// Appends the request with its xid and a fresh number for each place.
    pub(crate) fn stamp(&self, out: &mut Vec<u8>, xid: i32, mut number: impl FnMut() -> u32) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        frame[XID_AT..XID_AT + 4].copy_from_slice(&xid.to_be_bytes());
        let mut lower = 0;
        for &slot in &*self.slots {
            let (at, half) = match slot {
                Slot::Upper(at) => {
                    let number = number();
                    lower = number % 10_000;
                    (at, number / 10_000)
                }
                Slot::Lower(at) => (at, lower),
            };
            frame[at..at + 4].copy_from_slice(&digits(half));
        }
    }
}

/// Why a transaction was refused; `None` if its results tell of no error. The header of such a reply
/// tells of none: all results are errors, but only one of them is the reason.
pub(crate) fn refusal_of_multi(record: &[u8]) -> Option<i32> {
    let reason = |result| match result {
        MultiResult::Failed { code } => Some(code).filter(|&code| code != 0),
        _ => None,
    };
    decode_multi(record).ok()?.into_iter().find_map(reason)
}

/// Four decimal digits of a number below 10,000.
fn digits(half: u32) -> [u8; 4] {
    let [upper, lower] = [half / 100, half % 100].map(|pair| PAIRS[pair as usize]);
    [upper[0], upper[1], lower[0], lower[1]]
}

#[cfg(test)]
mod tests {
    use types::{ErrorCode, MultiOp, Read, Stat, Write, Zxid};
    use wire::reply::{Body, Reply};

    use super::*;

    /// The operation that a stamped template decodes to.
    fn stamped(template: &Template, xid: i32, numbers: &[u32]) -> String {
        let mut numbers = numbers.iter();
        let mut out = vec![1, 2, 3];
        template.stamp(&mut out, xid, || *numbers.next().unwrap());
        assert_eq!(numbers.next(), None, "every number has its place");
        assert_eq!(out[..3], [1, 2, 3]);
        let body = &out[7..];
        assert_eq!(out[3..7], u32::try_from(body.len()).unwrap().to_be_bytes());
        let request = Request::decode(body).unwrap();
        assert_eq!(request.xid, Xid(xid));
        match request.op {
            Op::Read(Read::GetData { path, .. }) => path.into_owned(),
            Op::Write(Write::Multi(ops)) => {
                let path = |op| match op {
                    MultiOp::SetData { path, .. } => path.into_owned(),
                    other => panic!("{other:?}"),
                };
                ops.into_iter().map(path).collect::<Vec<_>>().join(" ")
            }
            other => panic!("{other:?}"),
        }
    }

    fn get(path: &str) -> Template {
        Template::new("get", Op::Read(Read::GetData { path: path.into(), watch: false }), 0)
    }

    #[test]
    fn fills_in_xid_and_numbers() {
        assert_eq!(stamped(&get("/a/k########"), 7, &[12_345_678]), "/a/k12345678");
        assert_eq!(stamped(&get("/a/k########"), -1, &[9]), "/a/k00000009");
        assert_eq!(stamped(&get("/a/####/####"), 1, &[1_230_045]), "/a/0123/0045");
        assert_eq!(stamped(&get("/a/####"), 1, &[1_239_999]), "/a/0123");
        assert_eq!(stamped(&get("/a"), i32::MAX, &[]), "/a");
    }

    #[test]
    fn takes_a_fresh_number_for_each_part_of_a_multi() {
        let set = || MultiOp::SetData {
            path: "/k########".into(),
            data: Some(b"value".into()),
            version: None,
        };
        let op = Op::Write(Write::Multi(vec![set(), set(), set()]));
        let template = Template::new("multi", op, 0);
        assert_eq!(stamped(&template, 3, &[1, 2, 30_000]), "/k00000001 /k00000002 /k00030000");
    }
    #[test]
    fn finds_the_reason_among_the_results_of_a_multi() {
        let refusal = |results: &[MultiResult<'_>]| {
            let mut frame = Vec::new();
            let result = Ok(Body::Multi(results));
            Reply { xid: Xid(1), zxid: Zxid::ZERO, result }.encode(&mut frame);
            refusal_of_multi(&frame[4 + 16..])
        };
        let failed = |code| MultiResult::Failed { code };
        let after = failed(ErrorCode::RuntimeInconsistency.raw());
        assert_eq!(refusal(&[failed(0), failed(-101), after]), Some(-101));
        assert_eq!(refusal(&[MultiResult::DataSet(Stat::default())]), None);
        assert_eq!(refusal_of_multi(b"odd"), None);
    }
}
