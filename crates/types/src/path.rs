//! Paths of znodes: which are valid, and their parts.

use std::fmt;

/// The root.
pub const ROOT: &str = "/";
/// The server's own subtree.
pub const ZOOKEEPER: &str = "/zookeeper";
/// Where quotas are kept.
pub const QUOTA: &str = "/zookeeper/quota";
/// Where the membership is kept.
pub const CONFIG: &str = "/zookeeper/config";
/// The name of the child that holds a quota's limits.
pub const QUOTA_LIMITS: &str = "zookeeper_limits";
/// The name of the child that holds a quota's usage.
pub const QUOTA_STATS: &str = "zookeeper_stats";

/// Why a path names no znode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidPath {
    /// It has no characters.
    Empty,
    /// It does not start with a slash.
    NoLeadingSlash,
    /// It ends with a slash.
    TrailingSlash,
    /// Two slashes follow each other.
    EmptyName,
    /// A part is `.` or `..`.
    RelativeName,
    /// It has a control character or one outside the first 64 K.
    Character(char),
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("path length must be > 0"),
            Self::NoLeadingSlash => f.write_str("path must start with /"),
            Self::TrailingSlash => f.write_str("path must not end with /"),
            Self::EmptyName => f.write_str("path has an empty part"),
            Self::RelativeName => f.write_str("path has a part . or .."),
            Self::Character(character) => {
                write!(f, "path has the invalid character {}", character.escape_unicode())
            }
        }
    }
}

impl std::error::Error for InvalidPath {}

/// Checks a path as servers check it before they change a znode, and clients before they send it.
///
/// # Errors
/// Says what is wrong with it.
pub fn validate(path: &str) -> Result<(), InvalidPath> {
    let Some(first) = path.as_bytes().first() else { return Err(InvalidPath::Empty) };
    if *first != b'/' {
        return Err(InvalidPath::NoLeadingSlash);
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(InvalidPath::TrailingSlash);
    }
    // Nearly all are printable ASCII, and in few does a name begin with a dot: that is seen without a look at
    // each name.
    let bytes = path.as_bytes();
    let is_plain = bytes.iter().fold(true, |is, byte| is & (0x20..0x7f).contains(byte));
    let pairs = bytes.iter().zip(&bytes[1..]);
    let is_odd = |(a, b): (&u8, &u8)| (*a == b'/') & ((*b == b'/') | (*b == b'.'));
    if is_plain && !pairs.fold(false, |odd, pair| odd | is_odd(pair)) {
        return Ok(());
    }
    for name in path[1..].split('/') {
        match name {
            "" => return Err(InvalidPath::EmptyName),
            "." | ".." => return Err(InvalidPath::RelativeName),
            _ => {}
        }
    }
    match path.chars().find(|&character| !is_allowed(character)) {
        Some(character) => Err(InvalidPath::Character(character)),
        None => Ok(()),
    }
}

fn is_allowed(character: char) -> bool {
    !matches!(u32::from(character),
        0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..)
}

/// The parent's path and the last name; the parent of a first-level path is the empty text, which
/// like "/" means the root. `None` if there is no slash.
pub fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_valid_from_invalid() {
        for path in
            ["/", "/a", "/a/b", "/.a", "/a/.b", "/a..", "/...", "/a b", "/ü", "/ü/.a", "/\u{e000}x"]
        {
            let expected = !path.contains('\u{e000}');
            assert_eq!(validate(path).is_ok(), expected, "{path:?}");
        }
        let cases = [
            ("", InvalidPath::Empty),
            ("a", InvalidPath::NoLeadingSlash),
            ("/a/", InvalidPath::TrailingSlash),
            ("//", InvalidPath::TrailingSlash),
            ("/a//b", InvalidPath::EmptyName),
            ("/a/./b", InvalidPath::RelativeName),
            ("/..", InvalidPath::RelativeName),
            ("/ü/.", InvalidPath::RelativeName),
            ("/ü//b", InvalidPath::EmptyName),
            ("/a\0b", InvalidPath::Character('\0')),
            ("/\u{7f}", InvalidPath::Character('\u{7f}')),
            ("/\u{9f}", InvalidPath::Character('\u{9f}')),
            ("/\u{fff0}", InvalidPath::Character('\u{fff0}')),
            ("/\u{1f600}", InvalidPath::Character('\u{1f600}')),
        ];
        for (path, reason) in cases {
            assert_eq!(validate(path), Err(reason), "{path:?}");
        }
        assert!(validate("/\u{a0}").is_ok());
        assert!(validate("/\u{f900}").is_ok());
    }

    #[test]
    fn splits_at_the_last_slash() {
        assert_eq!(split("/a/b"), Some(("/a", "b")));
        assert_eq!(split("/a"), Some(("", "a")));
        assert_eq!(split("/"), Some(("", "")));
        assert_eq!(split("a"), None);
    }
}
