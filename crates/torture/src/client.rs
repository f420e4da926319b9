//! One client: a session that lives through all kills, and a znode of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use types::{CreateMode, Op, Read, Write, Zxid};
use wire::reply::{self, MultiResult};

use crate::failure::Failure;
use crate::ledger::{Found, Ledger, Step, create};
use crate::line::{Line, Ticket, invalid};
use crate::random::Random;

/// Requests sent at once, at most.
const PIPELINE_MAX: u64 = 48;

/// A client of the server under torture.
#[derive(Debug)]
pub(crate) struct Client {
    owner: String,
    line: Line,
    ticket: Ticket,
    ledger: Ledger,
    random: Random,
    last_zxid: Zxid,
    /// Writes that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Writes that were not answered, and were found done all the same.
    pub(crate) found_done: u64,
    /// Writes that were not answered, and were not done.
    pub(crate) found_undone: u64,
}

impl Client {
    /// Opens a session and creates its znodes: one that stays, its counter, and an ephemeral one.
    pub(crate) fn start(address: SocketAddr, number: usize, seed: u64) -> Result<Self, Failure> {
        let owner = format!("/c{number}");
        let opened = Line::open(address, None, Zxid::ZERO);
        let opened = opened.map_err(Failure::io("a client can not connect"))?;
        let Some((line, ticket)) = opened else {
            return Err(Failure::SessionLost { owner });
        };
        let mut client = Self {
            ledger: Ledger::new(&owner),
            owner,
            line,
            ticket,
            random: Random::new(seed ^ (number as u64) << 32),
            last_zxid: Zxid::ZERO,
            acknowledged: 0,
            found_done: 0,
            found_undone: 0,
        };
        client.create_own().map_err(Failure::io("a client can not create its znodes"))?;
        Ok(client)
    }

    fn create_own(&mut self) -> io::Result<()> {
        let (counter, alive) = (format!("{}/counter", self.owner), self.alive());
        for (path, mode) in [
            (self.owner.clone(), CreateMode::Persistent),
            (counter, CreateMode::Persistent),
            (alive, CreateMode::Ephemeral),
        ] {
            self.line.push(Op::Write(Write::Create(create(path, 0, mode))));
            self.line.flush()?;
            let (header, _) = self.line.answer()?;
            if header.code != 0 {
                return Err(io::Error::other(format!("refused with {}", header.code)));
            }
        }
        Ok(())
    }

    fn alive(&self) -> String {
        format!("{}-alive", self.owner)
    }

    /// Writes until the server is gone, which may happen once `may_end` is set.
    ///
    /// # Errors
    /// When it answers what it must not, or not at all, or is gone sooner.
    pub(crate) fn write_until_the_end(&mut self, may_end: &AtomicBool) -> Result<(), Failure> {
        loop {
            let count = self.random.below(PIPELINE_MAX) + 1;
            for _ in 0..count {
                let op = self.ledger.ask(&mut self.random);
                self.line.push(op);
            }
            if let Err(error) = self.line.flush() {
                return self.accept_end(error, may_end);
            }
            for _ in 0..count {
                let (header, record) = match self.line.answer() {
                    Ok(answer) => answer,
                    Err(error) => return self.accept_end(error, may_end),
                };
                self.check(header.code, &record)?;
                if header.zxid <= self.last_zxid {
                    let (before, after) = (self.last_zxid, header.zxid);
                    return Err(Failure::ZxidWentBack { owner: self.owner.clone(), before, after });
                }
                self.last_zxid = header.zxid;
                self.ledger.acknowledge(header.zxid);
                self.acknowledged += 1;
            }
        }
    }

    /// A connection is over: as it must be when the server is, or a failure.
    fn accept_end(&self, source: io::Error, may_end: &AtomicBool) -> Result<(), Failure> {
        let is_end = match source.kind() {
            // Something came that is no answer, or nothing came as long as the client waits.
            io::ErrorKind::InvalidData | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                false
            }
            _ => may_end.load(Ordering::Acquire),
        };
        if is_end {
            return Ok(());
        }
        Err(Failure::ConnectionLost { owner: self.owner.clone(), source })
    }

    /// Whether the answer is the one that the oldest request must have.
    fn check(&self, code: i32, record: &[u8]) -> Result<(), Failure> {
        let Some((step, state)) = self.ledger.oldest() else { return Ok(()) };
        let is_right = code == 0
            && match step {
                Step::Append(_) => {
                    reply::decode_path(record).is_ok_and(|path| path == state.next_path())
                }
                Step::Both(_) | Step::Refused(_) => {
                    let failed =
                        |result: &MultiResult<'_>| matches!(result, MultiResult::Failed { .. });
                    let must_fail = matches!(step, Step::Refused(_));
                    reply::decode_multi(record).is_ok_and(|results| {
                        results.len() == 2 && results.iter().all(|it| failed(it) == must_fail)
                    })
                }
                Step::Set(_) | Step::Delete(_) => true,
            };
        if is_right {
            return Ok(());
        }
        let answer = format!("{code} {record:?} to {step:?}");
        Err(Failure::WrongAnswer { owner: self.owner.clone(), answer })
    }

    /// Resumes the session with the server that was started again, and compares everything.
    pub(crate) fn verify(&mut self, address: SocketAddr) -> Result<(), Failure> {
        let reading = Failure::io("a client can not read what it owns");
        let opened = Line::open(address, Some(&self.ticket), self.last_zxid);
        let opened = opened.map_err(Failure::io("a client can not connect again"))?;
        let Some((line, ticket)) = opened else {
            return Err(Failure::SessionLost { owner: self.owner.clone() });
        };
        (self.line, self.ticket) = (line, ticket);
        let (found, ephemerals) = self.read().map_err(reading)?;
        if ephemerals != [self.alive()] {
            return Err(Failure::EphemeralLost { owner: self.owner.clone() });
        }
        let unknown = self.ledger.unknown();
        match self.ledger.settle(&found) {
            Ok(done) => {
                self.found_done += done as u64;
                self.found_undone += (unknown - done) as u64;
                Ok(())
            }
            Err(difference) => Err(Failure::Differs {
                owner: self.owner.clone(),
                acknowledged: self.acknowledged,
                unknown,
                difference,
            }),
        }
    }

    /// Everything below the client's znode, and the paths of its ephemerals.
    fn read(&mut self) -> io::Result<(Found, Vec<String>)> {
        let path = self.owner.clone().into();
        self.line.push(Op::Read(Read::GetChildren { path, watch: false }));
        self.line.push(Op::Read(Read::GetEphemerals { prefix: None }));
        self.line.flush()?;
        let names = reply::decode_children(&self.line.answer()?.1).map_err(invalid)?;
        let ephemerals = reply::decode_children(&self.line.answer()?.1).map_err(invalid)?;
        for name in &names {
            let path = format!("{}/{name}", self.owner).into();
            self.line.push(Op::Read(Read::GetData { path, watch: false }));
        }
        self.line.flush()?;
        let mut found = Found::new();
        for name in names {
            let body = reply::decode_data(&self.line.answer()?.1).map_err(invalid)?;
            found.insert(name, (body.data.unwrap_or_default(), body.stat));
        }
        Ok((found, ephemerals))
    }
}
