//! Quotas: limits on the znodes and bytes of a subtree.
//!
//! A quota on `/p` is two znodes that clients keep: `/zookeeper/quota/p/zookeeper_limits` with its
//! limits, and `zookeeper_stats` beside it, which each server fills with the usage. Only the hard
//! limits are enforced, and only by servers that are configured to.

use std::collections::BTreeMap;

use reefkeeper_client::{Client, CreateMode, Error, ErrorCode};

use crate::failure::{About, Failure};
use crate::shell::Shell;
use crate::syntax::{self, Arguments};

/// Where quotas are kept.
const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// Options and the limits they stand for.
const LIMIT_OPTIONS: [(char, &str); 4] =
    [('n', "count"), ('b', "bytes"), ('N', "countHardLimit"), ('B', "byteHardLimit")];

/// The text of a quota znode: numbers by name, of which -1 is no limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Quota(BTreeMap<String, i64>);

impl Quota {
    /// Reads `count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=7`, or its first half; what makes
    /// no sense is left out.
    fn parse(text: &str) -> Self {
        let limit = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((name.to_owned(), value.trim_end_matches('=').parse().ok()?))
        };
        Self(text.split([',', ';']).filter_map(limit).collect())
    }

    fn limit(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(-1)
    }

    fn set(&mut self, name: &str, limit: i64) {
        self.0.insert(name.to_owned(), limit);
    }

    /// The text for all four limits.
    fn text(&self) -> String {
        format!(
            "count={},bytes={}=;byteHardLimit={};countHardLimit={}",
            self.limit("count"),
            self.limit("bytes"),
            self.limit("byteHardLimit"),
            self.limit("countHardLimit"),
        )
    }

    /// Whether one of two limits is set and below the usage.
    fn is_exceeded(&self, soft: &str, hard: &str, usage: i64) -> bool {
        [soft, hard].into_iter().any(|name| (0..usage).contains(&self.limit(name)))
    }
}

impl Shell {
    pub(super) async fn list_quota(&self, path: &str) -> Result<(), Failure> {
        let client = self.client()?;
        let limits = limits_path(path);
        self.screen.error(&format!("absolute path is {limits}"))?;
        let quota = match client.get_data(&limits).await {
            Err(Error::Refused(ErrorCode::NoNode)) => {
                return Ok(self.screen.error(&format!("quota for {path} does not exist."))?);
            }
            data => data.about(&limits)?,
        };
        let shown = String::from_utf8_lossy(quota.bytes());
        self.screen.result(&format!("Output quota for {path} {shown}"))?;
        let stats = stats_path(path);
        let usage = client.get_data(&stats).await.about(&stats)?;
        let shown = String::from_utf8_lossy(usage.bytes());
        Ok(self.screen.result(&format!("Output stat for {path} {shown}"))?)
    }

    pub(super) async fn set_quota(&self, arguments: &Arguments) -> Result<(), Failure> {
        let [value, path] = arguments.words.as_slice() else {
            return Err(Failure::Words(MISSING_LIMIT));
        };
        let Some(name) = chosen_limit(arguments)? else {
            return Err(Failure::Words(MISSING_LIMIT));
        };
        let limit: i64 = syntax::number(value)?;
        let is_of_bytes = arguments.has('b') || arguments.has('B');
        if is_of_bytes && limit < 0 {
            let text = "the bytes quota must be greater than or equal to zero";
            return Err(Failure::Words(text));
        }
        if !is_of_bytes && limit <= 0 {
            return Err(Failure::Words("the num quota must be greater than zero"));
        }
        let client = self.client()?;
        if client.exists(path).await.about(path)?.is_none() {
            return Err(Failure::Quota(format!("{path} does not exist.")));
        }
        if path.starts_with(ROOT) {
            return Err(Failure::Quota(format!("cannot set a quota under the path: {ROOT}")));
        }
        refuse_nesting(client, path).await?;
        let quota = store_limit(client, path, name, limit).await?;
        self.warn_of_usage(client, path, &quota).await
    }

    pub(super) async fn delete_quota(
        &self,
        path: &str,
        arguments: &Arguments,
    ) -> Result<(), Failure> {
        let client = self.client()?;
        let limits = limits_path(path);
        let stored = match client.get_data(&limits).await {
            Err(Error::Refused(ErrorCode::NoNode)) => {
                return Ok(self.screen.result(&format!("Quota does not exist for {path}"))?);
            }
            data => data.about(&limits)?,
        };
        let Some(name) = chosen_limit(arguments)? else {
            return remove_quota(client, path).await;
        };
        let mut quota = Quota::parse(&String::from_utf8_lossy(stored.bytes()));
        quota.set(name, -1);
        let version = Some(stored.stat.version);
        client.set_data(&limits, quota.text(), version).await.about(&limits)?;
        Ok(())
    }

    async fn warn_of_usage(
        &self,
        client: &Client,
        path: &str,
        quota: &Quota,
    ) -> Result<(), Failure> {
        let stats = stats_path(path);
        let usage = client.get_data(&stats).await.about(&stats)?;
        let usage = Quota::parse(&String::from_utf8_lossy(usage.bytes()));
        let kinds = [("count", "countHardLimit"), ("bytes", "byteHardLimit")];
        for (kind, hard) in kinds {
            let used = usage.limit(kind);
            if quota.is_exceeded(kind, hard, used) {
                self.screen.result(&format!(
                    "[Warning]: the {kind} quota you create is less than the existing {kind}:{used}"
                ))?;
            }
        }
        Ok(())
    }
}

const MISSING_LIMIT: &str = "Missing required option: [-n num soft quota, -b bytes soft quota, \
                             -N num hard quota, -B bytes hard quota]";

fn limits_path(path: &str) -> String {
    format!("{ROOT}{path}/{LIMITS}")
}

fn stats_path(path: &str) -> String {
    format!("{ROOT}{path}/{STATS}")
}

/// The one limit that the options name; `None` if none does.
fn chosen_limit(arguments: &Arguments) -> Result<Option<&'static str>, Failure> {
    let mut chosen = LIMIT_OPTIONS.iter().filter(|(option, _)| arguments.has(*option));
    let first = chosen.next().map(|&(_, name)| name);
    match chosen.next() {
        None => Ok(first),
        Some(_) => Err(Failure::Words("only one of -n, -b, -N and -B can be given")),
    }
}

/// Quotas do not count one within another.
async fn refuse_nesting(client: &Client, path: &str) -> Result<(), Failure> {
    let mut parent = path;
    while let Some((above, _)) = parent.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        parent = above;
        if client.exists(&limits_path(parent)).await.about(parent)?.is_some() {
            return Err(Failure::Quota(format!("{path} has a parent {parent} which has a quota")));
        }
    }
    let mut left = vec![path.to_owned()];
    while let Some(above) = left.pop() {
        let names = match client.get_children(&format!("{ROOT}{above}")).await {
            Err(Error::Refused(ErrorCode::NoNode)) => continue,
            children => children.about(&above)?.names,
        };
        if above != path && names.iter().any(|name| name == LIMITS) {
            return Err(Failure::Quota(format!("{path} has a child {above} which has a quota")));
        }
        let is_inner = |name: &&String| *name != LIMITS && *name != STATS;
        left.extend(names.iter().filter(is_inner).map(|name| format!("{above}/{name}")));
    }
    Ok(())
}

/// Sets one limit beside those there are; returns all of them.
async fn store_limit(
    client: &Client,
    path: &str,
    name: &str,
    limit: i64,
) -> Result<Quota, Failure> {
    let limits = limits_path(path);
    match client.get_data(&limits).await {
        Ok(stored) => {
            let mut quota = Quota::parse(&String::from_utf8_lossy(stored.bytes()));
            quota.set(name, limit);
            let version = Some(stored.stat.version);
            client.set_data(&limits, quota.text(), version).await.about(&limits)?;
            Ok(quota)
        }
        Err(Error::Refused(ErrorCode::NoNode)) => {
            let mut quota = Quota::default();
            quota.set(name, limit);
            create_parents(client, path).await?;
            client
                .transaction()
                .create(&limits, quota.text(), CreateMode::Persistent)
                // The server puts the usage into it.
                .create(&stats_path(path), "count=0,bytes=0", CreateMode::Persistent)
                .commit()
                .await
                .about(&limits)?;
            Ok(quota)
        }
        Err(error) => Err(error).about(&limits),
    }
}

/// The znodes on the way from the root of quotas to the one for a path.
async fn create_parents(client: &Client, path: &str) -> Result<(), Failure> {
    let mut parent = ROOT.to_owned();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        parent = format!("{parent}/{name}");
        match client.create(&parent, "", CreateMode::Persistent).await {
            Ok(_) | Err(Error::Refused(ErrorCode::NodeExists)) => {}
            Err(error) => return Err(error).about(&parent),
        }
    }
    Ok(())
}

/// Removes a quota and the znodes above it that then are empty.
async fn remove_quota(client: &Client, path: &str) -> Result<(), Failure> {
    let removal = client.transaction().delete(&limits_path(path), None);
    removal.delete(&stats_path(path), None).commit().await.about(path)?;
    let mut above = path;
    while !above.is_empty() {
        let znode = format!("{ROOT}{above}");
        match client.delete(&znode, None).await {
            Ok(()) | Err(Error::Refused(ErrorCode::NoNode)) => {}
            // Others' quotas are below it.
            Err(Error::Refused(ErrorCode::NotEmpty)) => return Ok(()),
            Err(error) => return Err(error).about(&znode),
        }
        above = above.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_survive_their_text() {
        let text = "count=5,bytes=-1=;byteHardLimit=100;countHardLimit=-1";
        let quota = Quota::parse(text);
        assert_eq!(quota.limit("count"), 5);
        assert_eq!(quota.limit("byteHardLimit"), 100);
        assert_eq!(quota.text(), text);
        let old = Quota::parse("count=5,bytes=7");
        assert_eq!(old.text(), "count=5,bytes=7=;byteHardLimit=-1;countHardLimit=-1");
        assert_eq!(Quota::parse("nonsense,count=,bytes=x"), Quota::default());
    }

    #[test]
    fn limits_below_the_usage_are_noticed() {
        let quota = Quota::parse("count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=2");
        assert!(quota.is_exceeded("count", "countHardLimit", 3));
        assert!(!quota.is_exceeded("count", "countHardLimit", 2));
        assert!(!quota.is_exceeded("bytes", "byteHardLimit", 1000));
    }
}
