//! What the server says, on standard error, without ever waiting for whoever reads it.
//!
//! Threads that serve clients leave their lines in a buffer; one thread writes them. When the reader
//! hangs, as a pipe to a paused program does, the buffer fills and further lines are dropped and
//! counted: a server must not stop because of its log.
//!
//! A panic is told in a line as well, since a release build ends with it: [`tell_panics`].

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::error;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that wait to be written. A minute of a busy day, and little beside a tree.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long the end of the process waits until everything is written.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Where lines are left. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something waits, or nothing does any longer.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Lines that there was no room for since the last that there was.
    dropped: u64,
    /// The thread has lines that it has not written.
    is_writing: bool,
}

impl LogWriter {
    /// One whose lines go to `out`, by a thread of its own that lives as long as the process.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self(Arc::default());
        let shared = Arc::clone(&writer.0);
        thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || shared.write_all(out))?;
        Ok(writer)
    }

    /// Waits until everything is written, but not for long: whoever reads it may hang.
    pub(crate) fn flush(&self) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), FLUSH_MAX, is_busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shared {
    fn put(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            state.dropped += 1;
            return;
        }
        if let dropped @ 1.. = std::mem::take(&mut state.dropped) {
            let told =
                format!("... {dropped} lines are missing here, as standard error was not read\n");
            state.waiting.extend_from_slice(told.as_bytes());
        }
        state.waiting.extend_from_slice(line);
        self.changed.notify_all();
    }

    fn write_all(&self, mut out: impl Write) -> ! {
        let mut lines = Vec::new();
        loop {
            let state = self.lock();
            let waits = self.changed.wait_while(state, |state| state.waiting.is_empty());
            let mut state = waits.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut state.waiting, &mut lines);
            state.is_writing = true;
            drop(state);
            // If nobody is there to read, there is nobody to tell.
            out.write_all(&lines).and_then(|()| out.flush()).unwrap_or_default();
            lines.clear();
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// What is in it is whole, whatever became of who had it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// The writer of one line, which comes in one piece.
#[derive(Debug)]
pub(crate) struct Line<'a>(&'a Shared);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets every panic be a line of the log, which is written before the process ends. With
/// `RUST_BACKTRACE=1` it tells the way to it.
pub(crate) fn tell_panics(log: LogWriter) {
    panic::set_hook(Box::new(move |panicked: &PanicHookInfo<'_>| {
        let thread = thread::current();
        let at = panicked.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(&backtrace);
        let backtrace = backtrace.map(tracing::field::display);
        let message = message(panicked.payload());
        error!(thread = thread.name().unwrap_or_default(), %at, backtrace,
            "{message}: a defect, please report it; the server ends, what it acknowledged is durable");
        log.flush();
    }));
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    /// No machine needs so many times what the end of a process waits for.
    const FLUSHES_MAX: usize = 60;

    /// Takes a buffer whenever it is let.
    struct Reader {
        may_take: mpsc::Receiver<()>,
        taken: mpsc::Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may_take.recv().map_err(io::Error::other)?;
            self.taken
                .send(String::from_utf8(bytes.to_vec()).unwrap())
                .map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Waits until everything is written, however long that takes.
    fn flush(log: &LogWriter) {
        let is_busy = || {
            let state = log.0.lock();
            state.is_writing || !state.waiting.is_empty()
        };
        for _ in 0..FLUSHES_MAX {
            let begun = Instant::now();
            log.flush();
            if !is_busy() {
                return;
            }
            assert!(begun.elapsed() >= FLUSH_MAX, "it is not waited for");
        }
        panic!("it is never written");
    }

    fn put(log: &LogWriter, line: &str) {
        log.make_writer().write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn lines_arrive_in_order_and_are_written_before_the_end() {
        let (let_take, may_take) = mpsc::channel();
        let (taken, lines) = mpsc::channel();
        let log = LogWriter::start(Reader { may_take, taken }).unwrap();
        (0..100).for_each(|_| let_take.send(()).unwrap());
        let said: String = (0..100).map(|number| format!("line {number}\n")).collect();
        said.lines().for_each(|line| put(&log, &format!("{line}\n")));
        flush(&log);
        assert_eq!(lines.try_iter().collect::<String>(), said);
    }

    #[test]
    fn who_does_not_read_misses_lines_and_is_told_how_many() {
        let (let_take, may_take) = mpsc::channel();
        let (taken, lines) = mpsc::channel();
        let log = LogWriter::start(Reader { may_take, taken }).unwrap();
        let line = "x".repeat(1023) + "\n";
        let count = 3 * WAITING_BYTES_MAX / line.len();
        (0..count).for_each(|_| put(&log, &line));
        log.flush();
        assert!(lines.try_recv().is_err(), "nobody has read, and nobody has waited for that");
        (0..10).for_each(|_| let_take.send(()).unwrap());
        flush(&log);
        put(&log, "the last\n");
        flush(&log);
        let said: String = lines.try_iter().collect();
        assert!(said.ends_with("\nthe last\n"), "it ends with {:?}", said.lines().last());
        // How often it is told depends on when the thread took its first lines.
        let missing: usize = said.lines().filter_map(missing_lines).sum();
        let written = said.lines().filter(|it| it.len() == 1023).count();
        assert!(missing > 0 && written >= count / 3, "{written} were written, {missing} were not");
        assert_eq!(written + missing, count);
    }

    fn missing_lines(line: &str) -> Option<usize> {
        line.strip_prefix("... ")?.split_once(" lines are missing here")?.0.parse().ok()
    }
}
