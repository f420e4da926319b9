//! The znodes that a workload works on: put in place before it runs, removed afterwards.
//!
//! ```text
//! /bench                       stays
//! /bench/<session>             one for each cell, named by the session that made it
//! /bench/<session>/k00000123   what get, set, exists, mixed and multi choose from
//! /bench/<session>/n00000123   what create and create-delete make
//! /bench/<session>/0012/3456   what load makes, and leaves
//! ```
//!
//! `children` lists `/bench/<session>` itself. A run that fails leaves its znodes.

use std::net::SocketAddr;
use std::time::Instant;

use types::{MultiOp, Op, Read, Write};

use crate::control::{Control, create};
use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::limits;
use crate::mix::{Choice, Mix, Numbers};
use crate::options::{Options, Refusals};
use crate::pace::Pace;
use crate::recording::Recording;
use crate::template::{HALF, NUMBER, Template};
use crate::workload::Workload;

/// Above all that is ever created.
const ROOT: &str = "/bench";

/// Bytes of a length or count.
const COUNT_BYTES: usize = 4;
/// Bytes of a Stat record.
const STAT_BYTES: usize = 68;
/// Bytes between the results of a multi, and after the last.
const MARK_BYTES: usize = 9;

/// The znodes of one cell.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    server: SocketAddr,
    name: String,
    workload: Workload,
    /// The parent of all.
    root: String,
    value: Vec<u8>,
    keys: u32,
    children: u32,
    reads_per_write: u32,
    multi_ops: usize,
    seed: u64,
}

impl Fixture {
    /// Puts the znodes in place that `workload` needs.
    pub(crate) fn prepare(
        server: SocketAddr,
        options: &Options,
        workload: Workload,
    ) -> Result<Self, Error> {
        let mut control = Control::open(server, &options.server)?;
        let fixture = Self {
            server,
            name: options.server.clone(),
            workload,
            root: format!("{ROOT}/{:016x}", control.session().0),
            value: vec![b'v'; options.value_bytes],
            keys: options.keys,
            children: options.children,
            reads_per_write: options.reads_per_write,
            multi_ops: options.multi_ops,
            seed: options.seed,
        };
        if workload != Workload::Idle {
            control.create(ROOT)?;
            control.create(&fixture.root)?;
        }
        control.close()?;
        match workload {
            Workload::Load => {
                let directories = options.keys.div_ceil(limits::DIRECTORY_CHILDREN_MAX);
                let numbers = Numbers::new(0, limits::DIRECTORY_CHILDREN_MAX);
                fixture.each(
                    fixture.create(&fixture.path(HALF), b""),
                    numbers,
                    directories,
                    Refusals::Fail,
                )?;
            }
            _ => {
                let template = fixture.create(&fixture.path(&format!("k{NUMBER}")), &fixture.value);
                fixture.each(template, Numbers::new(0, 1), fixture.permanent(), Refusals::Fail)?;
            }
        }
        Ok(fixture)
    }

    /// Removes the znodes, those that the workload has made having numbers below `created`.
    pub(crate) fn remove(&self, created: u32) -> Result<(), Error> {
        if matches!(self.workload, Workload::Idle | Workload::Load) {
            return Ok(());
        }
        let delete = |name| self.delete(&self.path(&format!("{name}{NUMBER}")));
        let all = Numbers::new(0, 1);
        self.each(delete('k'), all, self.permanent(), Refusals::Count)?;
        if self.workload == Workload::Create {
            // Threads have their own numbers and don't draw equally many, so that some are free.
            self.each(delete('n'), all, created, Refusals::Count)?;
        }
        let mut control = Control::open(self.server, &self.name)?;
        control.delete(&self.root)?;
        control.close()
    }

    /// The requests that one of `threads` threads sends; `None` if the workload has none.
    pub(crate) fn mix(&self, thread: usize, threads: usize) -> Option<Mix> {
        let keys = self.keys;
        let key = self.path(&format!("k{NUMBER}"));
        let node = self.path(&format!("n{NUMBER}"));
        let [thread, threads] = [thread, threads].map(|it| u32::try_from(it).unwrap_or_default());
        let numbers = Numbers::new(thread, threads);
        let (templates, choice) = match self.workload {
            Workload::Get => (vec![self.get(&key)], Choice::Random { keys }),
            Workload::Set => (vec![self.set(&key)], Choice::Random { keys }),
            Workload::Exists => (vec![self.exists(&key)], Choice::Random { keys }),
            Workload::Multi => (vec![self.multi(&key)], Choice::Random { keys }),
            Workload::Children => (vec![self.list()], Choice::Random { keys }),
            Workload::Mixed => {
                let choice = Choice::Ratio { keys, first_per_second: self.reads_per_write };
                (vec![self.get(&key), self.set(&key)], choice)
            }
            Workload::Create => (vec![self.create(&node, &self.value)], Choice::InTurn(numbers)),
            Workload::CreateDelete => {
                let templates = vec![self.create(&node, &self.value), self.delete(&node)];
                (templates, Choice::Pairs(numbers))
            }
            Workload::Load => {
                let path = self.path(&format!("{HALF}/{HALF}"));
                (vec![self.create(&path, &self.value)], Choice::InTurn(numbers))
            }
            Workload::Idle => return None,
        };
        Some(Mix::new(templates, choice, self.seed.wrapping_add(thread.into())))
    }

    /// Znodes that are there during the whole run.
    fn permanent(&self) -> u32 {
        match self.workload {
            Workload::Get
            | Workload::Set
            | Workload::Mixed
            | Workload::Exists
            | Workload::Multi => self.keys,
            Workload::Children => self.children,
            Workload::Create | Workload::CreateDelete | Workload::Idle | Workload::Load => 0,
        }
    }

    /// Sends one request for each of `count` numbers.
    fn each(
        &self,
        template: Template,
        numbers: Numbers,
        count: u32,
        refusals: Refusals,
    ) -> Result<(), Error> {
        if count == 0 {
            return Ok(());
        }
        let recording = Recording::new(std::slice::from_ref(&template), 0..0);
        let mut work = Work {
            mix: Some(Mix::new(vec![template], Choice::InTurn(numbers), 0)),
            pace: Pace::Limited { left: count.into() },
            until_ns: None,
            recording,
            refusals,
        };
        let conns = limits::FIXTURE_CONNS;
        let mut engine = Engine::open(
            std::iter::repeat(self.server),
            &self.name,
            conns,
            limits::FIXTURE_WINDOW,
        )?;
        engine.drive(&mut work, Instant::now())?;
        engine.close()
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    fn get(&self, path: &str) -> Template {
        let op = Op::Read(Read::GetData { path: path.into(), watch: false });
        Template::new("get", op, COUNT_BYTES + self.value.len() + STAT_BYTES)
    }

    fn set(&self, path: &str) -> Template {
        let data = Some(self.value.as_slice().into());
        let op = Op::Write(Write::SetData { path: path.into(), data, version: None });
        Template::new("set", op, STAT_BYTES)
    }

    fn exists(&self, path: &str) -> Template {
        let op = Op::Read(Read::Exists { path: path.into(), watch: false });
        Template::new("exists", op, STAT_BYTES)
    }

    fn create(&self, path: &str, value: &[u8]) -> Template {
        let op = Op::Write(Write::Create(create(path, value)));
        Template::new("create", op, COUNT_BYTES + path.len())
    }

    fn delete(&self, path: &str) -> Template {
        let op = Op::Write(Write::Delete { path: path.into(), version: None });
        Template::new("delete", op, 0)
    }

    fn list(&self) -> Template {
        let op = Op::Read(Read::GetChildren { path: self.root.as_str().into(), watch: false });
        let name_bytes = COUNT_BYTES + 1 + NUMBER.len();
        let bytes = COUNT_BYTES + self.children as usize * name_bytes;
        Template::new("children", op, bytes)
    }

    fn multi(&self, path: &str) -> Template {
        let set = || MultiOp::SetData {
            path: path.into(),
            data: Some(self.value.as_slice().into()),
            version: None,
        };
        let op = Op::Write(Write::Multi((0..self.multi_ops).map(|_| set()).collect()));
        let bytes = self.multi_ops * (MARK_BYTES + STAT_BYTES) + MARK_BYTES;
        Template::new("multi", op, bytes).weighing(self.multi_ops as u64)
    }
}
