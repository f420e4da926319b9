//! Commands that read and write znodes.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reefkeeper_client::{
    Acl, Client, CreateMode, CreateOptions, Error, ErrorCode, Id, Payload, Perms, Stat,
};
use tokio::task::JoinSet;

use crate::connection::OneShot;
use crate::failure::{About, Failure};
use crate::render;
use crate::shell::Shell;
use crate::syntax::{self, Arguments};

/// Deletions of `deleteall` that are under way together, unless `-b` says otherwise.
const DELETE_BATCH: usize = 1000;

/// The longest time to live, in milliseconds.
const TTL_MS_MAX: i64 = (1 << 40) - 1;

impl Shell {
    pub(super) async fn ls(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let is_watch = self.is_watch("ls path [watch]", "ls [-w] path", arguments)?;
        if arguments.has('R') {
            return self.ls_recursively(path).await;
        }
        let connection = self.connection()?;
        let client = &connection.client;
        let children = if is_watch {
            let (children, watch) = client.get_children_and_watch(path).await.about(path)?;
            connection.show_once(path, watch, OneShot::Children);
            children
        } else {
            client.get_children(path).await.about(path)?
        };
        self.screen.result(&render::list(children.names))?;
        self.show_stat_if_asked(&children.stat, arguments)
    }

    /// Parents before their children, siblings by name.
    async fn ls_recursively(&self, root: &str) -> Result<(), Failure> {
        let client = self.client()?;
        let mut left = vec![root.to_owned()];
        while let Some(path) = left.pop() {
            let mut names = match client.get_children(&path).await {
                // It was deleted meanwhile.
                Err(Error::Refused(ErrorCode::NoNode)) if path != root => continue,
                children => children.about(&path)?.names,
            };
            self.screen.result(&path)?;
            names.sort_by(|one, other| other.cmp(one));
            left.extend(names.iter().map(|name| child(&path, name)));
        }
        Ok(())
    }

    pub(super) async fn get(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let is_watch = self.is_watch("get path [watch]", "get [-s] [-w] path", arguments)?;
        let connection = self.connection()?;
        let client = &connection.client;
        let data = if is_watch {
            let (data, watch) = client.get_data_and_watch(path).await.about(path)?;
            connection.show_once(path, watch, OneShot::Data);
            data
        } else {
            client.get_data(path).await.about(path)?
        };
        let shown = match &data.value {
            Some(bytes) if arguments.has('b') => BASE64.encode(bytes),
            Some(bytes) if arguments.has('x') => render::hex_dump(bytes),
            value => render::text(value.as_deref()),
        };
        self.screen.result(&shown)?;
        self.show_stat_if_asked(&data.stat, arguments)
    }

    pub(super) async fn stat(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let is_watch = self.is_watch("stat path [watch]", "stat [-w] path", arguments)?;
        let connection = self.connection()?;
        let client = &connection.client;
        let stat = if is_watch {
            let (stat, watch) = client.exists_and_watch(path).await.about(path)?;
            connection.show_once(path, watch, OneShot::Data);
            stat
        } else {
            client.exists(path).await.about(path)?
        };
        let missing = Err(Error::Refused(ErrorCode::NoNode));
        let stat = stat.map_or(missing, Ok).about(path)?;
        self.show_stat(&stat)
    }

    pub(super) async fn create(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let mode = create_mode(arguments)?;
        let data = arguments.word(1).map_or(Payload::NULL, Payload::from);
        let mut options = CreateOptions::new(mode);
        if let Some(acl) = arguments.word(2) {
            options = options.acl(self.parse_acl(acl)?);
        }
        let created = self.client()?.create(path, data, options).await.about(path)?;
        Ok(self.screen.error(&format!("Created {}", created.path))?)
    }

    pub(super) async fn set(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let old = "set path data [version]";
        let new = "set [-s] [-v version] path data";
        let version = self.version_of(old, new, arguments, 2)?;
        let text = arguments.word(1).unwrap_or_default();
        let data = if arguments.has('b') {
            let bytes = BASE64.decode(text).map_err(|_| Failure::Words("data is not Base64"))?;
            Payload::from(bytes)
        } else {
            Payload::from(text)
        };
        let stat = self.client()?.set_data(path, data, version).await.about(path)?;
        self.show_stat_if_asked(&stat, arguments)
    }

    pub(super) async fn delete(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let old = "delete path [version]";
        let version = self.version_of(old, "delete [-v version] path", arguments, 1)?;
        self.client()?.delete(path, version).await.about(path)
    }

    /// Deletes a subtree from its leaves upward, a level at a time, so that every deletion finds
    /// its znode empty.
    pub(super) async fn delete_all(
        &self,
        path: &str,
        arguments: &Arguments,
    ) -> Result<(), Failure> {
        let client = self.client()?;
        let batch = arguments.number::<usize>("b")?.unwrap_or(DELETE_BATCH).max(1);
        let mut is_complete = true;
        for level in levels(client, path).await?.into_iter().rev() {
            for paths in level.chunks(batch) {
                is_complete &= delete_each(client, paths).await?;
            }
        }
        if is_complete { Ok(()) } else { Err(Failure::LeftOver) }
    }

    pub(super) async fn acl(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let acls = self.client()?.get_acl(path).await.about(path)?;
        self.screen.result(&render::acl(&acls.acl))?;
        self.show_stat_if_asked(&acls.stat, arguments)
    }

    pub(super) async fn set_acl(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let version = known_version(arguments.number("v")?);
        let acl = self.parse_acl(arguments.word(1).unwrap_or_default())?;
        let client = self.client()?;
        if arguments.has('R') {
            for path in levels(client, path).await?.into_iter().flatten() {
                match client.set_acl(&path, acl.clone(), version).await {
                    Ok(stat) => self.show_stat_if_asked(&stat, arguments)?,
                    // The others are not left open because of one that may not be changed.
                    Err(error @ Error::Refused(_)) => {
                        let failure = Failure::Client { error, path: Some(path) };
                        self.screen.error(&failure.to_string())?;
                    }
                    Err(error) => return Err(error).about(&path),
                }
            }
            return Ok(());
        }
        let stat = client.set_acl(path, acl, version).await.about(path)?;
        self.show_stat_if_asked(&stat, arguments)
    }

    pub(super) async fn sync(&self, path: &str) -> Result<(), Failure> {
        let client = self.client()?;
        let limit = Duration::from_secs(30);
        match tokio::time::timeout(limit, client.sync(path)).await {
            Ok(Ok(())) => Ok(self.screen.result("Sync is OK")?),
            Ok(Err(Error::Refused(code))) => {
                Ok(self.screen.result(&format!("Sync has failed. rc={}", code.raw()))?)
            }
            Ok(Err(error)) => Err(error).about(path),
            Err(_) => Err(Error::TimedOut { may_have_happened: false }).about(path),
        }
    }

    pub(super) async fn all_children_number(&self, path: &str) -> Result<(), Failure> {
        let count = self.client()?.get_all_children_number(path).await.about(path)?;
        Ok(self.screen.result(&count.to_string())?)
    }

    pub(super) async fn ephemerals(&self, prefix: Option<&str>) -> Result<(), Failure> {
        let prefix = prefix.unwrap_or("/");
        let paths = self.client()?.get_ephemerals(prefix).await.about(prefix)?;
        Ok(self.screen.result(&render::list(paths))?)
    }

    pub(super) fn show_stat_if_asked(
        &self,
        stat: &Stat,
        arguments: &Arguments,
    ) -> Result<(), Failure> {
        if arguments.has('s') { self.show_stat(stat) } else { Ok(()) }
    }

    fn show_stat(&self, stat: &Stat) -> Result<(), Failure> {
        Ok(self.screen.result(&render::stat(stat, &jiff::tz::TimeZone::system()))?)
    }

    /// Whether a watch is asked for: by option, or by any second word as in old releases.
    fn is_watch(&self, old: &str, new: &str, arguments: &Arguments) -> Result<bool, Failure> {
        if arguments.word(1).is_none() {
            return Ok(arguments.has('w'));
        }
        self.deprecate(old, new)?;
        Ok(true)
    }

    /// The version that is asked for: by option, or by the word after the others as in old
    /// releases.
    fn version_of(
        &self,
        old: &str,
        new: &str,
        arguments: &Arguments,
        index: usize,
    ) -> Result<Option<i32>, Failure> {
        let Some(word) = arguments.word(index) else {
            return Ok(known_version(arguments.number("v")?));
        };
        self.deprecate(old, new)?;
        Ok(known_version(Some(syntax::number(word)?)))
    }

    fn deprecate(&self, old: &str, new: &str) -> Result<(), Failure> {
        let text = format!("'{old}' has been deprecated. Please use '{new}' instead.");
        Ok(self.screen.error(&text)?)
    }

    /// Reads `scheme:id:perms` entries; what is none is named and left out, as zkCli does.
    fn parse_acl(&self, text: &str) -> Result<Vec<Acl>, Failure> {
        let mut entries = Vec::new();
        for entry in text.split(',') {
            let parts = entry
                .split_once(':')
                .and_then(|(scheme, rest)| rest.rsplit_once(':').map(|(id, p)| (scheme, id, p)));
            let Some((scheme, id, letters)) = parts else {
                self.screen.error(&format!("{entry} does not have the form scheme:id:perm"))?;
                continue;
            };
            let mut perms = Perms::default();
            for letter in letters.chars() {
                match render::permission(letter) {
                    Some(Perms(perm)) => perms = Perms(perms.0 | perm),
                    None => return Err(Failure::UnknownPermission(letter)),
                }
            }
            entries.push(Acl { perms, id: Id::new(scheme, id) });
        }
        Ok(entries)
    }
}

/// In the protocol, and so for zkCli, -1 is any version.
fn known_version(version: Option<i32>) -> Option<i32> {
    version.filter(|&version| version != -1)
}

fn create_mode(arguments: &Arguments) -> Result<CreateMode, Failure> {
    let (is_sequential, is_ephemeral) = (arguments.has('s'), arguments.has('e'));
    if arguments.has('c') {
        return if is_sequential || is_ephemeral {
            Err(Failure::Words(
                "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.",
            ))
        } else {
            Ok(CreateMode::Container)
        };
    }
    let Some(ttl) = arguments.value("t") else {
        return Ok(match (is_sequential, is_ephemeral) {
            (false, false) => CreateMode::Persistent,
            (false, true) => CreateMode::Ephemeral,
            (true, false) => CreateMode::PersistentSequential,
            (true, true) => CreateMode::EphemeralSequential,
        });
    };
    let ttl_ms: i64 =
        ttl.parse().map_err(|_| Failure::Words("-t argument must be a long value"))?;
    if is_ephemeral {
        return Err(Failure::Words("TTLs cannot be used with Ephemeral znodes"));
    }
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        return Err(Failure::Words(
            "ttl must be positive and cannot be larger than: 1099511627775",
        ));
    }
    Ok(if is_sequential {
        CreateMode::PersistentSequentialWithTtl(ttl_ms)
    } else {
        CreateMode::PersistentWithTtl(ttl_ms)
    })
}

fn child(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// The paths of a subtree by their depth, its root first.
async fn levels(client: &Client, root: &str) -> Result<Vec<Vec<String>>, Failure> {
    let mut levels = vec![vec![root.to_owned()]];
    while let Some(parents) = levels.last() {
        let mut answers = JoinSet::new();
        for parent in parents.iter().cloned() {
            let client = client.clone();
            answers.spawn(async move { (client.get_children(&parent).await, parent) });
        }
        let mut next = Vec::new();
        while let Some(answer) = answers.join_next().await {
            match answer.expect("the task neither panics nor is canceled") {
                // It was deleted meanwhile.
                (Err(Error::Refused(ErrorCode::NoNode)), parent) if parent != root => {}
                (children, parent) => {
                    let names = children.about(&parent)?.names;
                    next.extend(names.iter().map(|name| child(&parent, name)));
                }
            }
        }
        if next.is_empty() {
            break;
        }
        next.sort();
        levels.push(next);
    }
    Ok(levels)
}

/// Deletes znodes together; whether none is left. One that someone else deleted is not.
async fn delete_each(client: &Client, paths: &[String]) -> Result<bool, Failure> {
    let mut answers = JoinSet::new();
    for path in paths.iter().cloned() {
        let client = client.clone();
        answers.spawn(async move { (client.delete(&path, None).await, path) });
    }
    let mut is_complete = true;
    while let Some(answer) = answers.join_next().await {
        match answer.expect("the task neither panics nor is canceled") {
            (Ok(()) | Err(Error::Refused(ErrorCode::NoNode)), _) => {}
            (Err(Error::Refused(_)), _) => is_complete = false,
            (Err(error), path) => return Err(error).about(&path),
        }
    }
    Ok(is_complete)
}
