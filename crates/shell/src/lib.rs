//! An interactive command line for Reefkeeper and Apache ZooKeeper: `reefkeeper shell`.
//!
//! ```text
//! reefkeeper shell [-server host:port,host:port/chroot] [-timeout ms] [-r] [command]
//! ```
//!
//! Commands, outputs, error texts and exit codes are those of ZooKeeper's own `zkCli.sh`, so that
//! scripts written for it go on working; `watch`, which streams the changes of a subtree, and `help`
//! are added. Results go to standard output, errors to standard error. What differs:
//!
//! - A shell that was started for one command writes neither `Connecting to ...` nor that the session
//!   is connected, and closes its session at the end.
//! - The old forms `delete path version` and `set path data version` mind the version.
//! - An access control list with an unknown letter is refused.
//! - `addauth` waits for the answer, and a refusal or a quota that can not be fails the command.
//! - Mistyped options are named without a Java class; `removewatches -l` is absent.
//!
//! | module | holds |
//! |---|---|
//! | `options`, `words`, `syntax` | what was typed |
//! | `shell`, `commands` | what it does |
//! | `connection` | the session, and the tasks that show its events |
//! | `render`, `failure`, `screen` | what is shown, and where |
//! | `editor` | lines from a terminal, with history and completion |

mod commands;
mod connection;
mod editor;
mod failure;
mod options;
mod render;
mod screen;
mod shell;
mod syntax;
mod words;

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use tokio::runtime::{self, Runtime};

use self::editor::Editor;
use self::failure::Failure;
use self::options::{OptionError, Options};
use self::screen::Screen;
use self::shell::{Next, Shell};

/// The exit code when the shell itself can not run.
const FAILED: u8 = 1;

const HELP: &str = "\
Reads and changes znodes of any ZooKeeper server.

reefkeeper shell [options] [command]

  -server host:port[,host:port][/chroot]   the servers; default localhost:2181
  -timeout milliseconds                    the session timeout to ask for; default 30000
  -waitforconnection                       wait for a server before the first command
  -r                                       accept a server without a quorum, for reads
  -help                                    this text

Options may start with one dash or two. Without a command, lines are read from standard
input; the line `help` lists the commands.";

/// Runs a shell over the streams of this process: with a command among the words that command,
/// otherwise the lines of standard input until its end. Returns the exit code: 0, 1 when a command
/// failed, 127 when there is no such command.
///
/// `words` are those behind `reefkeeper shell`.
///
/// # Panics
/// When called inside of a tokio runtime.
pub fn run(words: impl IntoIterator<Item = String>) -> u8 {
    let stdin = io::stdin();
    let lines =
        if stdin.is_terminal() { Lines::Terminal } else { Lines::From(Box::new(stdin.lock())) };
    start(words, lines, Screen::new(io::stdout(), io::stderr()))
}

/// As [`run`], over other streams than those of the process.
///
/// # Panics
/// When called inside of a tokio runtime.
pub fn run_over(
    words: impl IntoIterator<Item = String>,
    lines: impl BufRead,
    results: impl Write + Send + 'static,
    errors: impl Write + Send + 'static,
) -> u8 {
    start(words, Lines::From(Box::new(lines)), Screen::new(results, errors))
}

/// Where lines come from.
enum Lines<'l> {
    /// A person at a terminal.
    Terminal,
    /// A file, a pipe.
    From(Box<dyn BufRead + 'l>),
}

fn start(words: impl IntoIterator<Item = String>, lines: Lines<'_>, screen: Screen) -> u8 {
    let options = match Options::parse(words) {
        Ok(options) => options,
        Err(OptionError::Help) => {
            return match screen.result(HELP) {
                Ok(()) => 0,
                Err(_) => FAILED,
            };
        }
        Err(error) => return fail(&screen, &format!("{error}\n{}", shell::usage())),
    };
    // One thread beside this one keeps the session alive while a line is being typed.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&screen, &error.to_string()),
    };
    let screen = Arc::new(screen);
    let command = options.command.clone();
    let mut shell = Shell::new(options, Arc::clone(&screen));
    if !command.is_empty() {
        return runtime.block_on(run_command(&mut shell, command));
    }
    match interact(&mut shell, lines, &runtime) {
        Ok(code) => code,
        Err(failure) => fail(&screen, &failure.to_string()),
    }
}

/// Runs a single command.
async fn run_command(shell: &mut Shell, command: Vec<String>) -> u8 {
    let ran = match shell.connect().await {
        Ok(()) => shell.run_words(command).await.map(|_| ()),
        Err(failure) => Err(failure),
    };
    let code = match ran {
        Ok(()) => 0,
        Err(failure) => match shell.report(&failure) {
            Ok(()) => failure.exit_code(),
            // There is nobody to tell it to.
            Err(_) => FAILED,
        },
    };
    shell.close().await;
    code
}

/// Runs line after line. Returns with which code the process ends.
fn interact(shell: &mut Shell, lines: Lines<'_>, runtime: &Runtime) -> Result<u8, Failure> {
    runtime.block_on(shell.connect())?;
    shell.screen.result("Welcome to ZooKeeper!")?;
    match lines {
        Lines::Terminal => {
            shell.screen.result("JLine support is enabled")?;
            let mut editor = Editor::new(runtime.handle().clone(), &shell.screen)?;
            while let Some(line) = editor.line(shell)? {
                if runtime.block_on(shell.run_line(&line))? == Next::Quit {
                    break;
                }
            }
        }
        Lines::From(lines) => {
            shell.screen.result("JLine support is disabled")?;
            for line in lines.lines() {
                if runtime.block_on(shell.run_line(&line?))? == Next::Quit {
                    break;
                }
            }
        }
    }
    runtime.block_on(shell.close());
    Ok(shell.exit_code())
}

fn fail(screen: &Screen, text: &str) -> u8 {
    match screen.error(text) {
        // Whether or not anyone reads why, it failed.
        Ok(()) | Err(_) => FAILED,
    }
}
