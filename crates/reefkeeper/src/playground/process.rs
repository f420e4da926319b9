//! One server of a playground.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use rustix::process::{Pid, Signal, kill_process};

use super::error::PlaygroundError;
use super::plan::Place;
use super::srvr::{self, State};

/// How long a server may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How long a server that was started is looked at.
const START_MAX: Duration = Duration::from_secs(5);
/// Between two looks at a server.
const PAUSE: Duration = Duration::from_millis(5);

/// A server, running or not.
pub(crate) struct Member {
    /// Its files and ports.
    pub(crate) place: Place,
    process: Option<Child>,
    /// What it is while its process does not run, or hangs.
    rest: State,
}

impl Member {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, process: None, rest: State::Stopped }
    }

    /// Starts its process; what that says is appended to the log.
    pub(crate) fn start(&mut self) -> Result<(), PlaygroundError> {
        self.ended_by_itself()?;
        if self.process.is_some() {
            return Err(PlaygroundError::Running { id: self.place.id });
        }
        let path = self.place.log_file();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.map_err(|source| PlaygroundError::File { path, source })?;
        let mut command = Command::new(env::current_exe().map_err(|it| self.failed(it))?);
        command.arg("playground-member").arg(self.place.config_file());
        // Ctrl-C is for the playground, which ends the servers in its own way.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().map_err(|it| self.failed(it))?);
        self.rest = State::Stopped;
        Ok(())
    }

    /// Looks at it after a start, until it does what is wanted or time is up; returns what it does then.
    /// Fails if it has ended instead.
    pub(crate) fn watch(
        &mut self,
        is_wanted: impl Fn(&State) -> bool,
    ) -> Result<State, PlaygroundError> {
        let begun = Instant::now();
        loop {
            if let Some(how) = self.ended_by_itself()? {
                let said = self.last_lines(1)?.trim_end().to_owned();
                return Err(PlaygroundError::Ended { id: self.place.id, how, said });
            }
            let state = self.state();
            if is_wanted(&state) || begun.elapsed() > START_MAX {
                return Ok(state);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Tells it to stop, and does not wait.
    pub(crate) fn ask_to_stop(&mut self) {
        // Whoever does not hear it is killed by `stop`.
        if self.signal(Signal::TERM).is_ok() && self.rest == State::Paused {
            self.rest = State::Stopped;
            self.signal(Signal::CONT).unwrap_or_default();
        }
    }

    /// Lets it end; kills it if it does not.
    pub(crate) fn stop(&mut self) -> Result<(), PlaygroundError> {
        if self.process.is_none() {
            return Err(PlaygroundError::Stopped { id: self.place.id });
        }
        self.ask_to_stop();
        let begun = Instant::now();
        while let Some(process) = &mut self.process
            && process.try_wait().map_err(|source| failed(&self.place, source))?.is_none()
        {
            if begun.elapsed() > STOP_MAX {
                return self.kill();
            }
            thread::sleep(PAUSE);
        }
        self.process = None;
        self.rest = State::Stopped;
        Ok(())
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) -> Result<(), PlaygroundError> {
        let id = self.place.id;
        let mut process = self.process.take().ok_or(PlaygroundError::Stopped { id })?;
        self.rest = State::Killed;
        process
            .kill()
            .and_then(|()| process.wait())
            .map_err(|source| failed(&self.place, source))?;
        Ok(())
    }

    /// Lets its process hang.
    pub(crate) fn pause(&mut self) -> Result<(), PlaygroundError> {
        self.signal(Signal::STOP)?;
        self.rest = State::Paused;
        Ok(())
    }

    /// Lets its process go on.
    pub(crate) fn resume(&mut self) -> Result<(), PlaygroundError> {
        if self.process.is_some() && self.rest != State::Paused {
            return Err(PlaygroundError::Running { id: self.place.id });
        }
        self.signal(Signal::CONT)?;
        self.rest = State::Stopped;
        Ok(())
    }

    /// How it ended, once, if nobody told it to.
    pub(crate) fn ended_by_itself(&mut self) -> Result<Option<ExitStatus>, PlaygroundError> {
        let Some(process) = &mut self.process else { return Ok(None) };
        let ended = process.try_wait().map_err(|source| failed(&self.place, source))?;
        if ended.is_some() {
            self.process = None;
            self.rest = State::Ended;
        }
        Ok(ended)
    }

    /// What it does now.
    pub(crate) fn state(&mut self) -> State {
        match (&self.process, &self.rest) {
            (Some(_), State::Paused) | (None, _) => self.rest.clone(),
            (Some(_), _) => srvr::ask(self.place.client_address()),
        }
    }

    /// The number of its process, if it runs.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// The end of its log.
    pub(crate) fn last_lines(&self, count: usize) -> Result<String, PlaygroundError> {
        let path = self.place.log_file();
        let text = fs::read(&path).map_err(|source| PlaygroundError::File { path, source })?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(count)..].iter();
        Ok(last.fold(String::new(), |text, line| text + line + "\n"))
    }

    fn signal(&self, signal: Signal) -> Result<(), PlaygroundError> {
        let id = self.place.id;
        let process = self.process.as_ref().ok_or(PlaygroundError::Stopped { id })?;
        kill_process(Pid::from_child(process), signal).map_err(|it| self.failed(it.into()))
    }

    fn failed(&self, source: io::Error) -> PlaygroundError {
        failed(&self.place, source)
    }
}

fn failed(place: &Place, source: io::Error) -> PlaygroundError {
    PlaygroundError::Process { id: place.id, source }
}
