//! Gates: nobody passes one that is closed from before it came until after.
//!
//! A gate is certainly closed from the answer to who closed it, until somebody wants to open it; but not if
//! somebody wanted to open it who has no answer yet, since that may still happen.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{AtGate, GateStep, History};

const PROMISE: &str = "gates";

/// What is known of a gate.
#[derive(Default)]
struct Gate {
    is_closed: bool,
    /// How often somebody wanted to open it.
    openings: u32,
    /// How often somebody has.
    opened: u32,
    /// Who is about to close it, and how often somebody had wanted to open it before.
    closing: BTreeMap<u32, u32>,
    /// Who came when it was closed, and how often somebody had wanted to open it before.
    held_up: BTreeMap<u32, u32>,
}

impl Gate {
    /// How often somebody had wanted to open it, if all of them have.
    fn settled(&self) -> Option<u32> {
        (self.openings == self.opened).then_some(self.openings)
    }

    /// Takes a step; returns whether it was right.
    fn take(&mut self, who: u32, step: GateStep) -> bool {
        match step {
            GateStep::Closing => match self.settled() {
                Some(openings) => drop(self.closing.insert(who, openings)),
                None => drop(self.closing.remove(&who)),
            },
            GateStep::Closed => {
                let was_settled = self.closing.remove(&who);
                self.is_closed |= was_settled.is_some_and(|openings| openings == self.openings);
            }
            GateStep::Opening => {
                self.is_closed = false;
                self.openings += 1;
            }
            GateStep::Opened => self.opened += 1,
            GateStep::Coming if self.is_closed => drop(self.held_up.insert(who, self.openings)),
            GateStep::Coming => drop(self.held_up.remove(&who)),
            GateStep::Passed => return self.held_up.remove(&who) != Some(self.openings),
        }
        true
    }
}

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let mut gates: BTreeMap<&str, Gate> = BTreeMap::new();
    for AtGate { gate: name, who, step } in &history.gates {
        if !gates.entry(name).or_default().take(*who, *step) {
            return Err(Violation::new(
                PROMISE,
                format!("{who} has passed {name}, which is closed"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::GateStep::{Closed, Closing, Coming, Opened, Opening, Passed};
    use super::*;

    fn check_gate(steps: &[(u32, GateStep)]) -> Result<(), Violation> {
        let gates = steps.iter().map(|&(who, step)| AtGate { gate: "1".into(), who, step });
        check(&History { gates: gates.collect(), ..History::default() })
    }

    #[test]
    fn who_may_have_come_to_an_open_gate_may_pass() {
        let sound: [&[(u32, GateStep)]; 5] = [
            &[(1, Coming), (1, Passed)],
            // It came before the gate was closed for sure.
            &[(1, Closing), (2, Coming), (1, Closed), (2, Passed)],
            &[(1, Closing), (1, Closed), (2, Coming), (1, Opening), (2, Passed)],
            // Nobody knows whether it was closed before it was opened, or after.
            &[(1, Opening), (2, Closing), (2, Closed), (3, Coming), (3, Passed), (1, Opened)],
            &[(2, Closing), (1, Opening), (1, Opened), (2, Closed), (3, Coming), (3, Passed)],
        ];
        for steps in sound {
            assert_eq!(check_gate(steps), Ok(()), "{steps:?}");
        }
    }

    #[test]
    fn spoiled_gates_are_rejected() {
        let closed = [(1, Closing), (1, Closed)];
        let passed = [(2, Coming), (2, Passed)];
        assert!(check_gate(&[closed, passed].concat()).is_err());
        let before = [(3, Opening), (3, Opened)];
        assert!(check_gate(&[before, closed, passed].concat()).is_err());
        // That another closes it once more does not open it.
        let again = [(2, Coming), (1, Closing), (1, Closed), (2, Passed)];
        assert!(check_gate(&[&closed[..], &again].concat()).is_err());
    }
}
