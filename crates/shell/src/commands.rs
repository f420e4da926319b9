//! What each command does.

mod quota;
mod znodes;

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use reefkeeper_client::{Change, Error, EventKind, ReconfigRequest, WatchMode, WatcherKind};

use crate::connection::OneShot;
use crate::failure::{About, Failure};
use crate::render;
use crate::shell::{Shell, usage};
use crate::syntax::{Arguments, Command, Kind};

/// The Apache release whose commands these are, then our own version.
const VERSION: &str = concat!("3.9.5-reefkeeper", env!("CARGO_PKG_VERSION"));

impl Shell {
    /// Runs a command that does not steer the shell's own loop.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) async fn run_command(
        &mut self,
        kind: Kind,
        command: &'static Command,
        arguments: &Arguments,
    ) -> Result<(), Failure> {
        let path = arguments.word(0).unwrap_or_default();
        match kind {
            Kind::Help => self.help(arguments.word(0)),
            Kind::History => self.show_history(),
            Kind::PrintWatches => self.print_watches(command, arguments.word(0)),
            Kind::Version => self.version(),
            Kind::Connect => self.reconnect(arguments.word(0)).await,
            Kind::Close => {
                self.client()?;
                self.close().await;
                Ok(())
            }
            Kind::AddAuth => self.add_auth(path, arguments.word(1).unwrap_or_default()).await,
            Kind::WhoAmI => self.whoami().await,
            Kind::Config => self.config(arguments).await,
            Kind::Reconfig => self.reconfig(command, arguments).await,
            Kind::AddWatch => self.add_watch(path, arguments).await,
            Kind::RemoveWatches => self.remove_watches(path, arguments).await,
            Kind::Watch => self.watch(path, arguments).await,
            Kind::Ls => self.ls(path, arguments).await,
            Kind::Get => self.get(path, arguments).await,
            Kind::Stat => self.stat(path, arguments).await,
            Kind::Create => self.create(path, arguments).await,
            Kind::Set => self.set(path, arguments).await,
            Kind::Delete => self.delete(path, arguments).await,
            Kind::DeleteAll => self.delete_all(path, arguments).await,
            Kind::GetAcl => self.acl(path, arguments).await,
            Kind::SetAcl => self.set_acl(path, arguments).await,
            Kind::ListQuota => self.list_quota(path).await,
            Kind::SetQuota => self.set_quota(arguments).await,
            Kind::DelQuota => self.delete_quota(path, arguments).await,
            Kind::Sync => self.sync(path).await,
            Kind::GetAllChildrenNumber => self.all_children_number(path).await,
            Kind::GetEphemerals => self.ephemerals(arguments.word(0)).await,
            // The loop has seen to these.
            Kind::Quit | Kind::Redo => Ok(()),
        }
    }

    fn help(&self, name: Option<&str>) -> Result<(), Failure> {
        let text = match name {
            None => usage(),
            Some(name) => match Command::named(name) {
                Some(command) => command.usage(),
                None => return Err(Failure::UnknownCommand(name.to_owned())),
            },
        };
        Ok(self.screen.result(&text)?)
    }

    fn show_history(&self) -> Result<(), Failure> {
        for (number, line) in self.history() {
            self.screen.result(&format!("{number} - {line}"))?;
        }
        Ok(())
    }

    fn print_watches(
        &self,
        command: &'static Command,
        switch: Option<&str>,
    ) -> Result<(), Failure> {
        match switch {
            Some("on") => self.shows_watches.store(true, Ordering::Relaxed),
            Some("off") => self.shows_watches.store(false, Ordering::Relaxed),
            Some(_) => return Err(Failure::Usage(command)),
            None => {
                let is_on = self.shows_watches.load(Ordering::Relaxed);
                let switch = if is_on { "on" } else { "off" };
                self.screen.result(&format!("printwatches is {switch}"))?;
            }
        }
        Ok(())
    }

    fn version(&self) -> Result<(), Failure> {
        Ok(self.screen.result(&format!("ZooKeeper CLI version: {VERSION}"))?)
    }

    async fn reconnect(&mut self, server: Option<&str>) -> Result<(), Failure> {
        if let Some(server) = server {
            server.parse::<reefkeeper_client::Ensemble>()?;
            server.clone_into(&mut self.options.server);
        }
        self.connect().await
    }

    /// A refusal ends the session and is shown as its state, too.
    async fn add_auth(&self, scheme: &str, auth: &str) -> Result<(), Failure> {
        Ok(self.client()?.add_auth(scheme, auth).await?)
    }

    async fn whoami(&self) -> Result<(), Failure> {
        let mut identities = self.client()?.whoami().await?;
        identities.sort();
        self.screen.result("Auth scheme: User")?;
        for identity in identities {
            self.screen.result(&format!("{}: {}", identity.scheme, identity.user))?;
        }
        Ok(())
    }

    async fn config(&self, arguments: &Arguments) -> Result<(), Failure> {
        let path = "/zookeeper/config";
        let connection = self.connection()?;
        let data = if arguments.has('w') {
            let watched = connection.client.get_data_and_watch(path).await;
            let (data, watch) = watched.about(path)?;
            connection.show_once(path, watch, OneShot::Data);
            data
        } else {
            connection.client.config().await.about(path)?
        };
        let text = render::text(Some(data.bytes()));
        let shown = if arguments.has('c') { render::client_addresses(&text) } else { text };
        self.screen.result(&shown)?;
        self.show_stat_if_asked(&data.stat, arguments)
    }

    async fn reconfig(
        &self,
        command: &'static Command,
        arguments: &Arguments,
    ) -> Result<(), Failure> {
        let [joining, leaving] = ["add", "remove"].map(|option| arguments.value(option));
        let [members, file] = ["members", "file"].map(|option| arguments.value(option));
        let is_change = joining.is_some() || leaving.is_some();
        match (members, file) {
            (None, None) if !is_change => return Err(Failure::Usage(command)),
            (Some(_), Some(_)) => {
                return Err(Failure::Words("Can't use -file and -members together"));
            }
            (Some(_), None) | (None, Some(_)) if is_change => {
                return Err(Failure::Words(
                    "Can't use -file or -members together with -add or -remove (mixing \
                     incremental and non-incremental modes is not allowed)",
                ));
            }
            _ => {}
        }
        let read = file.map(members_of_file).transpose()?;
        let based_on = arguments.value("v").map(|text| i64::from_str_radix(text, 16)).transpose();
        let Ok(based_on) = based_on else {
            return Err(Failure::Words("-v must be followed by a long (configuration version)"));
        };
        let request = ReconfigRequest {
            joining: joining.map(Cow::Borrowed),
            leaving: leaving.map(Cow::Borrowed),
            new_members: members.map(Cow::Borrowed).or_else(|| read.map(Cow::Owned)),
            based_on,
        };
        // It is about no znode that the operator has named: Apache's shell shows an empty path.
        let data = self.client()?.reconfig(request).await.about("")?;
        let text = render::text(data.value.as_deref());
        self.screen.result(&format!("Committed new configuration:\n{text}"))?;
        self.show_stat_if_asked(&data.stat, arguments)
    }

    async fn add_watch(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let connection = self.connection()?;
        let mode = match arguments.value("m") {
            None | Some("PERSISTENT_RECURSIVE") => WatchMode::PersistentRecursive,
            Some("PERSISTENT") => WatchMode::Persistent,
            Some(_) => return Err(Failure::Words("mode is PERSISTENT or PERSISTENT_RECURSIVE")),
        };
        let watch = connection.client.add_watch(path, mode).await.about(path)?;
        connection.show_all(path, watch);
        Ok(())
    }

    async fn remove_watches(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let kind = [
            ('c', WatcherKind::Children),
            ('d', WatcherKind::Data),
            ('p', WatcherKind::Persistent),
            ('r', WatcherKind::PersistentRecursive),
        ]
        .into_iter()
        .find(|&(flag, _)| arguments.has(flag))
        .map_or(WatcherKind::Any, |(_, kind)| kind);
        self.client()?.remove_watches(path, kind).await.about(path)
    }

    /// Streams the changes of a subtree, until interrupted or until there were enough.
    async fn watch(&self, path: &str, arguments: &Arguments) -> Result<(), Failure> {
        let client = self.client()?;
        let count_max = arguments.number::<u64>("n")?.unwrap_or(u64::MAX);
        let mode = WatchMode::PersistentRecursive;
        let mut changes = client.add_watch(path, mode).await.about(path)?;
        for _ in 0..count_max {
            let change = tokio::select! {
                change = changes.next() => change,
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    return Ok(());
                }
            };
            let line = match change {
                None => return Err(Failure::from(Error::Closed)),
                Some(Change::Gap) => "missed: some changes, the connection was lost".to_owned(),
                Some(Change::Event(event)) => {
                    let what = match event.kind {
                        EventKind::NodeCreated => "created",
                        EventKind::NodeDeleted => "deleted",
                        EventKind::NodeDataChanged => "changed",
                        EventKind::NodeChildrenChanged => "children",
                    };
                    format!("{what}: {}", event.path)
                }
            };
            self.screen.result(&line)?;
        }
        Ok(())
    }
}

/// The members that a file lists, one a line, as one list.
fn members_of_file(path: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Failure::File { path: path.to_owned(), source })?;
    let members = text.lines().map(str::trim).filter(|line| line.starts_with("server."));
    Ok(members.collect::<Vec<_>>().join(","))
}
