//! Takes one step after another on both servers and compares what they answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;

use types::{ErrorCode, Op, Xid};

use crate::answer::Answer;
use crate::ask::{self, Ask, Numbered, Step};
use crate::known::Known;
use crate::plan::{Plan, SESSION_TIMEOUT_MS, SESSIONS};
use crate::side::{self, Side, Until};

/// How many requests and other steps a report looks back.
const HISTORY_LINES: usize = 120;

/// What a run that found nothing has done.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests, handshakes included.
    pub operations: u64,
    /// Watch events.
    pub events: u64,
    /// Requests that were answered with an error.
    pub refusals: u64,
    /// How often a known difference was met and taken out of the comparison.
    pub known: BTreeMap<Known, u64>,
}

impl Tally {
    /// Adds what another run has done.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.events += other.events;
        self.refusals += other.refusals;
        for (known, count) in &other.known {
            *self.known.entry(*known).or_default() += count;
        }
    }
}

/// Why a run ended early.
#[derive(thiserror::Error, Debug)]
pub enum Stop {
    /// The servers differ.
    #[error("{0}")]
    Difference(Box<Difference>),
    /// A server can not be talked to.
    #[error("connection to a server")]
    Connection(#[from] io::Error),
}

/// Two answers to the same step that are not the same.
#[derive(Debug)]
pub struct Difference {
    /// After how many operations.
    pub operations: u64,
    /// The last requests and steps, those of the differing one included.
    history: VecDeque<String>,
    left: Option<Answer>,
    right: Option<Answer>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the servers differ after {} operations", self.operations)?;
        for step in &self.history {
            writeln!(f, "  {}", abbreviated(step))?;
        }
        let text = |answer: &Option<Answer>| {
            answer
                .as_ref()
                .map_or_else(|| "nothing more".to_owned(), |answer| format!("{answer:?}"))
        };
        writeln!(f, "left:  {}", text(&self.left))?;
        write!(f, "right: {}", text(&self.right))
    }
}

/// A run of one plan on two servers.
///
/// Znodes that were there before keep their numbers, so that runs on the same servers have to hand
/// them on from one to the next.
#[derive(Debug)]
pub struct Lockstep {
    plan: Plan,
    sides: [Side; 2],
    history: VecDeque<String>,
    tally: Tally,
    /// The relative zxids of the transactions that closed sessions.
    closings: BTreeSet<i64>,
}

impl Lockstep {
    /// Opens the sessions of a plan on both servers.
    ///
    /// # Errors
    /// When that fails or the servers already differ.
    pub fn begin(seed: u64, sides: [Side; 2]) -> Result<Self, Stop> {
        let mut run = Self {
            plan: Plan::new(seed),
            sides,
            history: VecDeque::new(),
            tally: Tally::default(),
            closings: BTreeSet::new(),
        };
        for session in 0..SESSIONS {
            run.open(session, SESSION_TIMEOUT_MS)?;
        }
        run.milestone(0)?;
        for side in &mut run.sides {
            let at = side.last_zxid(0);
            side.normalizer.zxids.restart(at, 0);
        }
        let first = run.plan.first_step();
        run.take(&first)?;
        Ok(run)
    }

    /// Goes on until `operations` are done, then closes the sessions. Returns what was done, and the
    /// servers for another run.
    ///
    /// # Errors
    /// At the first difference.
    pub fn run(mut self, operations: u64) -> Result<(Tally, [Side; 2]), Stop> {
        while self.tally.operations < operations {
            let step = self.plan.next_step();
            self.take(&step)?;
        }
        for session in 0..SESSIONS {
            self.close(session)?;
        }
        for side in &mut self.sides {
            side.forget_sessions();
        }
        Ok((self.tally, self.sides))
    }

    fn take(&mut self, step: &Step) -> Result<(), Stop> {
        self.remember(step);
        match step {
            Step::Burst { session, requests } => self.burst(*session, requests),
            Step::Aside { session, request } => {
                self.drain(*session)?;
                self.burst(*session, std::slice::from_ref(request))
            }
            Step::CatchUp { session, request } => self.catch_up(*session, request),
            Step::Last { session, request } => {
                self.drain(*session)?;
                self.send(*session, std::slice::from_ref(request))?;
                self.expect(*session, Until::Closed)?;
                self.come_back(*session)
            }
            Step::Break { session, bytes, .. } => {
                self.drain(*session)?;
                for side in &mut self.sides {
                    side.send_bytes(*session, bytes)?;
                }
                self.expect(*session, Until::Closed)?;
                self.come_back(*session)
            }
            Step::Reconnect { session, manner } => {
                self.drain(*session)?;
                let [left, right] = &mut self.sides;
                let answers =
                    [left.reconnect(*session, *manner)?, right.reconnect(*session, *manner)?];
                self.compare(answers).map(drop)
            }
            Step::Renew { session, timeout_ms } => {
                self.close(*session)?;
                self.open(*session, *timeout_ms)
            }
        }
    }

    fn burst(&mut self, session: usize, requests: &[Numbered]) -> Result<(), Stop> {
        let without_place =
            requests.iter().any(|request| matches!(request.ask, Ask::RawWithoutPlace { .. }));
        self.send(session, requests)?;
        if !without_place {
            return if self.expect(session, Until::Answered)? {
                self.come_back(session)
            } else {
                Ok(())
            };
        }
        *self.tally.known.entry(Known::ZxidOfUndecodableWrite).or_default() += 1;
        let mut answers = self.read(session, Until::Answered)?;
        for answer in answers.iter_mut().flatten() {
            if let Answer::Reply { zxid, .. } = answer {
                *zxid = 0;
            }
        }
        self.compare(answers)?;
        self.align(session)
    }

    /// Sets watches again. What only one server tells must be about a znode that the client may not
    /// read.
    fn catch_up(&mut self, session: usize, request: &Numbered) -> Result<(), Stop> {
        self.send(session, std::slice::from_ref(request))?;
        let mut answers = self.read(session, Until::Answered)?;
        let told = answers.each_ref().map(|side| side.iter().filter_map(catch_up_key).collect());
        let [left, right]: &[BTreeSet<_>; 2] = &told;
        let hidden: BTreeSet<_> = left.symmetric_difference(right).cloned().collect();
        for side in &mut answers {
            side.retain(|answer| catch_up_key(answer).is_none_or(|key| !hidden.contains(&key)));
        }
        self.compare(answers)?;
        for (path, _) in hidden {
            self.expect_unreadable(session, path)?;
            *self.tally.known.entry(Known::CatchUpOfUnreadable).or_default() += 1;
        }
        Ok(())
    }

    fn expect_unreadable(&mut self, session: usize, path: String) -> Result<(), Stop> {
        let probe = ask::exists(self.plan.next_xid(session), path.into());
        self.send(session, &[probe])?;
        let [left, right] = self.read(session, Until::Answered)?;
        let refused = |answers: &[Answer]| matches!(answers.last(), Some(Answer::Reply { code, .. }) if *code == ErrorCode::NoAuth.raw());
        if refused(&left) && refused(&right) {
            self.compare([left, right]).map(drop)
        } else {
            Err(self.difference(left.into_iter().next_back(), right.into_iter().next_back()))
        }
    }

    /// Makes both servers' zxids count from the same number from here on.
    fn align(&mut self, session: usize) -> Result<(), Stop> {
        self.milestone(session)?;
        let relative = |side: &Side| side.normalizer.zxids.relative(side.last_zxid(session));
        let highest = relative(&self.sides[0]).max(relative(&self.sides[1]));
        for side in &mut self.sides {
            let at = side.last_zxid(session);
            side.normalizer.zxids.restart(at, highest);
        }
        Ok(())
    }

    /// Lets a session see a zxid of each server that counts as the same moment. The answers are not
    /// compared: where this is needed, the zxids in them are not comparable yet.
    fn milestone(&mut self, session: usize) -> Result<(), Stop> {
        let milestone = ask::milestone(self.plan.next_xid(session));
        self.send(session, &[milestone])?;
        self.read(session, Until::Answered).map(drop)
    }

    fn open(&mut self, session: usize, timeout_ms: i32) -> Result<(), Stop> {
        self.tally.operations += 1;
        let [left, right] = &mut self.sides;
        let answers = [left.open(session, timeout_ms)?, right.open(session, timeout_ms)?];
        self.compare(answers).map(drop)
    }

    fn close(&mut self, session: usize) -> Result<(), Stop> {
        let xid = self.plan.next_xid(session);
        self.send(session, &[Numbered { xid, ask: Ask::Op(Op::CloseSession) }])?;
        let answers = self.read(session, Until::Closed)?;
        let zxids = answers[0].iter().filter_map(|answer| match answer {
            Answer::Reply { xid: of, zxid, .. } if *of == xid => Some(*zxid),
            Answer::Reply { .. }
            | Answer::Connected { .. }
            | Answer::Event { .. }
            | Answer::Unreadable { .. }
            | Answer::Closed
            | Answer::Silent => None,
        });
        self.closings.extend(zxids);
        self.compare(answers).map(drop)
    }

    /// Resumes a session whose connection the server has closed.
    fn come_back(&mut self, session: usize) -> Result<(), Stop> {
        self.take(&Step::Reconnect { session, manner: ask::Manner::Proper })
    }

    /// Takes all events off a connection. Requests that wait for nothing, and the end of the
    /// connection, may come before events that are under way.
    fn drain(&mut self, session: usize) -> Result<(), Stop> {
        let read = ask::exists(self.plan.next_xid(session), "/".into());
        self.send(session, &[read])?;
        self.expect(session, Until::Answered).map(drop)
    }

    fn send(&mut self, session: usize, requests: &[Numbered]) -> Result<(), Stop> {
        self.tally.operations += requests.len() as u64;
        for side in &mut self.sides {
            side.send(session, requests)?;
        }
        Ok(())
    }

    fn read(&mut self, session: usize, until: Until) -> Result<[Vec<Answer>; 2], Stop> {
        let [left, right] = &mut self.sides;
        Ok([left.read(session, until)?, right.read(session, until)?])
    }

    /// Reads and compares; returns whether the connection is over.
    fn expect(&mut self, session: usize, until: Until) -> Result<bool, Stop> {
        let answers = self.read(session, until)?;
        let over = self.compare(answers)?;
        Ok(over && until == Until::Answered)
    }

    /// Compares answer by answer; returns whether the connection is over.
    fn compare(&mut self, mut answers: [Vec<Answer>; 2]) -> Result<bool, Stop> {
        for side in &mut answers {
            self.sort_events_of_closings(side);
        }
        let [left, right] = answers;
        let over = side::is_over(&left);
        self.count(&left);
        let mut pairs = (left.into_iter(), right.into_iter());
        loop {
            let (left, right) = (pairs.0.next(), pairs.1.next());
            if left.is_none() && right.is_none() {
                return Ok(over);
            }
            if left != right {
                return Err(self.difference(left, right));
            }
        }
    }

    fn difference(&self, left: Option<Answer>, right: Option<Answer>) -> Stop {
        Stop::Difference(Box::new(Difference {
            operations: self.tally.operations,
            history: self.history.clone(),
            left,
            right,
        }))
    }

    fn count(&mut self, answers: &[Answer]) {
        for answer in answers {
            match answer {
                Answer::Event { .. } => self.tally.events += 1,
                Answer::Reply { xid, code, .. } => {
                    self.tally.refusals += u64::from(*code != 0);
                    if *xid == Xid::PING {
                        *self.tally.known.entry(Known::ZxidOfPing).or_default() += 1;
                    }
                }
                Answer::Connected { .. }
                | Answer::Unreadable { .. }
                | Answer::Closed
                | Answer::Silent => {}
            }
        }
    }

    fn sort_events_of_closings(&mut self, answers: &mut [Answer]) {
        let closing =
            |answer: &Answer| event_zxid(answer).filter(|zxid| self.closings.contains(zxid));
        let same = |a: &Answer, b: &Answer| closing(a).is_some() && closing(a) == closing(b);
        for run in answers.chunk_by_mut(same) {
            if run.len() > 1 {
                run.sort_by_key(event_key);
                *self.tally.known.entry(Known::OrderWithinClosingSession).or_default() += 1;
            }
        }
    }

    fn remember(&mut self, step: &Step) {
        let lines = match step {
            Step::Burst { session, requests } => {
                requests.iter().map(|request| format!("session {session}: {request:?}")).collect()
            }
            Step::Aside { .. }
            | Step::CatchUp { .. }
            | Step::Last { .. }
            | Step::Break { .. }
            | Step::Reconnect { .. }
            | Step::Renew { .. } => {
                vec![format!("{step:?}")]
            }
        };
        self.history.extend(lines);
        let surplus = self.history.len().saturating_sub(HISTORY_LINES);
        self.history.drain(..surplus);
    }
}

/// Abbreviates runs of the same number, which is how the data of znodes is printed.
fn abbreviated(text: &str) -> String {
    let mut words: Vec<(&str, usize)> = Vec::new();
    for word in text.split(", ") {
        match words.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => words.push((word, 1)),
        }
    }
    let words = words.into_iter().map(|(word, count)| match count {
        1 => word.to_owned(),
        _ => format!("{word} ({count} times)"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What tells an event of a catch-up from others; `None` for anything else.
fn catch_up_key(answer: &Answer) -> Option<(String, i32)> {
    event_key(answer).filter(|_| event_zxid(answer).is_none())
}

fn event_zxid(answer: &Answer) -> Option<i64> {
    match answer {
        Answer::Event { zxid, .. } => *zxid,
        Answer::Connected { .. }
        | Answer::Reply { .. }
        | Answer::Unreadable { .. }
        | Answer::Closed
        | Answer::Silent => None,
    }
}

fn event_key(answer: &Answer) -> Option<(String, i32)> {
    match answer {
        Answer::Event { kind, path, .. } => Some((path.clone(), *kind as i32)),
        Answer::Connected { .. }
        | Answer::Reply { .. }
        | Answer::Unreadable { .. }
        | Answer::Closed
        | Answer::Silent => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use types::EventKind;

    use super::*;

    fn event(zxid: i64, path: &str) -> Answer {
        Answer::Event { zxid: Some(zxid), kind: EventKind::NodeDeleted, path: path.to_owned() }
    }

    fn run() -> Lockstep {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        Lockstep {
            plan: Plan::new(1),
            sides: [Side::new(nowhere), Side::new(nowhere)],
            history: VecDeque::new(),
            tally: Tally::default(),
            closings: BTreeSet::from([7]),
        }
    }

    #[test]
    fn events_of_one_closing_compare_in_any_order() {
        let answers = [
            vec![event(7, "/a"), event(7, "/b"), event(8, "/c")],
            vec![event(7, "/b"), event(7, "/a"), event(8, "/c")],
        ];
        assert!(!run().compare(answers).unwrap());
    }

    #[test]
    fn events_of_other_transactions_compare_in_order() {
        let answers = [vec![event(8, "/a"), event(8, "/b")], vec![event(8, "/b"), event(8, "/a")]];
        let Err(Stop::Difference(difference)) = run().compare(answers) else {
            panic!("the order was ignored");
        };
        assert_eq!(difference.left, Some(event(8, "/a")));
        assert_eq!(difference.right, Some(event(8, "/b")));
    }

    #[test]
    fn an_answer_too_many_is_a_difference() {
        let answers = [vec![event(8, "/a")], vec![event(8, "/a"), Answer::Closed]];
        let Err(Stop::Difference(difference)) = run().compare(answers) else {
            panic!("the surplus was ignored");
        };
        assert_eq!((difference.left, difference.right), (None, Some(Answer::Closed)));
    }

    #[test]
    fn long_data_is_abbreviated() {
        assert_eq!(
            abbreviated("data: [97, 97, 97, 97], version: 1"),
            "data: [97, 97 (2 times), 97], version: 1"
        );
    }
}
