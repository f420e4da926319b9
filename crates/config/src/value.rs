//! The forms that values have.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use types::membership::Role;

use crate::Secret;

/// A form of value: how it is read, and how that is told to an operator.
pub(crate) struct Form<T> {
    /// What is expected, to follow "expected" in an error.
    pub(crate) expected: &'static str,
    /// Reads a trimmed text; `None` if it has another form.
    pub(crate) parse: fn(&str) -> Option<T>,
    /// Whether a text that `parse` takes is still an odd thing to write.
    pub(crate) is_odd: fn(&str) -> bool,
}

impl<T> Form<T> {
    const fn new(expected: &'static str, parse: fn(&str) -> Option<T>) -> Self {
        Self { expected, parse, is_odd: |_| false }
    }
}

/// `true` or `false`, in any case, and nothing else.
pub(crate) const STRICT_SWITCH: Form<bool> = Form::new("true or false", |text| {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
});

/// A Java property that is on if it says `true` in any case; all else is off.
pub(crate) const SWITCH: Form<bool> = Form {
    expected: "true or false",
    parse: |text| Some(text.eq_ignore_ascii_case("true")),
    is_odd: |text| (STRICT_SWITCH.parse)(text).is_none(),
};

/// As [`SWITCH`], or nothing.
pub(crate) const OPTIONAL_SWITCH: Form<Option<bool>> = Form {
    expected: SWITCH.expected,
    parse: |text| Some(if text.is_empty() { None } else { (SWITCH.parse)(text) }),
    is_odd: |text| !text.is_empty() && (SWITCH.is_odd)(text),
};

/// A Java property that is on if it says exactly `yes`; all else is off.
pub(crate) const YES_SWITCH: Form<bool> = Form {
    expected: "yes or no",
    parse: |text| Some(text == "yes"),
    is_odd: |text| !matches!(text, "yes" | "no"),
};

/// A Java property that is off if it says exactly `no`; all else is on.
pub(crate) const NO_SWITCH: Form<bool> = Form {
    expected: "yes or no",
    parse: |text| Some(text != "no"),
    is_odd: |text| !matches!(text, "yes" | "no"),
};

/// A TCP port; 0 lets the system choose a free one.
pub(crate) const PORT: Form<u16> = Form::new("a port from 0 to 65535", |text| text.parse().ok());

/// As [`PORT`], or nothing.
pub(crate) const OPTIONAL_PORT: Form<Option<u16>> = Form::new(PORT.expected, |text| {
    if text.is_empty() { Some(None) } else { (PORT.parse)(text).map(Some) }
});

/// A port, or 0 or less for none.
pub(crate) const MASTER_PORT: Form<Option<u16>> =
    Form::new("a port from 1 to 65535, or 0 or less for none", |text| {
        let number = integer(text, i64::MIN..=u16::MAX.into())?;
        Some(u16::try_from(number).ok().filter(|&port| port > 0))
    });

/// A host name, or an address with or without the brackets of IPv6.
pub(crate) const HOST: Form<String> = Form::new("a host name or an IP address", |text| {
    let host = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._%".contains(&byte))
    };
    (host.parse::<IpAddr>().is_ok() || is_name(host)).then(|| host.to_owned())
});

/// As [`HOST`], or nothing.
pub(crate) const OPTIONAL_HOST: Form<Option<String>> = Form::new(HOST.expected, |text| {
    if text.is_empty() { Some(None) } else { (HOST.parse)(text).map(Some) }
});

/// A directory.
pub(crate) const PATH: Form<PathBuf> =
    Form::new("a path", |text| (!text.is_empty()).then(|| text.into()));

/// A directory, or nothing.
pub(crate) const OPTIONAL_PATH: Form<Option<PathBuf>> =
    Form::new("a path", |text| Some((!text.is_empty()).then(|| text.into())));

/// Any text, the empty one included.
pub(crate) const TEXT: Form<String> = Form::new("a text", |text| Some(text.to_owned()));

/// A text that must not be shown; empty means none.
pub(crate) const SECRET: Form<Option<Secret>> =
    Form::new("a text", |text| Some((!text.is_empty()).then(|| Secret::new(text.to_owned()))));

/// Texts separated by commas, blanks around them dropped.
pub(crate) const LIST: Form<Vec<String>> = Form::new("texts separated by commas", |text| {
    Some(
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
    )
});

/// A tick: at least one millisecond.
pub(crate) const TICK: Form<Duration> =
    Form::new("milliseconds, at least 1", |text| milliseconds(text, 1..=I32_MAX));

/// A number of ticks; 0 means that it is not given.
pub(crate) const TICKS: Form<Option<u32>> = Form::new("ticks, at least 0", |text| {
    let ticks = u32::try_from(integer(text, 0..=I32_MAX)?).ok()?;
    Some((ticks > 0).then_some(ticks))
});

/// A time, zero included.
pub(crate) const MILLISECONDS: Form<Duration> =
    Form::new("milliseconds, at least 0", |text| milliseconds(text, 0..=i64::MAX));

/// A time that is not zero.
pub(crate) const POSITIVE_MILLISECONDS: Form<Duration> =
    Form::new("milliseconds, at least 1", |text| milliseconds(text, 1..=i64::MAX));

/// A time; a negative number means that it is not given, or never.
pub(crate) const OPTIONAL_MILLISECONDS: Form<Option<Duration>> =
    Form::new("milliseconds, or -1", |text| {
        let number = integer(text, -1..=i64::MAX)?;
        Some(u64::try_from(number).ok().map(Duration::from_millis))
    });

/// A time, where 0 and everything below mean that it is not given.
pub(crate) const NONZERO_MILLISECONDS: Form<Option<Duration>> =
    Form::new("milliseconds, or 0 or less for none", |text| {
        let number = integer(text, i64::MIN..=i64::MAX)?;
        Some(u64::try_from(number).ok().filter(|&ms| ms > 0).map(Duration::from_millis))
    });

/// A time that must fit the four bytes of the session handshake; a negative number means that it
/// is not given.
pub(crate) const OPTIONAL_TIMEOUT: Form<Option<Duration>> =
    Form::new("milliseconds up to 2147483647, or -1", |text| {
        let number = integer(text, -1..=I32_MAX)?;
        Some(u64::try_from(number).ok().map(Duration::from_millis))
    });

/// A number of things.
pub(crate) const COUNT: Form<u64> =
    Form::new("a number, at least 0", |text| unsigned(text, 0..=i64::MAX));

/// A number of things, of which there is at least one.
pub(crate) const POSITIVE_COUNT: Form<u64> =
    Form::new("a number, at least 1", |text| unsigned(text, 1..=i64::MAX));

/// A number of things where 0 and everything below mean no limit.
pub(crate) const LIMIT: Form<Option<u64>> =
    Form::new("a number, or 0 or less for no limit", |text| {
        Some(u64::try_from(integer(text, i64::MIN..=i64::MAX)?).ok().filter(|&count| count > 0))
    });

/// Transactions until something happens; at least two, as in Apache, which raises lower numbers.
pub(crate) const SNAP_COUNT: Form<u64> =
    Form::new("a number", |text| Some(unsigned(text, 0..=i64::MAX)?.max(2)));

/// How many snapshots are kept; at least three, as in Apache, which raises lower numbers.
pub(crate) const RETAIN_COUNT: Form<u64> =
    Form::new("a number", |text| Some(unsigned(text, 0..=i64::MAX)?.max(3)));

/// How many committed transactions are kept; at least 500, as in Apache, which raises lower numbers.
pub(crate) const COMMIT_LOG_COUNT: Form<u64> =
    Form::new("a number", |text| Some(unsigned(text, 0..=i64::MAX)?.max(500)));

/// A size in kibibytes, as bytes.
pub(crate) const KIBIBYTES: Form<u64> =
    Form::new("kibibytes, at least 0", |text| bytes_of_kibibytes(integer(text, 0..=i64::MAX)?));

/// A size in kibibytes, as bytes, where 0 and everything below switch off.
pub(crate) const OPTIONAL_KIBIBYTES: Form<Option<u64>> =
    Form::new("kibibytes, or 0 or less for none", |text| {
        match integer(text, i64::MIN..=i64::MAX)? {
            number @ 1.. => Some(Some(bytes_of_kibibytes(number)?)),
            _ => Some(None),
        }
    });

/// A size in bytes that a frame's signed length can express.
pub(crate) const FRAME_BYTES: Form<u32> =
    Form::new("bytes from 1 to 2147483647", |text| u32::try_from(integer(text, 1..=I32_MAX)?).ok());

/// As [`FRAME_BYTES`], where the empty text means not given and less than 1024 becomes 1024.
pub(crate) const EXTRA_BYTES: Form<Option<u32>> = Form::new("bytes up to 2147483647", |text| {
    if text.is_empty() {
        return Some(None);
    }
    u32::try_from(integer(text, 0..=I32_MAX)?).ok().map(|bytes| Some(bytes.max(1024)))
});

/// A share or a factor.
pub(crate) const PROBABILITY: Form<f64> = Form::new("a number from 0 to 1", |text| {
    text.parse().ok().filter(|number| (0.0..=1.0).contains(number))
});

/// A share of a snapshot's size, where less than 0 switches off; more than 1 becomes Apache's
/// default, as in Apache.
pub(crate) const SNAPSHOT_SIZE_FACTOR: Form<Option<f64>> = Form::new("a number up to 1", |text| {
    let factor: f64 = text.parse().ok().filter(|factor: &f64| !factor.is_nan())?;
    Some(if factor > 1.0 { Some(0.33) } else { (factor >= 0.0).then_some(factor) })
});

/// A listen backlog; negative is the system's own.
pub(crate) const BACKLOG: Form<Option<u32>> =
    Form::new("a number, or -1", |text| Some(u32::try_from(integer(text, -1..=I32_MAX)?).ok()));

/// How long until the next purge: hours, or a number with a unit; 0 or less is never.
pub(crate) const PURGE_INTERVAL: Form<Option<Duration>> =
    Form::new("hours, or a number with one of the units ms, s, m, h, d", |text| {
        let digits_end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits_end);
        let number = integer(number.trim(), i64::MIN..=i64::MAX)?;
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "" | "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let number = u64::try_from(number).unwrap_or(0);
        let interval = Duration::from_millis(number.checked_mul(unit_ms)?);
        Some((!interval.is_zero()).then_some(interval))
    });

/// Whether a server votes, in Apache's words.
pub(crate) const ROLE: Form<Role> =
    Form::new("participant or observer", |text| match text.to_ascii_lowercase().as_str() {
        "participant" => Some(Role::Voter),
        "observer" => Some(Role::Observer),
        _ => None,
    });

/// Apache's number for the way that a leader is elected. The other two are gone since 3.5.
pub(crate) const ELECTION_ALGORITHM: Form<()> =
    Form::new("3", |text| integer(text, 3..=3).map(drop));

/// How snapshots are compressed.
pub(crate) const COMPRESSION: Form<Compression> =
    Form::new("gz, snappy or nothing", |text| match text {
        "" => Some(Compression::None),
        "gz" => Some(Compression::Gzip),
        "snappy" => Some(Compression::Snappy),
        _ => None,
    });

/// How passwords of the `digest` scheme are hashed.
pub(crate) const DIGEST_ALGORITHM: Form<DigestAlgorithm> =
    Form::new("SHA1, SHA-224, SHA-256, SHA-384, SHA-512 or MD5", |text| {
        match text.to_ascii_uppercase().as_str() {
            "SHA1" | "SHA-1" | "SHA" => Some(DigestAlgorithm::Sha1),
            "SHA-224" | "SHA224" => Some(DigestAlgorithm::Sha224),
            "SHA-256" | "SHA256" => Some(DigestAlgorithm::Sha256),
            "SHA-384" | "SHA384" => Some(DigestAlgorithm::Sha384),
            "SHA-512" | "SHA512" => Some(DigestAlgorithm::Sha512),
            "MD5" => Some(DigestAlgorithm::Md5),
            _ => None,
        }
    });

/// How snapshots are compressed (`snapshot.compression.method`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Not at all.
    None,
    /// As a gzip stream.
    Gzip,
    /// As snappy-java's stream of blocks.
    Snappy,
}

/// How passwords of the `digest` scheme are hashed (`DigestAuthenticationProvider.digestAlg`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DigestAlgorithm {
    /// SHA-1, what all clients assume.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// MD5.
    Md5,
}

const I32_MAX: i64 = i32::MAX as i64;

/// A decimal or `0x` number within a range.
fn integer(text: &str, range: RangeInclusive<i64>) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    // What follows must be digits: a second sign would be accepted by the standard library.
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) if !hexadecimal.starts_with(['+', '-']) => {
            i64::from_str_radix(hexadecimal, 16).ok()?
        }
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    let number = sign * magnitude;
    range.contains(&number).then_some(number)
}

fn unsigned(text: &str, range: RangeInclusive<i64>) -> Option<u64> {
    integer(text, range).and_then(|number| u64::try_from(number).ok())
}

fn milliseconds(text: &str, range: RangeInclusive<i64>) -> Option<Duration> {
    unsigned(text, range).map(Duration::from_millis)
}

fn bytes_of_kibibytes(kibibytes: i64) -> Option<u64> {
    u64::try_from(kibibytes).ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_decimal_or_hexadecimal_and_in_range() {
        let check = |text, expected| assert_eq!(integer(text, -10..=1000), expected, "{text:?}");
        for (text, expected) in
            [("0", 0), ("7", 7), ("+7", 7), ("-10", -10), ("0x1f", 31), ("0XA", 10), ("007", 7)]
        {
            check(text, Some(expected));
        }
        for text in
            ["", "-", "+", "--1", "+-1", "0x", "0x-1", "0x+1", "1001", "-11", "1.0", "a", "1 "]
        {
            check(text, None);
        }
        assert_eq!(integer("99999999999999999999", 0..=i64::MAX), None);
    }

    #[test]
    fn purge_intervals_have_units() {
        let parse = PURGE_INTERVAL.parse;
        let hours = |hours: u64| Some(Some(Duration::from_secs(hours * 3600)));
        assert_eq!(parse("1"), hours(1));
        assert_eq!(parse("2h"), hours(2));
        assert_eq!(parse("1d"), hours(24));
        assert_eq!(parse("90m"), Some(Some(Duration::from_secs(5400))));
        assert_eq!(parse("5s"), Some(Some(Duration::from_secs(5))));
        assert_eq!(parse("50ms"), Some(Some(Duration::from_millis(50))));
        assert_eq!(parse("0"), Some(None));
        assert_eq!(parse("-1"), Some(None));
        for text in ["", "h", "1w", "1 hour", "99999999999999999d"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn switches_read_as_apache_reads_them() {
        assert_eq!((STRICT_SWITCH.parse)("TRUE"), Some(true));
        assert_eq!((STRICT_SWITCH.parse)("yes"), None);
        assert_eq!((SWITCH.parse)("yes"), Some(false));
        assert!((SWITCH.is_odd)("yes") && !(SWITCH.is_odd)("False"));
        assert_eq!((YES_SWITCH.parse)("true"), Some(false));
        assert_eq!((NO_SWITCH.parse)("false"), Some(true));
        assert!((NO_SWITCH.is_odd)("false") && !(NO_SWITCH.is_odd)("no"));
    }

    #[test]
    fn numbers_out_of_use_switch_off_or_are_corrected_as_in_apache() {
        let port = MASTER_PORT.parse;
        assert_eq!(
            [port("2191"), port("0"), port("-7")],
            [Some(Some(2191)), Some(None), Some(None)]
        );
        assert_eq!([port("65536"), port("x")], [None, None]);
        let ticks = TICKS.parse;
        assert_eq!([ticks("5"), ticks("0"), ticks("-1")], [Some(Some(5)), Some(None), None]);
        let factor = SNAPSHOT_SIZE_FACTOR.parse;
        assert_eq!(
            [factor("0.5"), factor("0"), factor("-1")],
            [Some(Some(0.5)), Some(Some(0.0)), Some(None)]
        );
        assert_eq!(
            [factor("1"), factor("1.5"), factor("NaN")],
            [Some(Some(1.0)), Some(Some(0.33)), None]
        );
        assert_eq!((COMMIT_LOG_COUNT.parse)("499"), Some(500));
        assert_eq!((ELECTION_ALGORITHM.parse)("3"), Some(()));
        assert_eq!((ELECTION_ALGORITHM.parse)("0"), None);
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        let parse = HOST.parse;
        assert_eq!(parse("[::1]").as_deref(), Some("::1"));
        assert_eq!(parse("zk-1.example.org").as_deref(), Some("zk-1.example.org"));
        assert_eq!(parse(""), None);
        assert_eq!(parse("a b"), None);
        assert_eq!(parse("a:1"), None);
    }
}
