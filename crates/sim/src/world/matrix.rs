//! Which faults there are, what servers do when one comes, and which of these never meet.

use replica::view::Role;

use super::node::Node;

/// To how many servers a fault comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    One,
    All,
}

/// The names of the faults, in the order of their weights.
pub(super) const FAULTS: [(&str, Reach); 21] = [
    ("killed", Reach::One),
    ("power lost", Reach::One),
    ("crash at an effect", Reach::One),
    ("crash in the disk", Reach::One),
    ("sync fails", Reach::One),
    ("disk full", Reach::One),
    ("snapshot fails", Reach::One),
    ("client cut off", Reach::All),
    ("client silent", Reach::All),
    ("wall clock jumps", Reach::One),
    ("stands still", Reach::One),
    ("snapshot asked for", Reach::One),
    ("nonsense sent", Reach::One),
    ("stopped", Reach::One),
    ("servers cut off", Reach::All),
    ("servers separated", Reach::All),
    ("file rots", Reach::One),
    ("disk lost", Reach::One),
    ("crash at a step", Reach::One),
    ("power lost everywhere", Reach::All),
    ("disk slow", Reach::One),
];

/// The servers of a run, as far as it matters for what can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Alone,
    Ensemble,
}

const ALONE: &str = "alone";
const DOWN: &str = "down";

impl Kind {
    /// What its servers do.
    pub(super) const fn doings(self) -> &'static [&'static str] {
        match self {
            Self::Alone => &[ALONE, DOWN],
            Self::Ensemble => {
                &[DOWN, "following", "joining an epoch", "leading", "looking", "observing"]
            }
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
    ("sync fails", "what fails in a start is counted as a crash in the disk"),
    ("disk full", "what fails in a start is counted as a crash in the disk"),
    ("snapshot fails", "nobody writes one"),
    ("snapshot asked for", "nobody can be asked"),
    ("nonsense sent", "nobody listens"),
    ("stopped", "there is no process"),
];

/// Why a fault never comes to a server that does this; `None` if it may.
pub(super) fn why_never(kind: Kind, fault: &str, doing: &str) -> Option<&'static str> {
    let of_kind = if kind == Kind::Alone { NEVER_ALONE } else { &[] };
    let of_doing = if doing == DOWN { NEVER_DOWN } else { &[] };
    let reasons = of_kind.iter().chain(of_doing);
    reasons.filter(|(never, _)| *never == fault).map(|(_, why)| *why).next()
}

/// What a server does.
pub(super) fn doing(node: &Node) -> &'static str {
    let Some(process) = &node.process else { return DOWN };
    match process.replica.stats().role() {
        Role::Alone => ALONE,
        Role::Looking if node.accepted_epoch > node.current_epoch => "joining an epoch",
        Role::Looking | Role::ReadOnly => "looking",
        Role::Leading => "leading",
        Role::Following => "following",
        Role::Observing => "observing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_of_a_fault() {
        for (fault, why) in NEVER_ALONE.iter().chain(NEVER_DOWN) {
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
