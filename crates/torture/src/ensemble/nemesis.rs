//! What is done to an ensemble while clients use it.

use std::fmt;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use super::members::Members;
use crate::failure::Failure;
use crate::random::Random;

/// How long a member stays away, or a network broken, in milliseconds.
const FAULT_MS: std::ops::Range<u64> = 50..2_500;

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
}

impl Nemesis {
    /// All of them.
    pub(crate) const ALL: [Self; 14] = [
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
    ];

    /// Breaks something, waits, and mends it. Tells how many processes were killed.
    pub(crate) fn strike(self, members: &mut Members, random: &mut Random) -> Result<u64, Failure> {
        let leader = members.leader();
        let count = members.count();
        let any = pick(random, count);
        let chosen = leader.unwrap_or(any);
        let mut killed = 0;
        match self {
            Self::KillOne => killed = kill(members, &[any])?,
            Self::KillLeader => killed = kill(members, &[chosen])?,
            Self::KillMajority => {
                let group: Vec<_> = (0..=count / 2).map(|step| (chosen + step) % count).collect();
                killed = kill(members, &group)?;
            }
            Self::KillAll => killed = kill(members, &(0..count).collect::<Vec<_>>())?,
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
        }
        let stay = FAULT_MS.start + random.below(FAULT_MS.end - FAULT_MS.start);
        thread::sleep(Duration::from_millis(stay));
        members.heal()?;
        Ok(killed)
    }
}

fn kill(members: &mut Members, group: &[usize]) -> Result<u64, Failure> {
    group.iter().try_for_each(|&index| members.kill(index))?;
    Ok(group.len() as u64)
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
