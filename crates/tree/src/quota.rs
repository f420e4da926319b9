//! Quotas: limits on the znodes and bytes of a subtree, kept in the tree itself.
//!
//! A quota on `/a` is the pair of znodes `/zookeeper/quota/a/zookeeper_limits` and
//! `.../zookeeper_stats`. Clients create both; servers keep the second up to date, each on its own:
//! usage is not replicated, bumps no version, fires no watch and is not in the digest.
//!
//! A change counts at the deepest quota above it only. But a quota is counted whole when it is made
//! and when a server starts, so that with one quota inside another the outer one's usage depends on
//! when that was. Java members do the same.
//!
//! Both texts look like `count=3,bytes=-1` with, if hard limits are given,
//! `=;byteHardLimit=-1;countHardLimit=4` appended: the odd `=` hides the rest from old releases.

use std::fmt;

const QUOTAS: &str = "/zookeeper/quota";
const LIMITS_NAME: &str = "zookeeper_limits";
const STATS_NAME: &str = "zookeeper_stats";

/// The limits on a subtree. `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaLimits {
    /// Znodes, the top one included; more give a warning.
    pub count: Option<i64>,
    /// Bytes of data; more give a warning.
    pub bytes: Option<i64>,
    /// Znodes; more are refused.
    pub count_hard: Option<i64>,
    /// Bytes of data; more are refused.
    pub bytes_hard: Option<i64>,
}

/// What a subtree holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaUsage {
    /// Znodes, the top one included.
    pub count: i64,
    /// Bytes of data.
    pub bytes: i64,
}

/// A quota and how far it is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    /// The top of the subtree.
    pub path: String,
    /// What it may hold.
    pub limits: QuotaLimits,
    /// What it holds, nested quotas' subtrees excluded.
    pub usage: QuotaUsage,
}

impl QuotaLimits {
    /// Reads the text of a limits znode. What can not be understood sets no limit.
    pub fn parse(text: &[u8]) -> Self {
        let limit = |key| value(text, key).filter(|&limit| limit != -1);
        Self {
            count: limit("count"),
            bytes: limit("bytes"),
            count_hard: limit("countHardLimit"),
            bytes_hard: limit("byteHardLimit"),
        }
    }
}

impl fmt::Display for QuotaLimits {
    /// The text of a limits znode, hard limits always included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |limit: Option<i64>| limit.unwrap_or(-1);
        write!(f, "count={},bytes={}=", number(self.count), number(self.bytes))?;
        write!(f, ";byteHardLimit={}", number(self.bytes_hard))?;
        write!(f, ";countHardLimit={}", number(self.count_hard))
    }
}

impl QuotaUsage {
    /// Reads the text of a stats znode. A number that is missing or malformed is -1, as old
    /// releases have it.
    pub fn parse(text: &[u8]) -> Self {
        let number = |key| value(text, key).unwrap_or(-1);
        Self { count: number("count"), bytes: number("bytes") }
    }
}

impl fmt::Display for QuotaUsage {
    /// The text of a stats znode.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={},bytes={}", self.count, self.bytes)
    }
}

/// The path of the znode that holds the limits on a subtree.
pub fn limits_path(path: &str) -> String {
    format!("{QUOTAS}{path}/{LIMITS_NAME}")
}

/// The path of the znode that holds the usage of a subtree.
pub fn stats_path(path: &str) -> String {
    format!("{QUOTAS}{path}/{STATS_NAME}")
}

/// Which of a quota's two znodes one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum QuotaNode<'a> {
    /// The limits on the subtree of this path.
    Limits(&'a str),
    /// The usage of the subtree of this path.
    Stats(&'a str),
}

impl<'a> QuotaNode<'a> {
    /// Tells from its path whether a znode belongs to a quota. One on the root has no effect.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let (subtree, name) = path.strip_prefix(QUOTAS)?.rsplit_once('/')?;
        if !subtree.starts_with('/') {
            return None;
        }
        match name {
            LIMITS_NAME => Some(Self::Limits(subtree)),
            STATS_NAME => Some(Self::Stats(subtree)),
            _ => None,
        }
    }
}

/// The path and every path above it, deepest first, without the root.
pub(crate) fn self_and_ancestors(path: &str) -> impl Iterator<Item = &str> {
    let longest = Some(path).filter(|path| path.len() > 1);
    std::iter::successors(longest, |path| {
        path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
    })
}

fn value(text: &[u8], key: &str) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    // Of equal keys the last one counts.
    text.split([',', ';']).rev().find_map(|pair| {
        let mut parts = pair.split('=');
        if parts.next() != Some(key) {
            return None;
        }
        match parts.next() {
            None | Some("") => Some(-1),
            Some(number) => number.parse().ok(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_command_line_tool_writes() {
        let text = b"count=3,bytes=-1=;byteHardLimit=-1;countHardLimit=4";
        let limits =
            QuotaLimits { count: Some(3), bytes: None, count_hard: Some(4), bytes_hard: None };
        assert_eq!(QuotaLimits::parse(text), limits);
        assert_eq!(limits.to_string().as_bytes(), text);
        assert_eq!(QuotaUsage::parse(b"count=4,bytes=10"), QuotaUsage { count: 4, bytes: 10 });
        assert_eq!(QuotaUsage { count: 4, bytes: 10 }.to_string(), "count=4,bytes=10");
    }

    #[test]
    fn reads_odd_texts() {
        let limits = |text: &str| QuotaLimits::parse(text.as_bytes());
        assert_eq!(limits(""), QuotaLimits::default());
        assert_eq!(limits("count=,bytes=7").bytes, Some(7));
        assert_eq!(limits("count=,bytes=7").count, None);
        assert_eq!(limits("bytes=7,;,count=5=6").count, Some(5));
        assert_eq!(limits("count=many").count, None);
        assert_eq!(QuotaLimits::parse(b"\xff"), QuotaLimits::default());
        assert_eq!(QuotaUsage::parse(b"bytes=9"), QuotaUsage { count: -1, bytes: 9 });
    }

    #[test]
    fn tells_the_znodes_of_a_quota_by_their_paths() {
        let of = QuotaNode::of;
        assert_eq!(of("/zookeeper/quota/a/b/zookeeper_limits"), Some(QuotaNode::Limits("/a/b")));
        assert_eq!(of("/zookeeper/quota/a/zookeeper_stats"), Some(QuotaNode::Stats("/a")));
        assert_eq!(of("/zookeeper/quota/zookeeper_limits"), None);
        assert_eq!(of("/zookeeper/quotas/a/zookeeper_limits"), None);
        assert_eq!(of("/zookeeper/quota/a/other"), None);
        assert_eq!(of("/a/zookeeper_limits"), None);
        assert_eq!(limits_path("/a"), "/zookeeper/quota/a/zookeeper_limits");
        assert_eq!(stats_path("/a"), "/zookeeper/quota/a/zookeeper_stats");
    }

    #[test]
    fn goes_up_to_below_the_root() {
        let up = |path| self_and_ancestors(path).collect::<Vec<_>>();
        assert_eq!(up("/a/b/c"), ["/a/b/c", "/a/b", "/a"]);
        assert_eq!(up("/a"), ["/a"]);
        assert!(up("/").is_empty());
        assert!(up("").is_empty());
    }
}
