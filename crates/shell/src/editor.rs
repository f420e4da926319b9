//! Lines from a terminal, with history and completion.

use std::time::Duration;

use reefkeeper_client::Client;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Helper};
use tokio::runtime::Handle;

use crate::failure::Failure;
use crate::screen::Screen;
use crate::shell::Shell;
use crate::syntax::COMMANDS;

/// How long the terminal waits for the names of znodes.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(1);

/// The terminal's line editor.
pub(crate) struct Editor {
    lines: rustyline::Editor<Completion, DefaultHistory>,
}

impl Editor {
    /// An editor of this process's terminal; events appear above its line from now on.
    ///
    /// # Errors
    /// When the terminal can not be set up.
    pub(crate) fn new(runtime: Handle, screen: &Screen) -> Result<Self, Failure> {
        let config = Config::builder().auto_add_history(true).build();
        let mut lines = rustyline::Editor::with_config(config).map_err(output)?;
        lines.set_helper(Some(Completion { runtime, client: None }));
        screen.attach(lines.create_external_printer().map_err(output)?);
        Ok(Self { lines })
    }

    /// Asks for a line; `None` at the end of the input.
    ///
    /// # Errors
    /// When the terminal fails.
    pub(crate) fn line(&mut self, shell: &Shell) -> Result<Option<String>, Failure> {
        if let Some(completion) = self.lines.helper_mut() {
            completion.client = shell.client().ok().cloned();
        }
        match self.lines.readline(&shell.prompt()) {
            Ok(line) => Ok(Some(line)),
            // What was typed is given up, the shell is not.
            Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
            Err(ReadlineError::Eof) => Ok(None),
            Err(error) => Err(output(error)),
        }
    }
}

fn output(error: ReadlineError) -> Failure {
    Failure::Output(std::io::Error::other(error))
}

/// Completes the names of commands and the paths of znodes.
struct Completion {
    runtime: Handle,
    client: Option<Client>,
}

impl Completion {
    /// The paths that start with the part of one that was typed.
    fn paths(&self, typed: &str) -> Vec<String> {
        let Some(client) = &self.client else { return Vec::new() };
        let Some((parent, start)) = typed.rsplit_once('/') else { return Vec::new() };
        let listed = if parent.is_empty() { "/" } else { parent };
        let children = self.runtime.block_on(async {
            tokio::time::timeout(COMPLETION_TIMEOUT, client.get_children(listed)).await
        });
        let Ok(Ok(children)) = children else { return Vec::new() };
        let mut paths: Vec<_> = children
            .names
            .into_iter()
            .filter(|name| name.starts_with(start))
            .map(|name| format!("{parent}/{name}"))
            .collect();
        paths.sort();
        paths
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let start = typed.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
        let word = &typed[start..];
        let candidates = if typed[..start].trim().is_empty() {
            let names = COMMANDS.iter().map(|command| command.name);
            names.filter(|name| name.starts_with(word)).map(|name| format!("{name} ")).collect()
        } else {
            self.paths(word)
        };
        Ok((start, candidates))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Validator for Completion {}

impl Helper for Completion {}
