//! Java's properties files: the format of `zoo.cfg`.
//!
//! A *logical* line is one line, or several of which all but the last end with an odd number of
//! backslashes. Blank lines and those whose first visible character is `#` or `!` are comments,
//! which are never continued. The key ends at the first unescaped `=`, `:` or blank; blanks around
//! it, one separator and the blanks before the value are dropped. `\t \n \r \f` and `\uXXXX` mean
//! what they mean in Java; before any other character a backslash is dropped.
//!
//! Java reads these files as ISO-8859-1. A file that is valid UTF-8 is read as UTF-8 here, so that
//! a path with an umlaut works whichever editor wrote it; any other file is read as ISO-8859-1.

use std::str::Chars;

/// One `key=value`, with escapes resolved and blanks around both trimmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Where it starts, counted from 1.
    pub(crate) line: usize,
    /// How many lines it takes.
    line_count: usize,
    /// Left of the separator.
    pub(crate) key: String,
    /// Right of it; empty if there is none.
    pub(crate) value: String,
}

/// A `\u` that is not followed by four hexadecimal digits: the only way to write a file that Java
/// refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MalformedEscape {
    /// The line it is on (the first one, if that is continued), counted from 1.
    pub(crate) line: usize,
}

/// Reads a whole file. Every entry is kept, duplicates too, in the order of the file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, MalformedEscape> {
    let text = decode(bytes);
    let mut entries = Vec::new();
    let mut lines = natural_lines(&text).enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let (line, mut line_count) = (index + 1, 1);
        let mut logical = first.to_owned();
        while ends_with_odd_backslashes(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            line_count += 1;
            logical.push_str(next.trim_start_matches(is_blank));
        }
        let (key, value) = split(&logical);
        let unescape = |text| unescape(text).ok_or(MalformedEscape { line });
        let (key, value) = (unescape(key)?, unescape(value)?);
        // Java keeps blanks at the end of a value; ZooKeeper then trims both.
        let (key, value) = (key.trim().into(), value.trim().into());
        entries.push(Entry { line, line_count, key, value });
    }
    Ok(entries)
}

/// Returns the file without the entries whose keys are not wanted. Everything else stays as it is,
/// comments too, but for the ends of lines: each is a line feed.
pub(crate) fn without(
    bytes: &[u8],
    is_unwanted: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, MalformedEscape> {
    let entries = parse(bytes)?;
    let unwanted: Vec<_> = entries
        .iter()
        .filter(|entry| is_unwanted(&entry.key))
        .map(|entry| entry.line..entry.line + entry.line_count)
        .collect();
    let text = decode(bytes);
    let mut kept = String::new();
    for (line, number) in natural_lines(text.trim_end_matches(['\n', '\r'])).zip(1..) {
        if !unwanted.iter().any(|lines| lines.contains(&number)) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(_) => kept.into_bytes(),
        // Each character was a byte.
        Err(_) => kept.chars().filter_map(|character| u8::try_from(character).ok()).collect(),
    })
}

fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Lines as Java ends them: at a carriage return, a line feed, or both together.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

fn ends_with_odd_backslashes(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// Key and value of a logical line, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character| {
        let ends = !escaped && (is_blank(character) || matches!(character, '=' | ':'));
        escaped = !escaped && character == '\\';
        ends
    });
    let Some(end) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(is_blank))
}

/// The text that is meant; `None` if an escape is malformed. Java's two halves of a character
/// outside the first 64 K are joined; half of one becomes the replacement character.
fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let unit = match character {
            '\\' => match characters.next() {
                Some('u') => {
                    units.push(hexadecimal_unit(&mut characters)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => continue,
            },
            other => other,
        };
        units.extend_from_slice(unit.encode_utf16(&mut [0; 2]));
    }
    Some(String::from_utf16_lossy(&units))
}

fn hexadecimal_unit(characters: &mut Chars<'_>) -> Option<u16> {
    let digits: String = characters.by_ref().take(4).collect();
    let is_number = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_number { u16::from_str_radix(&digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(bytes: &[u8], expected: Expect) {
        let shown = match parse(bytes) {
            Ok(entries) => entries
                .iter()
                .map(|entry| format!("{}: {:?} = {:?}\n", entry.line, entry.key, entry.value))
                .collect(),
            Err(error) => format!("{error:?}\n"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn separators_and_blanks() {
        check(
            b"a=1\n b = 2 \nc:3\nd : 4\ne 5\nf\t=\t6\ng\nh=\n=9\ni==1\nj = : x",
            expect![[r#"
                1: "a" = "1"
                2: "b" = "2"
                3: "c" = "3"
                4: "d" = "4"
                5: "e" = "5"
                6: "f" = "6"
                7: "g" = ""
                8: "h" = ""
                9: "" = "9"
                10: "i" = "=1"
                11: "j" = ": x"
            "#]],
        );
    }

    #[test]
    fn comments_are_not_continued_and_values_keep_number_signs() {
        check(
            b"# one \\\na=1 # not a comment\n   ! two\n\n\t\nb=2!",
            expect![[r#"
                2: "a" = "1 # not a comment"
                6: "b" = "2!"
            "#]],
        );
    }

    #[test]
    fn lines_continue_after_an_odd_number_of_backslashes() {
        check(
            b"a=1,\\\n    2,\\\r\n 3\nb=x\\\\\nc=4\\",
            expect![[r#"
                1: "a" = "1,2,3"
                4: "b" = "x\\"
                5: "c" = "4"
            "#]],
        );
    }

    #[test]
    fn every_kind_of_line_end() {
        check(
            b"a=1\rb=2\r\nc=3\n\nd=4",
            expect![[r#"
                1: "a" = "1"
                2: "b" = "2"
                3: "c" = "3"
                5: "d" = "4"
            "#]],
        );
    }

    #[test]
    fn escapes() {
        check(
            br"a\ b=c\:\=d
\u0061\=x=\u00fc\t|\q
smile=\ud83d\ude00
dir=C:\\data",
            expect![[r#"
                1: "a b" = "c:=d"
                2: "a=x" = "ü\t|q"
                3: "smile" = "😀"
                4: "dir" = "C:\\data"
            "#]],
        );
    }

    #[test]
    fn malformed_escapes_name_their_line() {
        for text in ["a=1\nb=\\u12", "a=1\nb=\\u12g4", "a=1\nb=\\u+123", "\nc\\u=1"] {
            assert_eq!(parse(text.as_bytes()), Err(MalformedEscape { line: 2 }), "{text:?}");
        }
    }

    #[test]
    fn both_encodings_are_read() {
        check(
            "\u{feff}dir=/ü".as_bytes(),
            expect![[r#"
                1: "dir" = "/ü"
            "#]],
        );
        check(
            b"dir=/\xfc",
            expect![[r#"
                1: "dir" = "/ü"
            "#]],
        );
    }

    #[test]
    fn entries_that_are_not_wanted_go_and_all_else_stays() {
        let file = b"# c\xf6mment\r\na=1\n\n  drop = x\\\n  y\\\n  z\nb : 2\n!drop=3\ndrop 4";
        let kept = without(file, |key| key == "drop").expect("readable");
        assert_eq!(kept, b"# c\xf6mment\na=1\n\nb : 2\n!drop=3\n");
        assert_eq!(without("\u{e4}=1".as_bytes(), |_| false), Ok("\u{e4}=1\n".as_bytes().to_vec()));
        assert_eq!(without(b"a=\\u12", |_| false), Err(MalformedEscape { line: 1 }));
    }
}
