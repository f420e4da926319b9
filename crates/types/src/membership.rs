//! Who is in an ensemble, and whose votes decide.
//!
//! A membership is a text that all servers of an ensemble have: it is the data of
//! `/zookeeper/config`, goes along with votes and with the beginning of a reign, and is (but for its
//! last line) the content of the dynamic configuration file:
//!
//! ```text
//! server.1=zk1:2888:3888:participant;0.0.0.0:2181
//! server.2=zk2:2888:3888:participant;0.0.0.0:2181
//! server.3=zk3:2888:3888:observer;0.0.0.0:2181
//! version=100000000
//! ```
//!
//! It is read as Apache's `QuorumPeerConfig` and `QuorumServer` read it, and written as Apache's
//! `QuorumMaj` and `QuorumHierarchical` write it, servers always in ascending order. What makes no
//! sense and Apache takes nevertheless is refused: negative ids, negative weights, empty parts.

mod member;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{Sid, Zxid};

pub use member::{
    ADDRESSES_MAX, HOST_BYTES_MAX, Host, HostPort, InvalidMember, Member, PeerAddress, Role,
};

/// Bytes of a membership as text: what is left for it in a message of the election, of which
/// Apache's servers take 512 KiB.
pub const TEXT_BYTES_MAX: usize = 512 * 1024 - 44;

/// Who is in an ensemble, and whose votes decide. Displays as the text that all servers have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    version: ConfigVersion,
    /// At least one of them votes.
    members: BTreeMap<Sid, Member>,
    rule: QuorumRule,
}

/// Which of two memberships is newer: the zxid of the change that brought it, or 0 for one that was
/// written by hand. Displays as lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ConfigVersion(pub i64);

/// Which voters are enough to decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuorumRule {
    /// More than half of them.
    Majority,
    /// More than half of the weight in more than half of the groups.
    Hierarchical(Hierarchy),
}

/// Groups of servers, and what their votes weigh. Every voter is in one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hierarchy {
    /// No server is in two of them.
    groups: BTreeMap<GroupId, BTreeSet<Sid>>,
    /// Of every voter, and of others if the text says so.
    weights: BTreeMap<Sid, u32>,
}

/// The number of a group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(pub i64);

/// The lines of a membership, as long as it is not known whether they go together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Draft {
    version: ConfigVersion,
    members: BTreeMap<Sid, Member>,
    groups: BTreeMap<GroupId, Vec<Sid>>,
    weights: BTreeMap<Sid, u32>,
}

/// Why a line is none of a membership. Each says what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidLine {
    /// The key is none of those that there are.
    Key,
    /// What follows the key's dot is no id.
    Id,
    /// The line describes no server.
    Server(InvalidMember),
    /// The line does not list a group's servers.
    Group,
    /// The line has no weight.
    Weight,
    /// The line has no version.
    Version,
}

/// Why lines make no membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidMembership {
    /// Nobody votes.
    NoVoters,
    /// There are groups or weights, and this voter is in no group.
    Ungrouped(Sid),
    /// In this group is a server that is in it, or in another one, already.
    GroupedTwice(GroupId, Sid),
    /// This server is in a group, but neither votes nor has a weight.
    NoVoterInGroup(GroupId, Sid),
    /// All votes weigh nothing.
    Weightless,
    /// The text is longer than [`TEXT_BYTES_MAX`].
    TooLong,
    /// There are groups, and the change does not say who is in which.
    Grouped,
}

/// Why a text is no membership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidText {
    /// One of its lines is none.
    Line {
        /// Which, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: InvalidLine,
    },
    /// Its lines do not go together.
    Whole(InvalidMembership),
}

impl Membership {
    /// Reads a membership that another server, a client or a file tells: lines of `key=value` in any
    /// order. Of several lines with one key the last counts. Without a version it is 0.
    ///
    /// # Errors
    /// Says which line is wrong, or why the lines do not go together.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(InvalidText::Whole(InvalidMembership::TooLong));
        }
        let mut draft = Draft::default();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (key, value) = split_line(line);
            draft.add(key, value).map_err(|problem| InvalidText::Line { line: number, problem })?;
        }
        draft.finish().map_err(InvalidText::Whole)
    }

    /// Returns the same members under another version.
    #[must_use]
    pub fn with_version(self, version: ConfigVersion) -> Self {
        Self { version, ..self }
    }

    /// Returns what remains when these servers leave, and others join or take the place of those with
    /// the same id. Unknown servers may leave. The version stays.
    ///
    /// # Errors
    /// Nobody would vote, the text would be too long, or there are groups: who is in which can not be
    /// told this way.
    pub fn changed(
        &self,
        leaving: &[Sid],
        joining: impl IntoIterator<Item = Member>,
    ) -> Result<Self, InvalidMembership> {
        if self.rule != QuorumRule::Majority {
            return Err(InvalidMembership::Grouped);
        }
        let mut members = self.members.clone();
        members.retain(|sid, _| !leaving.contains(sid));
        members.extend(joining.into_iter().map(|member| (member.sid, member)));
        let (groups, weights) = (BTreeMap::new(), BTreeMap::new());
        Draft { version: self.version, members, groups, weights }.finish()
    }

    /// Whether the other one differs in its version at most.
    pub fn has_same_members(&self, other: &Self) -> bool {
        self.members == other.members && self.rule == other.rule
    }

    /// Returns an address that two servers would listen on, with both: of hosts that are named, as
    /// nobody knows what all addresses of a host are.
    pub fn shared_address(&self) -> Option<(HostPort, Sid, Sid)> {
        let mut owners = BTreeMap::new();
        for member in self.members() {
            for address in member.bound_addresses() {
                match owners.insert(address.clone(), member.sid) {
                    Some(other) if other != member.sid => {
                        return Some((address, other, member.sid));
                    }
                    _ => {}
                }
            }
        }
        None
    }

    /// Returns its version.
    pub fn version(&self) -> ConfigVersion {
        self.version
    }

    /// Returns which voters are enough to decide.
    pub fn rule(&self) -> &QuorumRule {
        &self.rule
    }

    /// Returns all servers by ascending id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// Returns those that vote, by ascending id; at least one.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| member.role == Role::Voter)
    }

    /// Returns those that do not vote, by ascending id.
    pub fn observers(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| member.role == Role::Observer)
    }

    /// Returns the server of this id.
    pub fn find(&self, sid: Sid) -> Option<&Member> {
        self.members.get(&sid)
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sid, member) in &self.members {
            writeln!(f, "server.{}={member}", sid.0)?;
        }
        if let QuorumRule::Hierarchical(Hierarchy { groups, weights }) = &self.rule {
            for (group, sids) in groups {
                let sids: Vec<String> = sids.iter().map(|sid| sid.0.to_string()).collect();
                writeln!(f, "group.{group}={}", sids.join(":"))?;
            }
            for (sid, weight) in weights {
                writeln!(f, "weight.{}={weight}", sid.0)?;
            }
        }
        write!(f, "version={}", self.version)
    }
}

impl fmt::Display for ConfigVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl ConfigVersion {
    /// Returns the place of the change that brought it; nothing that was ever proposed if it was
    /// written by hand.
    pub const fn zxid(self) -> Zxid {
        Zxid::from_raw(self.0)
    }

    /// Reads hexadecimal digits, as they are the end of a dynamic file's name. Returns `None` if the
    /// text has others, or does not fit.
    pub fn parse(digits: &str) -> Option<Self> {
        i64::from_str_radix(digits, 16).ok().filter(|&version| version >= 0).map(Self)
    }
}

impl Hierarchy {
    /// Returns the groups by ascending number, each with its servers by ascending id. Servers that do
    /// not vote may be among them.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &BTreeSet<Sid>)> {
        self.groups.iter().map(|(&group, sids)| (group, sids))
    }

    /// Returns what a server's vote weighs; nothing if it is neither a voter nor given a weight.
    pub fn weight(&self, sid: Sid) -> u32 {
        self.weights.get(&sid).copied().unwrap_or(0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Draft {
    /// Adds the line `key=value`. An earlier one with the same key is forgotten.
    ///
    /// # Errors
    /// Says what was expected instead.
    pub fn add(&mut self, key: &str, value: &str) -> Result<(), InvalidLine> {
        if key == "version" {
            self.version = ConfigVersion::parse(value).ok_or(InvalidLine::Version)?;
            return Ok(());
        }
        let (kind, id) = key.split_once('.').ok_or(InvalidLine::Key)?;
        match kind {
            "server" => {
                let sid = parse_sid(id).ok_or(InvalidLine::Id)?;
                let member = Member::parse(sid, value).map_err(InvalidLine::Server)?;
                self.members.insert(sid, member);
            }
            "group" => {
                let group = GroupId(parse_id(id).ok_or(InvalidLine::Id)?);
                let sids: Option<Vec<Sid>> = value.split(':').map(parse_sid).collect();
                self.groups.insert(group, sids.ok_or(InvalidLine::Group)?);
            }
            "weight" => {
                let sid = parse_sid(id).ok_or(InvalidLine::Id)?;
                let weight = value.parse().map_err(|_| InvalidLine::Weight)?;
                self.weights.insert(sid, weight);
            }
            _ => return Err(InvalidLine::Key),
        }
        Ok(())
    }

    /// Returns the servers so far, by ascending id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// Makes a membership of the lines.
    ///
    /// # Errors
    /// Says why the lines do not go together.
    pub fn finish(self) -> Result<Membership, InvalidMembership> {
        if !self.members.values().any(Member::is_voter) {
            return Err(InvalidMembership::NoVoters);
        }
        let Self { version, members, groups, weights } = self;
        let rule = match (groups.is_empty(), weights.is_empty()) {
            (true, true) => QuorumRule::Majority,
            _ => QuorumRule::Hierarchical(hierarchy(&members, groups, weights)?),
        };
        let membership = Membership { version, members, rule };
        if membership.to_string().len() > TEXT_BYTES_MAX {
            return Err(InvalidMembership::TooLong);
        }
        Ok(membership)
    }
}

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("expected server.<id>, group.<id>, weight.<id> or version"),
            Self::Id => write!(f, "expected an id from 0 to {ID_MAX} after the dot"),
            Self::Server(problem) => fmt::Display::fmt(problem, f),
            Self::Group => f.write_str("expected ids of servers, separated by colons"),
            Self::Weight => write!(f, "expected a weight from 0 to {}", u32::MAX),
            Self::Version => f.write_str("expected a version in hexadecimal digits"),
        }
    }
}

impl std::error::Error for InvalidLine {}

impl fmt::Display for InvalidMembership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVoters => f.write_str("no server votes"),
            Self::Ungrouped(sid) => {
                write!(f, "there are groups or weights, but server {} is in no group", sid.0)
            }
            Self::GroupedTwice(group, sid) => {
                write!(f, "server {} of group {group} is in a group already", sid.0)
            }
            Self::NoVoterInGroup(group, sid) => {
                write!(f, "server {} of group {group} does not vote", sid.0)
            }
            Self::Weightless => f.write_str("no vote weighs anything, so nobody could lead"),
            Self::TooLong => write!(f, "the membership is longer than {TEXT_BYTES_MAX} bytes"),
            Self::Grouped => f.write_str("with groups, only a whole new membership can be given"),
        }
    }
}

impl std::error::Error for InvalidMembership {}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, problem } => write!(f, "line {line}: {problem}"),
            Self::Whole(problem) => fmt::Display::fmt(problem, f),
        }
    }
}

impl std::error::Error for InvalidText {}

/// The largest id of a server. Below are the numbers that servers without an id are given, above is
/// the one with which they come.
const ID_MAX: i64 = i64::MAX - 1;

/// The groups and weights of these members, if each voter is in one group.
fn hierarchy(
    members: &BTreeMap<Sid, Member>,
    lists: BTreeMap<GroupId, Vec<Sid>>,
    mut weights: BTreeMap<Sid, u32>,
) -> Result<Hierarchy, InvalidMembership> {
    let voters = || members.values().filter(|member| member.is_voter()).map(|member| member.sid);
    for sid in voters() {
        weights.entry(sid).or_insert(1);
    }
    let mut grouped = BTreeSet::new();
    let mut groups = BTreeMap::new();
    for (group, sids) in lists {
        for &sid in &sids {
            if !grouped.insert(sid) {
                return Err(InvalidMembership::GroupedTwice(group, sid));
            }
            // With a weight it would count for its group and never against it. Apache allows it.
            if !weights.contains_key(&sid) {
                return Err(InvalidMembership::NoVoterInGroup(group, sid));
            }
        }
        groups.insert(group, sids.into_iter().collect());
    }
    if let Some(sid) = voters().find(|sid| !grouped.contains(sid)) {
        return Err(InvalidMembership::Ungrouped(sid));
    }
    if voters().all(|sid| weights.get(&sid) == Some(&0)) {
        return Err(InvalidMembership::Weightless);
    }
    Ok(Hierarchy { groups, weights })
}

/// The key of a line, and its value: behind a `=`, a `:` or blanks, as Java's properties have it.
fn split_line(line: &str) -> (&str, &str) {
    let is_blank = |c: char| c.is_ascii_whitespace();
    let end = line.find(|c| matches!(c, '=' | ':') || is_blank(c)).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

fn parse_sid(text: &str) -> Option<Sid> {
    parse_id(text).map(Sid)
}

fn parse_id(text: &str) -> Option<i64> {
    text.parse().ok().filter(|id| (0..=ID_MAX).contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match Membership::parse(text) {
            Ok(membership) => {
                let again = Membership::parse(&membership.to_string());
                assert_eq!(again.as_ref(), Ok(&membership), "{text:?} read, written and read");
                membership.to_string()
            }
            Err(error) => format!("! {error}"),
        };
        assert_eq!(shown, expected, "{text:?}");
    }

    /// What servers of Apache sent each other: with a membership from `zoo.cfg`, and after a change.
    const CAPTURED: [&str; 2] = [
        "server.1=127.0.0.1:21815:21816:participant\n\
         server.2=127.0.0.1:21813:21814:participant\n\
         server.3=127.0.0.1:21823:21824:observer\n\
         version=0",
        "server.1=127.0.0.1:21815:21816:participant;127.0.0.1:21811\n\
         server.2=127.0.0.1:21813:21814:participant;127.0.0.1:21820\n\
         server.3=127.0.0.1:21823:21824:observer;127.0.0.1:21825\n\
         version=100000002",
    ];

    #[test]
    fn captured_texts_are_written_as_they_were_read() {
        for text in CAPTURED {
            check(text, text);
        }
        assert_eq!((CAPTURED[0].len(), CAPTURED[1].len()), (0x87, 0xbf));
    }

    #[test]
    fn members_are_found_by_id_and_role() {
        let membership = Membership::parse(CAPTURED[1]).unwrap();
        let ids = |members: &mut dyn Iterator<Item = &Member>| -> Vec<i64> {
            members.map(|member| member.sid.0).collect()
        };
        assert_eq!(ids(&mut membership.members()), [1, 2, 3]);
        assert_eq!(ids(&mut membership.voters()), [1, 2]);
        assert_eq!(ids(&mut membership.observers()), [3]);
        assert_eq!(membership.find(Sid(3)).map(|member| member.role), Some(Role::Observer));
        assert_eq!(membership.find(Sid(4)), None);
        assert_eq!(membership.version(), ConfigVersion(0x1_0000_0002));
        assert_eq!(membership.rule(), &QuorumRule::Majority);
        let newer = membership.clone().with_version(ConfigVersion(0x2_0000_000a));
        assert!(newer.to_string().ends_with("\nversion=20000000a"));
        assert!(newer.version() > membership.version());
    }

    /// What Apache 3.9.5 makes of the same texts.
    #[test]
    fn texts_are_read_as_apache_reads_them() {
        for (text, expected) in [
            ("server.1=a:1:2", "server.1=a:1:2:participant\nversion=0"),
            ("server.01=a:1:2\nversion=FF\n", "server.1=a:1:2:participant\nversion=ff"),
            ("server.1=a:1:2\nserver.1=b:1:2", "server.1=b:1:2:participant\nversion=0"),
            (
                "# comment\n\n!c\r\n server.2 = a:1:2\nserver.1 b:1:2\nserver.3:c:1:2",
                "server.1=b:1:2:participant\n\
                 server.2=a:1:2:participant\n\
                 server.3=c:1:2:participant\n\
                 version=0",
            ),
            (
                "server.3=a:1:2\nserver.1=b:1:2\nserver.2=c:1:2\n\
                 group.1=3:1\ngroup.2=2\nweight.2=5",
                "server.1=b:1:2:participant\n\
                 server.2=c:1:2:participant\n\
                 server.3=a:1:2:participant\n\
                 group.1=1:3\n\
                 group.2=2\n\
                 weight.1=1\n\
                 weight.2=5\n\
                 weight.3=1\n\
                 version=0",
            ),
            (
                "server.3=a:1:2\nserver.1=b:1:2\nserver.2=c:1:2:observer\n\
                 group.1=3:1:9\nweight.9=1",
                "server.1=b:1:2:participant\n\
                 server.2=c:1:2:observer\n\
                 server.3=a:1:2:participant\n\
                 group.1=1:3:9\n\
                 weight.1=1\n\
                 weight.3=1\n\
                 weight.9=1\n\
                 version=0",
            ),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn servers_are_in_ascending_order() {
        let text: String =
            [300, 17, 16, 5].map(|sid| format!("server.{sid}=a:1:2\n")).into_iter().collect();
        let membership = Membership::parse(&text).unwrap();
        assert_eq!(
            membership.members().map(|member| member.sid.0).collect::<Vec<_>>(),
            [5, 16, 17, 300]
        );
        assert!(membership.to_string().starts_with("server.5=a:1:2:participant\nserver.16="));
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        for (line, expected) in [
            ("foo=1", "expected server.<id>, group.<id>, weight.<id> or version"),
            ("server=1", "expected server.<id>, group.<id>, weight.<id> or version"),
            ("groups.1=1", "expected server.<id>, group.<id>, weight.<id> or version"),
            ("server.x=a:1:2", "expected an id from 0 to 9223372036854775806 after the dot"),
            ("server.=a:1:2", "expected an id from 0 to 9223372036854775806 after the dot"),
            ("server.-1=a:1:2", "expected an id from 0 to 9223372036854775806 after the dot"),
            (
                "server.9223372036854775807=a:1:2",
                "expected an id from 0 to 9223372036854775806 after the dot",
            ),
            ("server.2=a:1:1", "expected different ports for quorum and election, both are 1"),
            ("server.2=a:1:x", "\"x\": expected a port from 0 to 65535"),
            ("group.x=1", "expected an id from 0 to 9223372036854775806 after the dot"),
            ("group.1=", "expected ids of servers, separated by colons"),
            ("group.1=1::2", "expected ids of servers, separated by colons"),
            ("group.1=1 : 2", "expected ids of servers, separated by colons"),
            ("weight.1=-1", "expected a weight from 0 to 4294967295"),
            ("weight.1=4294967296", "expected a weight from 0 to 4294967295"),
            ("version=", "expected a version in hexadecimal digits"),
            ("version=-1", "expected a version in hexadecimal digits"),
            ("version=0x10", "expected a version in hexadecimal digits"),
            ("version=8000000000000000", "expected a version in hexadecimal digits"),
        ] {
            check(&format!("server.1=a:1:2\n\n{line}"), &format!("! line 3: {expected}"));
        }
    }

    #[test]
    fn lines_have_to_go_together() {
        let servers = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer";
        for (lines, expected) in [
            ("weight.1=1", "there are groups or weights, but server 1 is in no group"),
            ("group.1=1", "there are groups or weights, but server 2 is in no group"),
            ("group.1=1:2:1", "server 1 of group 1 is in a group already"),
            ("group.1=1:2\ngroup.2=2", "server 2 of group 2 is in a group already"),
            ("group.1=1:2\ngroup.7=3", "server 3 of group 7 does not vote"),
            ("group.1=1:2:9", "server 9 of group 1 does not vote"),
            (
                "group.1=1:2:3\nweight.1=0\nweight.2=0\nweight.3=1",
                "no vote weighs anything, so nobody could lead",
            ),
        ] {
            check(&format!("{servers}\n{lines}"), &format!("! {expected}"));
        }
        check("server.1=a:1:2:observer", "! no server votes");
        check("version=1", "! no server votes");
        check("", "! no server votes");
    }

    #[test]
    fn texts_are_bounded() {
        let long = |servers: i64| -> String {
            let host = "x".repeat(HOST_BYTES_MAX);
            (1..=servers).map(|sid| format!("server.{sid}={host}:1:2\n")).collect()
        };
        // Each line has 270 bytes as it is given, and 12 more as it is written.
        assert!(Membership::parse(&long(1_800)).is_ok());
        let too_long = "! the membership is longer than 524244 bytes";
        assert!(long(1_900).len() < TEXT_BYTES_MAX);
        check(&long(1_900), too_long);
        check(&long(2_000), too_long);
    }

    #[test]
    fn versions_are_hexadecimal() {
        for (digits, version) in [("0", 0), ("100000002", 0x1_0000_0002), ("fF", 255)] {
            assert_eq!(ConfigVersion::parse(digits), Some(ConfigVersion(version)), "{digits}");
        }
        for digits in ["", "-1", "x", "next", "8000000000000000"] {
            assert_eq!(ConfigVersion::parse(digits), None, "{digits}");
        }
        assert_eq!(ConfigVersion(0x1_0000_000a).to_string(), "10000000a");
    }

    #[test]
    fn hierarchies_know_every_voters_weight() {
        let text = "server.1=a:1:2\nserver.2=b:1:2\ngroup.4=1:2\nweight.2=0";
        let membership = Membership::parse(text).unwrap();
        let QuorumRule::Hierarchical(hierarchy) = membership.rule() else { panic!("no groups") };
        assert_eq!([1, 2, 3].map(|sid| hierarchy.weight(Sid(sid))), [1, 0, 0]);
        let groups: Vec<_> = hierarchy.groups().collect();
        assert_eq!(groups, [(GroupId(4), &BTreeSet::from([Sid(1), Sid(2)]))]);
    }
}
