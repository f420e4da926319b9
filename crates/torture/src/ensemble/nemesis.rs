//! What is done to an ensemble while clients use it.

use std::fmt;
use std::net::TcpStream;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use super::machine::{Machine, Order};
use super::members::Members;
use crate::failure::Failure;
use crate::random::Random;

/// How long a member stays away, or a network broken, in milliseconds.
const FAULT_MS: std::ops::Range<u64> = 50..2_500;
/// So many operations of a disk succeed at most before one fails as planned.
const OPERATIONS_BEFORE: u64 = 200;
/// Of each kind, so many operations fail on a full disk, unless it is mended before.
const FULL_FOR: u64 = 1_000;
/// Syncs of a slow disk take less than that.
const SLOW_SYNC_MS: u64 = 700;
/// By how much a clock jumps: a second, an hour, twenty years, there and back.
const CLOCK_JUMPS_MS: [i64; 6] =
    [1_000, -1_000, 3_600_000, -3_600_000, 631_152_000_000, -631_152_000_000];
/// A server that has fewer descriptors does not come to the point where it serves.
const DESCRIPTORS_MIN: u64 = 40;
const DESCRIPTORS_SPAN: u64 = 60;
/// So many connections are held against a member that has few descriptors.
const CROWD: usize = 200;
const CROWD_PAUSE: Duration = Duration::from_millis(5);

/// One kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Nemesis {
    /// SIGKILL to any member.
    KillOne,
    /// SIGKILL to the leader.
    KillLeader,
    /// SIGKILL to the leader and another member.
    KillMajority,
    /// SIGKILL to all members.
    KillAll,
    /// SIGSTOP to any member, and SIGCONT later.
    PauseOne,
    /// The same to the leader.
    PauseLeader,
    /// The same to all.
    PauseAll,
    /// The leader hears nobody and is heard by nobody.
    CutOffLeader,
    /// The members are divided in two.
    Halves,
    /// Each member reaches its neighbors only.
    Ring,
    /// Two halves, and a member that reaches both.
    Bridge,
    /// One member hears nobody.
    Deaf,
    /// One member is heard by nobody.
    Mute,
    /// All connections between members end.
    Reset,
    /// A file of a member is damaged while it is down, and the others serve.
    Rot,
    /// A member has hardly any descriptors, and a crowd wants to be connected.
    FewDescriptors,
    /// A write of a log fails.
    FailedWrite,
    /// A write of a log stores a part, and the next one fails.
    ShortWrite,
    /// A sync of a log fails.
    FailedSync,
    /// Something can not be renamed.
    FailedRename,
    /// There is no space for anything.
    FullDisk,
    /// Syncs take long.
    SlowDisk,
    /// The wall clocks of all members jump, each by another time.
    Clocks,
}

impl Nemesis {
    /// All of them.
    pub(crate) const ALL: [Self; 23] = [
        Self::KillOne,
        Self::KillLeader,
        Self::KillMajority,
        Self::KillAll,
        Self::PauseOne,
        Self::PauseLeader,
        Self::PauseAll,
        Self::CutOffLeader,
        Self::Halves,
        Self::Ring,
        Self::Bridge,
        Self::Deaf,
        Self::Mute,
        Self::Reset,
        Self::Rot,
        Self::FewDescriptors,
        Self::FailedWrite,
        Self::ShortWrite,
        Self::FailedSync,
        Self::FailedRename,
        Self::FullDisk,
        Self::SlowDisk,
        Self::Clocks,
    ];

    /// Those that can be done to members on such machines.
    pub(crate) fn of(machine: Machine) -> Vec<Self> {
        let is_possible = |it: &Self| machine != Machine::Sound || !it.is_planned();
        Self::ALL.into_iter().filter(is_possible).collect()
    }

    /// Whether a machine must be told of it.
    const fn is_planned(self) -> bool {
        matches!(
            self,
            Self::FailedWrite
                | Self::ShortWrite
                | Self::FailedSync
                | Self::FailedRename
                | Self::FullDisk
                | Self::SlowDisk
                | Self::Clocks
        )
    }

    /// Whether it may follow another one in one life of an ensemble. A server whose files are gone takes the
    /// ids of sessions from the clock, so that they are new only if the clock goes on.
    pub(crate) fn gets_on_with(self, other: Self) -> bool {
        !matches!((self, other), (Self::Rot, Self::Clocks) | (Self::Clocks, Self::Rot))
    }

    /// Breaks something, waits, and mends it.
    pub(crate) fn strike(self, members: &mut Members, random: &mut Random) -> Result<(), Failure> {
        members.note_all(&format!("{self} begins"))?;
        let leader = members.leader();
        let count = members.count();
        let any = pick(random, count);
        let chosen = leader.unwrap_or(any);
        match self {
            Self::KillOne => members.kill(any)?,
            Self::KillLeader => members.kill(chosen)?,
            Self::KillMajority => {
                let group: Vec<_> = (0..=count / 2).map(|step| (chosen + step) % count).collect();
                members.kill_together(&group)?;
            }
            Self::KillAll => members.kill_together(&(0..count).collect::<Vec<_>>())?,
            Self::PauseOne => members.pause(any)?,
            Self::PauseLeader => members.pause(chosen)?,
            Self::PauseAll => (0..count).try_for_each(|index| members.pause(index))?,
            Self::CutOffLeader => hold(members, |from, to| (from == chosen) != (to == chosen)),
            Self::Halves => {
                let first = pick(random, count);
                let is_left = |index: usize| (index + count - first) % count <= count / 2;
                hold(members, |from, to| is_left(from) != is_left(to));
            }
            Self::Ring => hold(members, |from, to| !is_beside(from, to, count)),
            Self::Bridge => {
                let side = |index: usize| (index + count - any) % count * 2 / count;
                hold(members, |from, to| from != any && to != any && side(from) != side(to));
            }
            Self::Deaf => hold(members, |from, to| to == any && from != any),
            Self::Mute => hold(members, |from, to| from == any && to != any),
            Self::Reset => {
                for (from, to) in pairs(count) {
                    members.network().cut(from, to);
                }
            }
            Self::Rot => members.rot(any, random)?,
            Self::FewDescriptors => crowd(members, any, random)?,
            Self::FailedWrite
            | Self::ShortWrite
            | Self::FailedSync
            | Self::FailedRename
            | Self::FullDisk
            | Self::SlowDisk => {
                let victim = if random.below(2) == 0 { any } else { chosen };
                members.tell(victim, &self.orders(random))?;
            }
            Self::Clocks => (0..count).try_for_each(|index| {
                let jump = pick(random, CLOCK_JUMPS_MS.len());
                members.tell(index, &[Order::Clock(CLOCK_JUMPS_MS[jump])])
            })?,
        }
        let stay = FAULT_MS.start + random.below(FAULT_MS.end - FAULT_MS.start);
        thread::sleep(Duration::from_millis(stay));
        members.note_all(&format!("{self} ends"))?;
        members.heal()
    }

    /// What a machine is told, so that its disk fails in this way.
    fn orders(self, random: &mut Random) -> Vec<Order> {
        let after = random.below(OPERATIONS_BEFORE);
        let fail = |times, operation, prefix, after, kind| Order::Fail {
            times,
            operation,
            prefix,
            after,
            kind,
        };
        match self {
            Self::FailedWrite => vec![fail(1, "write", "log.", after, "io")],
            Self::ShortWrite => vec![
                fail(1, "write", "log.", after, "short:13"),
                fail(1, "write", "log.", after + 1, "io"),
            ],
            Self::FailedSync => vec![fail(1, "sync", "log.", after, "io")],
            // Seldom is anything renamed: snapshots, epochs, logs.
            Self::FailedRename => vec![fail(1, "rename", "*", 0, "io")],
            Self::FullDisk => ["write", "create", "setlen"]
                .map(|operation| fail(FULL_FOR, operation, "*", after, "no-space"))
                .to_vec(),
            Self::SlowDisk => {
                vec![Order::SyncTime(Duration::from_millis(random.below(SLOW_SYNC_MS)))]
            }
            _ => Vec::new(),
        }
    }
}

/// Starts a member with few descriptors, while more clients want to be connected than it can have.
fn crowd(members: &mut Members, index: usize, random: &mut Random) -> Result<(), Failure> {
    members.kill(index)?;
    members.run_limited(index, DESCRIPTORS_MIN + random.below(DESCRIPTORS_SPAN))?;
    let address = members.addresses()[index];
    let stay = Duration::from_millis(random.below(FAULT_MS.end));
    let start = Instant::now();
    let mut connections = Vec::new();
    while start.elapsed() < stay {
        // Who does not get in tries again.
        if let Ok(connection) = TcpStream::connect_timeout(&address, CROWD_PAUSE)
            && connections.len() < CROWD
        {
            connections.push(connection);
        }
        thread::sleep(CROWD_PAUSE);
    }
    Ok(())
}

/// Holds up what some members send to others.
fn hold(members: &Members, is_held: impl Fn(usize, usize) -> bool) {
    for (from, to) in pairs(members.count()) {
        members.network().hold(from, to, is_held(from, to));
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |from| (0..count).map(move |to| (from, to)))
}

/// Whether two members are next to each other in a ring, or the same. Three members are all next to
/// each other: there the ring is open.
fn is_beside(from: usize, to: usize, count: usize) -> bool {
    let apart = from.abs_diff(to);
    apart <= 1 || count > 3 && apart == count - 1
}

fn pick(random: &mut Random, count: usize) -> usize {
    usize::try_from(random.below(count as u64)).unwrap_or(0)
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillOne => "kill-one",
            Self::KillLeader => "kill-leader",
            Self::KillMajority => "kill-majority",
            Self::KillAll => "kill-all",
            Self::PauseOne => "pause-one",
            Self::PauseLeader => "pause-leader",
            Self::PauseAll => "pause-all",
            Self::CutOffLeader => "cut-off-leader",
            Self::Halves => "halves",
            Self::Ring => "ring",
            Self::Bridge => "bridge",
            Self::Deaf => "deaf",
            Self::Mute => "mute",
            Self::Reset => "reset",
            Self::Rot => "rot",
            Self::FewDescriptors => "few-descriptors",
            Self::FailedWrite => "failed-write",
            Self::ShortWrite => "short-write",
            Self::FailedSync => "failed-sync",
            Self::FailedRename => "failed-rename",
            Self::FullDisk => "full-disk",
            Self::SlowDisk => "slow-disk",
            Self::Clocks => "clocks",
        })
    }
}

impl FromStr for Nemesis {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.to_string() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(ToString::to_string).collect();
            format!("there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nemesis_is_found_by_its_name() {
        for nemesis in Nemesis::ALL {
            assert_eq!(nemesis.to_string().parse(), Ok(nemesis));
        }
        assert!("kill".parse::<Nemesis>().is_err_and(|names| names.contains("kill-majority")));
    }
}
