//! Requests encoded once, and stamped with an xid and numbers each time they are sent.
//!
//! Paths of numbered znodes are written with the placeholder [`NUMBER`] (or its halves); a template
//! finds the places in the encoded frame, so that it depends on no layout but that of the xid.

use types::{Op, Xid};
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

/// A request that lacks its xid and its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Its name in reports and errors.
    pub(crate) name: &'static str,
    /// How many operations it counts for.
    pub(crate) weight: u64,
    /// Bytes of the body of the right reply, with its header.
    pub(crate) reply_bytes: usize,
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
    /// Encodes `op`, whose answer has `reply_bytes` bytes with its header.
    pub(crate) fn new(name: &'static str, op: Op<'_>, reply_bytes: usize) -> Self {
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
        Self { name, weight: 1, reply_bytes, frame: frame.into(), slots: slots.into() }
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

/// Four decimal digits.
fn digits(half: u32) -> [u8; 4] {
    let [upper, lower] = [pair(half / 100), pair(half % 100)];
    [upper[0], upper[1], lower[0], lower[1]]
}

fn pair(number: u32) -> [u8; 2] {
    let digit = |value: u32| b'0' + u8::try_from(value % 10).unwrap_or_default();
    [digit(number / 10), digit(number)]
}

#[cfg(test)]
mod tests {
    use types::{MultiOp, Read, Write};

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
}
