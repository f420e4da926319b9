//! Which faults there are, what servers do when one comes, and which of these never meet.

use replica::view::Role;

use super::node::Node;

/// When a fault counts that was chosen for a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comes {
    /// When it is chosen: it is there then.
    AtOnce,
    /// Where it strikes, for those servers that it strikes: it may come later, to others, or not at all.
    Maybe,
}

/// The names of the faults, in the order of their weights.
pub(super) const FAULTS: [(&str, Comes); 21] = [
    ("killed", Comes::AtOnce),
    ("power lost", Comes::AtOnce),
    ("crash at an effect", Comes::Maybe),
    ("crash in the disk", Comes::Maybe),
    ("sync fails", Comes::Maybe),
    ("disk full", Comes::Maybe),
    ("snapshot fails", Comes::Maybe),
    ("client cut off", Comes::Maybe),
    ("client silent", Comes::Maybe),
    ("wall clock jumps", Comes::AtOnce),
    ("stands still", Comes::AtOnce),
    ("snapshot asked for", Comes::AtOnce),
    ("nonsense sent", Comes::AtOnce),
    ("stopped", Comes::AtOnce),
    ("servers cut off", Comes::Maybe),
    ("servers separated", Comes::Maybe),
    ("file rots", Comes::Maybe),
    ("disk lost", Comes::Maybe),
    ("crash at a step", Comes::Maybe),
    ("power lost everywhere", Comes::Maybe),
    ("disk slow", Comes::AtOnce),
];

/// The servers of a run, as far as it matters for what can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Alone,
    Ensemble,
}

const ALONE: &str = "alone";
const DOWN: &str = "down";
const JOINING: &str = "joining an epoch";
const LOOKING: &str = "looking";
const OBSERVING: &str = "observing";

impl Kind {
    /// What its servers do.
    pub(super) const fn doings(self) -> &'static [&'static str] {
        match self {
            Self::Alone => &[ALONE, DOWN],
            Self::Ensemble => &[DOWN, "following", JOINING, "leading", LOOKING, OBSERVING],
        }
    }
}

/// What does not come to a server that is alone, and why.
const NEVER_ALONE: &[(&str, &str)] = &[
    ("crash at a step", "the steps are those between servers"),
    ("disk lost", "nobody else has what was on it"),
    ("file rots", "it refuses to start, and nobody else has what was there"),
    ("power lost everywhere", "it is everywhere: this is counted as a loss of power"),
    ("servers cut off", "there is no other server"),
    ("servers separated", "there is no other server"),
];

/// What does not come to a server that is down, and why.
const NEVER_DOWN: &[(&str, &str)] = &[
    ("killed", "there is no process"),
    ("crash at an effect", "nobody has one"),
    ("crash at a step", "nobody takes one"),
    ("power lost everywhere", "there is no process that could lose it"),
    ("sync fails", "what fails in a start is counted as a crash in the disk"),
    ("disk full", "what fails in a start is counted as a crash in the disk"),
    ("snapshot fails", "nobody writes one"),
    ("snapshot asked for", "nobody can be asked"),
    ("nonsense sent", "nobody listens"),
    ("stopped", "there is no process"),
    ("client silent", "its connections went with its process"),
    ("servers cut off", "its connections went with its process"),
];

/// What does not come to a server that knows no leader, and why.
const NEVER_LOOKING: &[(&str, &str)] =
    &[("snapshot fails", "it begins none, and hardly one that it has begun before outlives that")];

/// Why a fault never comes to a server that does this; `None` if it may.
pub(super) fn why_never(kind: Kind, fault: &str, doing: &str) -> Option<&'static str> {
    let of_kind = if kind == Kind::Alone { NEVER_ALONE } else { &[] };
    let of_doing = match doing {
        DOWN => NEVER_DOWN,
        LOOKING | JOINING => NEVER_LOOKING,
        _ => &[],
    };
    let reasons = of_kind.iter().chain(of_doing);
    reasons.filter(|(never, _)| *never == fault).map(|(_, why)| *why).next()
}

/// Whether a fault comes so seldom to a server that does this, less than a hundred times in 10,000 runs, that some
/// thousand need not have seen it: there are few observers, and few clients of who serves none.
pub(super) fn is_seldom(fault: &str, doing: &str) -> bool {
    match doing {
        OBSERVING => true,
        JOINING => fault == "client silent",
        _ => false,
    }
}

/// What a server does.
pub(super) fn doing(node: &Node) -> &'static str {
    let Some(process) = &node.process else { return DOWN };
    match process.replica.stats().role() {
        Role::Alone => ALONE,
        Role::Looking if node.accepted_epoch > node.current_epoch => JOINING,
        Role::Looking | Role::ReadOnly => LOOKING,
        Role::Leading => "leading",
        Role::Following => "following",
        Role::Observing => OBSERVING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_of_a_fault() {
        for (fault, why) in NEVER_ALONE.iter().chain(NEVER_DOWN).chain(NEVER_LOOKING) {
            assert!(FAULTS.iter().any(|(name, _)| name == fault), "{fault}: {why}");
        }
    }

    #[test]
    fn what_meets_only_in_ensembles_is_told_apart() {
        assert!(why_never(Kind::Alone, "servers separated", DOWN).is_some());
        assert_eq!(why_never(Kind::Ensemble, "servers separated", DOWN), None);
        assert_eq!(why_never(Kind::Ensemble, "killed", "leading"), None);
        assert_eq!(why_never(Kind::Ensemble, "killed", DOWN), Some("there is no process"));
    }
}
