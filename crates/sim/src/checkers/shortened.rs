//! Data of znodes in reports: a part of it, as text where it is.
//!
//! Reports are made of values as `Debug` prints them, with data as a list of numbers in `Some([...])`.

use std::fmt::Write as _;

/// What is shown of longer data: as much of its beginning, and of its end.
const HEAD_BYTES: usize = 24;
const TAIL_BYTES: usize = 8;

const BEFORE: &str = "Some([";
const BEHIND: &str = "])";

/// A report with its data shortened.
pub(super) fn shortened(report: &str) -> String {
    let mut out = String::new();
    let mut rest = report;
    while let Some((before, list)) = rest.split_once(BEFORE) {
        out.push_str(before);
        match list.split_once(BEHIND).and_then(|(list, rest)| Some((bytes(list)?, rest))) {
            Some((bytes, behind)) => {
                let _ = write!(out, "Some({})", excerpt(&bytes));
                rest = behind;
            }
            None => {
                out.push_str(BEFORE);
                rest = list;
            }
        }
    }
    out + rest
}

/// The bytes of a list; `None` if it is one of something else.
fn bytes(list: &str) -> Option<Vec<u8>> {
    if list.is_empty() {
        return Some(Vec::new());
    }
    list.split(", ").map(|number| number.parse().ok()).collect()
}

fn excerpt(bytes: &[u8]) -> String {
    if bytes.len() <= HEAD_BYTES + TAIL_BYTES {
        return format!("b\"{}\"", bytes.escape_ascii());
    }
    let (head, tail) = (&bytes[..HEAD_BYTES], &bytes[bytes.len() - TAIL_BYTES..]);
    format!("b\"{}...{}\" ({} bytes)", head.escape_ascii(), tail.escape_ascii(), bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: std::fmt::Debug>(value: T, expected: &str) {
        assert_eq!(shortened(&format!("it was {value:?}, no more")), expected);
    }

    #[test]
    fn text_is_shown_as_text() {
        check((Some(b"abc".to_vec()), 7), "it was (Some(b\"abc\"), 7), no more");
        check(Some(vec![0_u8, 255]), "it was Some(b\"\\x00\\xff\"), no more");
        check(Some(Vec::<u8>::new()), "it was Some(b\"\"), no more");
    }

    #[test]
    fn long_data_is_shown_in_part() {
        let data: Vec<u8> = (b'a'..=b'z').cycle().take(100).collect();
        let expected = "it was Some(b\"abcdefghijklmnopqrstuvwx...opqrstuv\" (100 bytes)), no more";
        check(Some(data), expected);
    }

    #[test]
    fn everything_else_stays() {
        check(Some(["a"]), "it was Some([\"a\"]), no more");
        check(Some([256]), "it was Some([256]), no more");
        check((Some([1000]), Some([65_u8])), "it was (Some([1000]), Some(b\"A\")), no more");
        assert_eq!(shortened("Some([1, 2"), "Some([1, 2");
    }
}
