//! The loop of a shell: a line, its command, its result.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use reefkeeper_client::{Client, Error, SessionState, States};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::options::Options;
use crate::render;
use crate::screen::Screen;
use crate::syntax::{self, Arguments, COMMANDS, Command, Kind};
use crate::words;

/// How many lines `history` shows.
const HISTORY_LINES: usize = 11;

/// Whether there is a next line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Go on.
    Line,
    /// The shell ends.
    Quit,
}

/// A shell between two lines.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) options: Options,
    pub(crate) screen: Arc<Screen>,
    /// `None` after `close`.
    pub(crate) connection: Option<Connection>,
    /// Whether events of watches are shown.
    pub(crate) shows_watches: Arc<AtomicBool>,
    /// Lines with their numbers, the last one last; bounded by what can be repeated.
    history: VecDeque<(usize, String)>,
    /// The number of the next line.
    line_number: usize,
    /// How the last line ended that was a command.
    exit_code: u8,
}

impl Shell {
    /// A shell that is not connected.
    pub(crate) fn new(options: Options, screen: Arc<Screen>) -> Self {
        Self {
            options,
            screen,
            connection: None,
            shows_watches: Arc::new(AtomicBool::new(true)),
            history: VecDeque::new(),
            line_number: 0,
            exit_code: 0,
        }
    }

    /// Starts a session with the servers of the options, after ending the one there is.
    ///
    /// # Errors
    /// When the text that names the servers can not be understood, or no server answers although
    /// one has to.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        self.close().await;
        if self.options.command.is_empty() {
            self.screen.result(&format!("Connecting to {}", self.options.server))?;
        }
        let (screen, shows) = (Arc::clone(&self.screen), Arc::clone(&self.shows_watches));
        let connection = Connection::open(&self.options, screen, shows)?;
        let states = connection.client.states();
        self.connection = Some(connection);
        if self.options.wait_for_connection {
            let connected = timeout(self.options.timeout, until_connected(states)).await;
            let lost = Error::ConnectionLost { may_have_happened: false };
            connected.unwrap_or(Err(lost))?;
        }
        Ok(())
    }

    /// Ends the session, if there is one.
    pub(crate) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    /// Runs a line and writes what came of it.
    ///
    /// # Errors
    /// When the output can not be written; other failures are written, and not errors here.
    pub(crate) async fn run_line(&mut self, line: &str) -> Result<Next, Failure> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(Next::Line);
        }
        self.remember(line);
        match self.run_words(words::split(line)).await {
            Ok(Next::Quit) => Ok(Next::Quit),
            Ok(Next::Line) => {
                self.exit_code = 0;
                Ok(Next::Line)
            }
            Err(failure @ Failure::Output(_)) => Err(failure),
            Err(failure) => {
                self.report(&failure)?;
                self.exit_code = failure.exit_code();
                Ok(Next::Line)
            }
        }
    }

    /// With which code a session of several lines ends: that of the last command.
    pub(crate) const fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Runs a command.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) async fn run_words(&mut self, words: Vec<String>) -> Result<Next, Failure> {
        let mut words = words.into_iter();
        let Some(name) = words.next() else { return Ok(Next::Line) };
        let Some(command) = Command::named(&name) else {
            return Err(Failure::UnknownCommand(name));
        };
        let arguments = command.parse(words)?;
        match command.kind {
            Kind::Quit => {
                self.close().await;
                Ok(Next::Quit)
            }
            // The line to repeat may be one that repeats: boxed, so that the future has a size.
            Kind::Redo => Box::pin(self.redo(&arguments)).await,
            kind => {
                self.run_command(kind, command, &arguments).await?;
                Ok(Next::Line)
            }
        }
    }

    /// Writes why a command failed.
    ///
    /// # Errors
    /// When the output can not be written.
    pub(crate) fn report(&self, failure: &Failure) -> Result<(), Failure> {
        if matches!(failure, Failure::UnknownCommand(_)) {
            self.screen.error(&usage())?;
        }
        // zkCli says this one where results go.
        match failure {
            Failure::NotConnected => self.screen.result(&failure.to_string())?,
            failure => self.screen.error(&failure.to_string())?,
        }
        if failure.is_lost_connection() && self.was_never_connected() {
            let servers = &self.options.server;
            self.screen.error(&format!("No server answers at {servers}. Is one running there?"))?;
        }
        Ok(())
    }

    fn was_never_connected(&self) -> bool {
        let state = self.connection.as_ref().map(|connection| connection.client.state());
        state == Some(SessionState::Connecting)
    }

    /// The session.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn client(&self) -> Result<&Client, Failure> {
        self.connection().map(|connection| &connection.client)
    }

    /// The session with what shows its events.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn connection(&self) -> Result<&Connection, Failure> {
        self.connection.as_ref().ok_or(Failure::NotConnected)
    }

    /// What is shown before a line.
    pub(crate) fn prompt(&self) -> String {
        let state = self.connection.as_ref().map(|connection| connection.client.state());
        let state = render::prompt_state(state);
        format!("[zk: {}({state}) {}] ", self.options.server, self.line_number)
    }

    /// The last lines with their numbers.
    pub(crate) fn history(&self) -> impl Iterator<Item = &(usize, String)> {
        self.history.iter().skip(self.history.len().saturating_sub(HISTORY_LINES))
    }

    fn remember(&mut self, line: &str) {
        /// Lines that `redo` knows.
        const REMEMBERED: usize = 1000;
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back((self.line_number, line.to_owned()));
        self.line_number += 1;
    }

    async fn redo(&mut self, arguments: &Arguments) -> Result<Next, Failure> {
        let number = syntax::number(arguments.word(0).unwrap_or_default())?;
        let found = self.history.iter().find(|(known, _)| *known == number);
        let Some((_, line)) = found.cloned() else { return Err(Failure::NoSuchLine) };
        let words = words::split(&line);
        // A line that repeats itself would do so forever.
        if words.first().is_some_and(|name| name == "redo") {
            return Err(Failure::NoSuchLine);
        }
        if let Some(last) = self.history.back_mut() {
            last.1.clone_from(&line);
        }
        self.run_words(words).await
    }
}

async fn until_connected(mut states: States) -> Result<(), Error> {
    while !states.current().is_connected() {
        if states.changed().await.is_none() {
            return Err(Error::Closed);
        }
    }
    Ok(())
}

/// Every command with its syntax.
pub(crate) fn usage() -> String {
    let mut text =
        "ZooKeeper -server host:port -client-configuration properties-file cmd args".to_owned();
    for command in COMMANDS {
        text.push_str("\n\t");
        text.push_str(&command.usage());
    }
    text
}
