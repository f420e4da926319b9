//! `reefkeeper playground`: an ensemble on this machine, for trying and for tests.
//!
//! The servers are processes of this binary. One thread owns them; orders reach it from the prompt,
//! over the control socket of the directory, and from signals, all as [`Event`]s of one queue.
//!
//! ```text
//!   prompt ──────────┐
//!   control socket ──┼─> Event ─> Playground ─> processes
//!   signals ─────────┘
//! ```
//!
//! Whatever ends the playground, its servers end with it: each has a pipe from it as its standard
//! input, and stops when that is closed.

mod control;
mod error;
mod order;
mod plan;
mod process;
mod srvr;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::iterator::Signals;

use crate::exit::{FAILED, give_up, told};
use crate::{serve, signals};
use control::Control;
use error::PlaygroundError;
use order::{Order, Target};
use plan::{Plan, Wish};
use process::Member;
use srvr::State;

/// How its last line begins when it fails.
const COMMAND: &str = "playground";
/// How often it looks whether a server has ended by itself.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it looks whether the ensemble works, at first.
const LOOK_FOR_ENSEMBLE_EVERY: Duration = Duration::from_millis(20);
/// How long it waits for the ensemble before it shows what there is.
const START_MAX: Duration = Duration::from_secs(20);

/// Words of the subcommand.
#[derive(Args)]
pub(crate) struct PlaygroundArgs {
    /// How many servers vote; 3, if the directory does not say otherwise.
    #[arg(short = 'n', long = "servers", value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=99))]
    servers: Option<u8>,
    /// How many observe beside; none, if the directory does not say otherwise.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(..=99))]
    observers: Option<u8>,
    /// Where data, logs and ports are kept for the next time. Without it all of that is temporary.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// The first port for clients; the servers take the free ones from there on. 0: any.
    #[arg(long, default_value_t = 2181)]
    port: u16,
    /// A line for the configuration of every server; for a new playground.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// What a running playground shall do; without it, one is started.
    #[command(subcommand)]
    order: Option<Order>,
}

/// Starts a playground, or tells one that runs what to do.
pub(crate) fn run(args: PlaygroundArgs) -> ExitCode {
    let done = match args.order {
        Some(ref order) => tell(&args, order),
        None => Playground::start(args).and_then(Playground::run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => give_up(COMMAND, &failure, FAILED),
    }
}

/// Runs one of its servers: as `server` does, and until the playground is gone.
pub(crate) fn run_member(config: &str) -> ExitCode {
    let playground_is_gone = || match io::copy(&mut io::stdin().lock(), &mut io::sink()) {
        Ok(_) => "the playground is gone".to_owned(),
        Err(failure) => format!("the playground can not be heard: {failure}"),
    };
    serve::run(vec![config.to_owned()], Some(playground_is_gone))
}

/// Gives an order to the playground of a directory, and shows its answer.
fn tell(args: &PlaygroundArgs, order: &Order) -> Result<(), PlaygroundError> {
    if args.servers.is_some() || args.observers.is_some() || !args.settings.is_empty() {
        return Err(PlaygroundError::RunsAlready);
    }
    let dir = args.dir.clone().unwrap_or_else(plan::temporary_dir);
    match control::tell(&dir, &order.words()) {
        Err(PlaygroundError::Ending) if *order == Order::Quit => Ok(()),
        answer => show(&answer?),
    }
}

/// What the one who owns the servers is told.
enum Event {
    /// Somebody wants something, and waits for the answer.
    Order(Order, Sender<Result<String, PlaygroundError>>),
    /// The process shall end.
    End,
}

/// A running ensemble.
struct Playground {
    plan: Plan,
    members: Vec<Member>,
    events: Receiver<Event>,
    /// Until the ensemble has been shown: where the prompt will put orders.
    for_prompt: Option<Sender<Event>>,
    begun: Instant,
    /// Removed when it is dropped.
    _control: Control,
}

impl Playground {
    /// Starts all servers.
    fn start(args: PlaygroundArgs) -> Result<Self, PlaygroundError> {
        let wish = Wish {
            voters: args.servers,
            observers: args.observers,
            first_port: args.port,
            settings: args.settings,
        };
        let (sender, events) = mpsc::channel();
        let dir = args.dir.unwrap_or_else(plan::temporary_dir);
        if control::is_alive(&dir) {
            return Err(PlaygroundError::DirectoryInUse { dir });
        }
        let plan = Plan::make(dir, &wish)?;
        let control = Control::open(&plan.dir, sender.clone())?;
        let signals = signals::that_end().map_err(PlaygroundError::System)?;
        end_at(signals, sender.clone());
        let members = plan.places.iter().cloned().map(Member::new).collect();
        let begun = Instant::now();
        let for_prompt = Some(sender);
        let mut playground = Self { plan, members, events, for_prompt, begun, _control: control };
        for member in &mut playground.members {
            member.start()?;
        }
        Ok(playground)
    }

    /// Obeys until it is told to end, and ends all servers.
    fn run(mut self) -> Result<(), PlaygroundError> {
        // Whoever waits for the end learns of it when everything is done.
        let _waits_for_the_end = loop {
            let look_every =
                if self.for_prompt.is_some() { LOOK_FOR_ENSEMBLE_EVERY } else { LOOK_EVERY };
            match self.events.recv_timeout(look_every) {
                Ok(Event::Order(Order::Quit, answer)) => break Some(answer),
                Ok(Event::Order(order, answer)) => {
                    let done = self.obey(&order);
                    // Who asked may have gone.
                    answer.send(done).unwrap_or_default();
                }
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => break None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            for member in &mut self.members {
                if let Some(how) = member.ended_by_itself()? {
                    let (id, log) = (member.place.id, member.place.log());
                    let last = member.last_lines(1)?;
                    show(&format!("server {id} ended ({how}); see {log}\n{last}"))?;
                }
            }
            self.greet()?;
        };
        self.end();
        self.plan.remove_if_temporary()
    }

    /// Does what is wanted, and tells what came of it.
    fn obey(&mut self, order: &Order) -> Result<String, PlaygroundError> {
        match order {
            Order::Status => Ok(self.status()),
            Order::Log { server, lines } => self.member(*server)?.last_lines(*lines),
            Order::Start { servers } => self.each(servers, |member| {
                member.start()?;
                member.watch(|state| *state != State::Starting)?;
                Ok("started".to_owned())
            }),
            Order::Stop { servers } => {
                self.each(servers, |member| member.stop().map(|()| "stopped".to_owned()))
            }
            Order::Kill { servers } => {
                self.each(servers, |member| member.kill().map(|()| "killed".to_owned()))
            }
            Order::Restart { servers } => self.each(servers, |member| {
                member.stop()?;
                member.start()?;
                // With it there may be too few of them to stop another one.
                let state = member.watch(|state| matches!(state, State::Serving(_)))?;
                Ok(format!("restarted: {state}"))
            }),
            Order::Pause { servers } => {
                self.each(servers, |member| member.pause().map(|()| "paused".to_owned()))
            }
            Order::Resume { servers } => {
                self.each(servers, |member| member.resume().map(|()| "goes on".to_owned()))
            }
            // Not obeyed but the end of obeying.
            Order::Quit => Ok(String::new()),
        }
    }

    /// Does something with the servers that are meant, one after the other, up to the first that can
    /// not. Whoever is meant only as one of several, and is there already, is left out.
    fn each(
        &mut self,
        targets: &[Target],
        act: impl Fn(&mut Member) -> Result<String, PlaygroundError>,
    ) -> Result<String, PlaygroundError> {
        let states: Vec<State> = self.members.iter_mut().map(Member::state).collect();
        let mut done = Vec::new();
        for target in targets {
            let mut is_anybody_meant = false;
            for (member, state) in self.members.iter_mut().zip(&states) {
                let id = member.place.id;
                if !target.means(id, state) {
                    continue;
                }
                is_anybody_meant = true;
                match act(member) {
                    Ok(how) => done.push(format!("server {id} {how}")),
                    Err(PlaygroundError::Running { .. } | PlaygroundError::Stopped { .. })
                        if *target == Target::All => {}
                    Err(failure) => return Err(failure.after(&done)),
                }
            }
            if !is_anybody_meant {
                let target = target.to_string();
                return Err(PlaygroundError::NoSuchServer { target }.after(&done));
            }
        }
        Ok(done.into_iter().map(|line| line + "\n").collect())
    }

    fn member(&self, id: u8) -> Result<&Member, PlaygroundError> {
        let found = self.members.iter().find(|it| it.place.id == id);
        found.ok_or_else(|| PlaygroundError::NoSuchServer { target: id.to_string() })
    }

    /// The table of all servers.
    fn status(&mut self) -> String {
        let mut table =
            format!("{:<7} {:<10} {:<22} {:<8} log\n", "server", "state", "clients", "process");
        for member in &mut self.members {
            let state = member.state().to_string();
            let process = member.process_id().map_or_else(|| "-".to_owned(), |id| id.to_string());
            let place = &member.place;
            let (clients, log) = (place.clients(), place.log());
            table += &format!("{:<7} {state:<10} {clients:<22} {process:<8} {log}\n", place.id);
        }
        table
    }

    /// Shows how to use the ensemble, once, when it works or takes long, and listens at the prompt.
    fn greet(&mut self) -> Result<(), PlaygroundError> {
        let may_take_longer = self.begun.elapsed() < START_MAX;
        if self.for_prompt.is_none()
            || may_take_longer
                && self
                    .members
                    .iter_mut()
                    .any(|it| matches!(it.state(), State::Starting | State::Looking))
        {
            return Ok(());
        }
        let Some(events) = self.for_prompt.take() else { return Ok(()) };
        let connection = self.plan.connection_string();
        let status = self.status();
        let dir = self.plan.dir.display();
        let kept = if self.plan.is_temporary { "removed in the end" } else { "kept" };
        let mut words = format!("playground in {dir} ({kept})\n\n{status}\n");
        words += &format!("connect with: reefkeeper shell -server {connection}\n");
        words += "`help` lists the commands, also for `reefkeeper playground COMMAND` elsewhere";
        if !self.plan.is_temporary {
            words += &format!(" (with --dir {dir})");
        }
        show(&format!("{words}; Ctrl-C ends all.\n"))?;
        thread::spawn(move || prompt(&events));
        Ok(())
    }

    fn end(&mut self) {
        for member in &mut self.members {
            member.ask_to_stop();
        }
        for member in &mut self.members {
            match member.stop() {
                Ok(()) | Err(PlaygroundError::Stopped { .. }) => {}
                Err(failure) => eprintln!("reefkeeper {COMMAND}: {}", told(&failure)),
            }
        }
    }
}

/// Ends the playground at the first signal.
fn end_at(mut signals: Signals, events: Sender<Event>) {
    thread::spawn(move || {
        for _ in signals.forever() {
            if events.send(Event::End).is_err() {
                return;
            }
        }
    });
}

/// Reads orders from standard input until that ends; at a terminal its end is the end of all.
fn prompt(events: &Sender<Event>) {
    let is_terminal = io::stdin().is_terminal();
    let ask = || if is_terminal { show("> ") } else { Ok(()) };
    if ask().is_err() {
        return;
    }
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let answer = match Order::parse(&line) {
            Ok(None) => Ok(String::new()),
            Ok(Some(order)) => order_and_wait(events, order),
            // Help comes this way too.
            Err(words) => Ok(words),
        };
        let answer = answer.unwrap_or_else(|failure| format!("{}\n", told(&failure)));
        if show(&answer).and_then(|()| ask()).is_err() {
            return;
        }
    }
    if is_terminal {
        // If nobody hears it, all has ended.
        events.send(Event::End).unwrap_or_default();
    }
}

/// Gives an order to the owner of the servers, and waits until it is done.
fn order_and_wait(events: &Sender<Event>, order: Order) -> Result<String, PlaygroundError> {
    let (sender, answer) = mpsc::channel();
    events.send(Event::Order(order, sender)).map_err(|_| PlaygroundError::Ending)?;
    answer.recv().map_err(|_| PlaygroundError::Ending)?
}

fn show(words: &str) -> Result<(), PlaygroundError> {
    let mut out = io::stdout().lock();
    out.write_all(words.as_bytes()).and_then(|()| out.flush()).map_err(PlaygroundError::Output)
}
