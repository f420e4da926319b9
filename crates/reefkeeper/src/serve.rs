//! `reefkeeper server`.

use std::io::IsTerminal;
use std::process::ExitCode;

use config::CommandLine;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Ended, FailureKind, PeersError, Server, StartError};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::exit::{
    FAILED, INVALID_CONFIGURATION, NOT_CUT, PEER_PORT, Refusal, UNUSABLE_DIRECTORIES, give_up,
};
use crate::log_writer::{LogWriter, tell_panics};
use crate::signals;

/// How its last line begins when it does not start.
const COMMAND: &str = "server";

/// Waits for what ends a server beside signals; returns what that was.
pub(crate) type Guard = fn() -> String;

/// Runs a server until a signal ends it, or the guard; the exit codes are Apache's.
pub(crate) fn run(words: Vec<String>, guard: Option<Guard>) -> ExitCode {
    let log = match LogWriter::start(std::io::stderr()) {
        Ok(log) => log,
        Err(failure) => return give_up(COMMAND, &failure, FAILED),
    };
    log_to(log.clone());
    tell_panics(log.clone());
    let code = serve(words, guard);
    log.flush();
    code.unwrap_or_else(|refusal| refusal.tell(COMMAND))
}

/// Lets events be lines of the log. `RUST_LOG` may ask for more, or for less.
fn log_to(log: LogWriter) {
    let level = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(level.from_env_lossy())
        .with_writer(log)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // They would be told of on standard error, which is what failed, and that panics.
        .log_internal_errors(false)
        .init();
}

fn serve(words: Vec<String>, guard: Option<Guard>) -> Result<ExitCode, Refusal> {
    let loaded = CommandLine::from_words(words)
        .and_then(|command_line| config::load(&command_line, std::env::vars()))
        .map_err(Refusal::with(INVALID_CONFIGURATION))?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    raise_limit_of_open_files();
    let mut signals = signals::that_end().map_err(Refusal::with(FAILED))?;
    let server = Server::start(&loaded.config).map_err(|failure| {
        let code = match failure {
            StartError::Storage(_) => UNUSABLE_DIRECTORIES,
            StartError::Peers(PeersError::Listen { .. }) => PEER_PORT,
            StartError::Peers(_) | StartError::Listen { .. } | StartError::System(_) => FAILED,
        };
        Refusal::with(code)(failure)
    })?;
    if let Some(guard) = guard {
        let stop = server.stopper();
        std::thread::spawn(move || {
            let reason = guard();
            info!(reason, "told to stop");
            stop();
        });
    }
    let stop = server.stopper();
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            info!(signal, "told to stop");
            stop();
        }
    });
    Ok(match server.wait() {
        Ended::Stopped => ExitCode::SUCCESS,
        Ended::Failed(failure) => ExitCode::from(match failure.kind {
            FailureKind::NotCut => NOT_CUT,
            FailureKind::PeerPort => PEER_PORT,
            FailureKind::Other => FAILED,
        }),
    })
}

/// Lets the process have as many files open as the system lets it wish for, as a Java VM does: each
/// connection is one, and by default processes get far fewer.
fn raise_limit_of_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(failure) =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        warn!(%failure, files_max = limit.current, "the limit of open files stays as it is");
    }
}
