//! Waiting in line: who was there before, and when it is one's turn.
//!
//! Each waits for one other to leave, so that one departure wakes one and not all.

use std::cmp::Reverse;

use reefkeeper_client::{Client, Error as ClientError, ErrorCode};

use crate::claim::Claim;
use crate::error::Error;
use crate::mutant;
use crate::tree_path::child;

/// The kinds of places in a line, each by what stands before the sequence number in a znode's name.
///
/// The first of ours is what our own names have; the others are those of other libraries.
pub(crate) type Kinds = &'static [&'static str];

/// One place in a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The znode's name.
    pub(crate) name: String,
    /// Which of the kinds it is.
    pub(crate) kind: &'static str,
    /// From the parent's counter, which wraps after 2³¹.
    sequence: i32,
}

impl Place {
    /// Reads a name; `None` if it is of no such kind.
    fn parse(name: &str, kinds: Kinds) -> Option<Self> {
        kinds.iter().find_map(|&kind| {
            let number = &name[name.rfind(kind)? + kind.len()..];
            let digits = number.strip_prefix('-').unwrap_or(number);
            let is_number = number.len() >= 10 && digits.bytes().all(|b| b.is_ascii_digit());
            let sequence = number.parse().ok().filter(|_| is_number)?;
            Some(Self { name: name.to_owned(), kind, sequence })
        })
    }
}

/// The places of those names, in order; names of other kinds are left out.
///
/// The counter may have wrapped within the line, but no line is half as long as its range.
pub(crate) fn in_order(names: &[String], kinds: Kinds) -> Vec<Place> {
    let mut places: Vec<_> = names.iter().filter_map(|name| Place::parse(name, kinds)).collect();
    if let Some(reference) = places.first().map(|place| place.sequence) {
        places.sort_by_key(|place| Reverse(reference.wrapping_sub(place.sequence)));
        if mutant::active(4) {
            places.sort_by(|one, other| one.name.cmp(&other.name));
        }
    }
    places
}

/// When it is one's turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    /// When nobody is before.
    First,
    /// When nobody of these kinds is before.
    AfterAll(Kinds),
}

impl Turn {
    /// The nearest place before that one which must be left first.
    fn waits_for(self, before: &[Place]) -> Option<&Place> {
        match self {
            Self::First if mutant::active(3) => before.first(),
            Self::First => before.last(),
            Self::AfterAll(kinds) if mutant::active(7) => {
                before.last().filter(|place| kinds.contains(&place.kind))
            }
            Self::AfterAll(kinds) => before.iter().rfind(|place| kinds.contains(&place.kind)),
        }
    }
}

/// The line in a directory as it is now, in order; empty without the directory.
pub(crate) async fn look(
    client: &Client,
    directory: &str,
    kinds: Kinds,
) -> Result<Vec<Place>, ClientError> {
    match client.patiently(|| client.get_children(directory)).await {
        Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(Vec::new()),
        children => Ok(in_order(&children?.names, kinds)),
    }
}

/// The path of the znode that must go before it is the claim's turn; `None` if it is.
pub(crate) async fn obstacle(
    claim: &Claim,
    kinds: Kinds,
    turn: Turn,
) -> Result<Option<String>, Error> {
    let line = look(claim.client(), claim.directory(), kinds).await?;
    let Some(own) = line.iter().position(|place| place.name == claim.name()) else {
        return Err(Error::Removed { path: claim.created().path.clone() });
    };
    Ok(turn.waits_for(&line[..own]).map(|place| child(claim.directory(), &place.name)))
}

/// Waits until it is the claim's turn, over lost connections, as long as the session goes on.
pub(crate) async fn wait(claim: &Claim, kinds: Kinds, turn: Turn) -> Result<(), Error> {
    let client = claim.client();
    if mutant::active(1) {
        return Ok(());
    }
    while let Some(path) = obstacle(claim, kinds, turn).await? {
        // Unlike that of `exists`, this watch is not set, and left behind, if the znode is gone.
        match client.patiently(|| client.get_data_and_watch(&path)).await {
            Ok((_, watch)) => match watch.await {
                Ok(_) if mutant::active(2) || mutant::active(3) => return Ok(()),
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error.into()),
            },
            Err(ClientError::Refused(ErrorCode::NoNode)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: Kinds = &["lock-", "__lock__"];

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn ordered(unordered: &[&str]) -> Vec<String> {
        in_order(&names(unordered), KINDS).into_iter().map(|place| place.name).collect()
    }

    #[test]
    fn sequence_numbers_decide_whatever_stands_before_them() {
        let line = ["_c_b-lock-0000000002", "_c_c-lock-0000000010", "a__lock__0000000007"];
        let expected = ["_c_b-lock-0000000002", "a__lock__0000000007", "_c_c-lock-0000000010"];
        assert_eq!(ordered(&line), expected);
    }

    #[test]
    fn a_counter_that_wrapped_goes_on() {
        let before = "x-lock-2147483646";
        let last = "x-lock-2147483647";
        let wrapped = "x-lock--2147483648";
        let later = "x-lock--2147483647";
        for line in [[later, last, wrapped, before], [before, wrapped, last, later]] {
            assert_eq!(ordered(&line), [before, last, wrapped, later]);
        }
        assert_eq!(
            ordered(&["lock-0000000001", "lock--000000001"]),
            ["lock--000000001", "lock-0000000001"]
        );
    }

    #[test]
    fn other_names_are_not_in_line() {
        let others =
            ["lock-", "lock-1", "lock-00000x0000", "lease-0000000001", "", "lock-+00000000001"];
        assert_eq!(ordered(&others), Vec::<String>::new());
    }

    #[test]
    fn each_waits_for_the_nearest_that_matters() {
        const ALL: Kinds = &["__WRIT__", "__READ__"];
        let line = ["__WRIT__0000000001", "__READ__0000000002", "__READ__0000000003"];
        let places = in_order(&names(&line), ALL);
        let after =
            |turn: Turn, own: usize| turn.waits_for(&places[..own]).map(|place| place.name.clone());
        assert_eq!(after(Turn::First, 0), None);
        assert_eq!(after(Turn::First, 2), Some(line[1].to_owned()));
        assert_eq!(after(Turn::AfterAll(&["__WRIT__"]), 2), Some(line[0].to_owned()));
        assert_eq!(after(Turn::AfterAll(&["__WRIT__"]), 0), None);
    }
}
