//! As much of JSON as the records of services need: objects of plain values.
//!
//! What is inside of arrays and inner objects is kept as text.

use std::collections::BTreeMap;

/// How deep values may be inside of one another.
const DEPTH_MAX: usize = 64;

/// A value of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    /// Without quotes and escapes.
    Text(String),
    /// An array or an object, as it is written.
    Nested(String),
}

/// Writes an object, its members in the given order.
pub(super) fn object(members: &[(&str, Value)]) -> String {
    let mut text = String::from("{");
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        quote(name, &mut text);
        text.push(':');
        match value {
            Value::Null => text.push_str("null"),
            Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Value::Number(value) | Value::Nested(value) => text.push_str(value),
            Value::Text(value) => quote(value, &mut text),
        }
    }
    text.push('}');
    text
}

fn quote(value: &str, text: &mut String) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\u{0}'..='\u{1f}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            character => text.push(character),
        }
    }
    text.push('"');
}

/// Reads an object; `None` if the text is none. Of members of the same name the last one counts.
pub(super) fn parse(text: &str) -> Option<BTreeMap<String, Value>> {
    let mut reader = Reader { rest: text.trim() };
    let members = reader.object()?;
    reader.rest.is_empty().then_some(members)
}

/// What is left to read; white space before it is skipped where it may be.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn object(&mut self) -> Option<BTreeMap<String, Value>> {
        let mut members = BTreeMap::new();
        self.expect('{')?;
        if self.take('}') {
            return Some(members);
        }
        loop {
            let name = self.text()?;
            self.expect(':')?;
            let value = self.value()?;
            members.insert(name, value);
            if !self.take(',') {
                self.expect('}')?;
                return Some(members);
            }
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '"' => self.text().map(Value::Text),
            '{' | '[' => {
                let before = self.rest;
                self.skip(DEPTH_MAX)?;
                let read = &before[..before.len() - self.rest.len()];
                Some(Value::Nested(read.trim_end().to_owned()))
            }
            _ => match self.word() {
                "null" => Some(Value::Null),
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                number => number.parse::<f64>().ok().map(|_| Value::Number(number.to_owned())),
            },
        }
    }

    /// Skips a value, whatever it is.
    fn skip(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.rest = self.rest.trim_start();
        let is_object = self.rest.starts_with('{');
        if !is_object && !self.rest.starts_with('[') {
            return self.value().map(drop);
        }
        let end = if is_object { '}' } else { ']' };
        self.rest = &self.rest[1..];
        if self.take(end) {
            return Some(());
        }
        loop {
            if is_object {
                self.text()?;
                self.expect(':')?;
            }
            self.skip(depth)?;
            if !self.take(',') {
                return self.expect(end);
            }
        }
    }

    fn word(&mut self) -> &'t str {
        let end = self.rest.find([',', '}', ']']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.trim_end()
    }

    fn text(&mut self) -> Option<String> {
        self.expect_here('"')?;
        let mut text = String::new();
        loop {
            let plain = self.rest.find(['"', '\\'])?;
            text.push_str(&self.rest[..plain]);
            let is_end = self.rest[plain..].starts_with('"');
            self.rest = &self.rest[plain + 1..];
            if is_end {
                self.rest = self.rest.trim_start();
                return Some(text);
            }
            text.push(self.escaped()?);
        }
    }

    /// The character that an escape stands for; the backslash has been read.
    fn escaped(&mut self) -> Option<char> {
        let mark = self.rest.chars().next()?;
        self.rest = &self.rest[mark.len_utf8()..];
        match mark {
            '"' | '\\' | '/' => Some(mark),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let first = self.unit()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first);
                }
                self.rest = self.rest.strip_prefix("\\u")?;
                let second = self.unit().filter(|unit| (0xdc00..0xe000).contains(unit))?;
                char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            }
            _ => None,
        }
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.rest.get(..4)?;
        self.rest = &self.rest[4..];
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    }

    /// Reads a character and the space around it.
    fn expect(&mut self, character: char) -> Option<()> {
        self.take(character).then_some(())
    }

    fn take(&mut self, character: char) -> bool {
        match self.rest.trim_start().strip_prefix(character) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// As [`Self::expect`], but leaves the space behind it, which is part of a text.
    fn expect_here(&mut self, character: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(character)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = " a\"b\\c\n\u{1}ü🦀 ";
        let members = [
            ("name", Value::Text(text.to_owned())),
            ("port", Value::Number("80".to_owned())),
            ("none", Value::Null),
            ("yes", Value::Bool(true)),
            ("parts", Value::Nested("[1, {\"a\": [\"}\"]}]".to_owned())),
        ];
        let written = object(&members);
        let read = parse(&written).expect("an object");
        for (name, value) in members {
            assert_eq!(read.get(name), Some(&value), "{name} of {written}");
        }
        assert_eq!(object(&[]), "{}");
        assert_eq!(parse(" { } "), Some(BTreeMap::new()));
    }

    #[test]
    fn everything_that_others_write_is_read() {
        let text = " { \"a\" : \"\\u00fc\\ud83e\\udd80\\n\\/\" , \"b\":-1.5e3 ,\"c\" : [ ] , \"d\":{ }, \"e\": false } ";
        let read = parse(text).expect("an object");
        assert_eq!(read["a"], Value::Text("ü🦀\n/".to_owned()));
        assert_eq!(read["b"], Value::Number("-1.5e3".to_owned()));
        assert_eq!(read["c"], Value::Nested("[ ]".to_owned()));
        assert_eq!(read["d"], Value::Nested("{ }".to_owned()));
        assert_eq!(read["e"], Value::Bool(false));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        for text in [
            "",
            "null",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1} x",
            "{a:1}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"",
            "{\"a\":nil}",
            "{\"a\":[1}",
            "{\"a\":\"\\u+123\"}",
            &deep,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
