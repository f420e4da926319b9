//! Where the shell writes: results, errors, and events that come at any time.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustyline::ExternalPrinter;
use tracing::debug;

/// The outputs of the process, shared by commands and by the tasks that tell of events.
pub(crate) struct Screen {
    results: Mutex<Box<dyn Write + Send>>,
    errors: Mutex<Box<dyn Write + Send>>,
    /// Writes above the line that is being typed.
    above_prompt: Mutex<Option<Box<dyn ExternalPrinter + Send>>>,
}

impl Screen {
    /// A screen over two outputs.
    pub(crate) fn new(
        results: impl Write + Send + 'static,
        errors: impl Write + Send + 'static,
    ) -> Self {
        Self {
            results: Mutex::new(Box::new(results)),
            errors: Mutex::new(Box::new(errors)),
            above_prompt: Mutex::new(None),
        }
    }

    /// From now on events appear above the line that is being typed.
    pub(crate) fn attach(&self, printer: impl ExternalPrinter + Send + 'static) {
        *lock(&self.above_prompt) = Some(Box::new(printer));
    }

    /// Writes a result and ends its line.
    ///
    /// # Errors
    /// When nobody reads it.
    pub(crate) fn result(&self, text: &str) -> io::Result<()> {
        write_line(&self.results, text)
    }

    /// Writes an error, or what else is no result, and ends its line.
    ///
    /// # Errors
    /// When nobody reads it.
    pub(crate) fn error(&self, text: &str) -> io::Result<()> {
        write_line(&self.errors, text)
    }

    /// Writes an event as zkCli does.
    pub(crate) fn event(&self, state: &str, kind: &str, path: &str, zxid: i64) {
        let text = format!(
            "\nWATCHER::\n\nWatchedEvent state:{state} type:{kind} path:{path} zxid: {zxid}"
        );
        let written = match lock(&self.above_prompt).as_mut() {
            Some(printer) => printer.print(format!("{text}\n")).map_err(io::Error::other),
            None => self.result(&text),
        };
        if let Err(error) = written {
            // Commands that write results notice it too, and fail.
            debug!(%error, "an event could not be shown");
        }
    }
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

fn write_line(output: &Mutex<Box<dyn Write + Send>>, text: &str) -> io::Result<()> {
    let mut output = lock(output);
    output.write_all(text.as_bytes())?;
    output.write_all(b"\n")?;
    output.flush()
}

/// A writer that panicked leaves half a line at worst.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
