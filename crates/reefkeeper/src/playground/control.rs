//! Orders from other processes: a socket in the playground's directory.
//!
//! An order is a line. The answer is the line `done` or `failed`, and then text until the
//! connection ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::{fs, thread};

use super::error::PlaygroundError;
use super::order::Order;
use super::{Event, order_and_wait};
use crate::exit::told;

const DONE: &str = "done\n";
const FAILED: &str = "failed\n";
/// No order is longer, in bytes.
const ORDER_BYTES_MAX: u64 = 4096;

/// The open socket; removed when it is dropped.
pub(crate) struct Control {
    path: PathBuf,
}

impl Control {
    /// Opens the socket of a directory and passes on the orders that arrive there.
    pub(crate) fn open(dir: &Path, events: Sender<Event>) -> Result<Self, PlaygroundError> {
        let path = path(dir);
        let failed = |source| PlaygroundError::File { path: path.clone(), source };
        match fs::remove_file(&path) {
            Err(failure) if failure.kind() != io::ErrorKind::NotFound => {
                return Err(failed(failure));
            }
            // What a playground that was killed has left.
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let events = events.clone();
                // Who asked and went does not need the answer.
                thread::spawn(move || converse(stream, &events).unwrap_or_default());
            }
        });
        Ok(Self { path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Err(failure) = fs::remove_file(&self.path)
            && failure.kind() != io::ErrorKind::NotFound
        {
            eprintln!("reefkeeper playground: {} stays: {failure}", self.path.display());
        }
    }
}

/// Whether a playground runs in a directory.
pub(crate) fn is_alive(dir: &Path) -> bool {
    UnixStream::connect(path(dir)).is_ok()
}

/// Gives an order to the playground of a directory; returns what it says.
pub(crate) fn tell(dir: &Path, order: &str) -> Result<String, PlaygroundError> {
    let mut stream = UnixStream::connect(path(dir))
        .map_err(|_| PlaygroundError::NotRunning { dir: dir.to_owned() })?;
    let mut answer = String::new();
    stream
        .write_all(format!("{order}\n").as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(PlaygroundError::Control)?;
    match (answer.strip_prefix(DONE), answer.strip_prefix(FAILED)) {
        (Some(words), _) => Ok(words.to_owned()),
        (None, Some(words)) => Err(PlaygroundError::Refused(words.trim_end().to_owned())),
        (None, None) => Err(PlaygroundError::Ending),
    }
}

fn converse(mut stream: UnixStream, events: &Sender<Event>) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new((&stream).take(ORDER_BYTES_MAX)).read_line(&mut line)?;
    let answer = match Order::parse(&line) {
        // Somebody only looked whether the playground is there.
        Ok(None) => return Ok(()),
        Ok(Some(order)) => order_and_wait(events, order),
        Err(words) => Err(PlaygroundError::Refused(words)),
    };
    match answer {
        Ok(words) => stream.write_all(format!("{DONE}{words}").as_bytes()),
        // That there is no answer says so too.
        Err(PlaygroundError::Ending) => Ok(()),
        Err(failure) => stream.write_all(format!("{FAILED}{}\n", told(&failure)).as_bytes()),
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("control")
}
