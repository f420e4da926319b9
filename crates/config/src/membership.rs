//! Who is in the ensemble, and which of its members this server is.

use std::io;
use std::path::{Path, PathBuf};

use types::membership::{
    ConfigVersion, Draft, HostPort, InvalidMembership, Member, Membership, QuorumRule,
};
use types::{ExtendedTypes, Sid};

use crate::error::MembershipProblem;
use crate::layer::{self, Layers, MembershipLine};
use crate::membership_files::{MembershipFiles, PENDING_SUFFIX};
use crate::setting::{
    DATA_DIR, DYNAMIC_CONFIG_FILE, MULTI_ADDRESS_ENABLED, ORACLE_PATH, PEER_TYPE, RECONFIG_ENABLED,
    STANDALONE_ENABLED,
};
use crate::{ConfigError, Origin, Warning};

/// What the lines of a membership make of this server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Described {
    /// It is alone.
    Standalone(Option<ClientEndpoint>),
    /// It is one of several servers, or of one that may become several.
    Member(Box<Place>),
}

/// A place in an ensemble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Where the first server's line is.
    pub(crate) origin: Origin,
    /// All places.
    pub(crate) membership: Membership,
    /// What the places were about to become.
    pub(crate) pending: Option<Membership>,
    /// Whose this one is: one of the members.
    pub(crate) sid: Sid,
    /// Where changes are kept, if there may be any.
    pub(crate) files: Option<MembershipFiles>,
    /// How many voters there have to be, so that this server stays one of an ensemble.
    pub(crate) voters_min: usize,
    /// Where its line says that clients connect.
    pub(crate) client: Option<ClientEndpoint>,
}

/// Where a server line says that clients connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClientEndpoint {
    /// The key of the line.
    pub(crate) key: String,
    pub(crate) address: HostPort,
    pub(crate) origin: Origin,
}

/// The file in `dataDir` that says which of the members this server is.
const MY_ID: &str = "myid";

/// The highest id of a server whose znodes can have a time to live, since the owner of such a znode
/// has a larger number where those of ephemerals have the id.
const EXTENDED_SID_MAX: Sid = Sid(254);

/// Voters from which on one may fail.
const VOTERS_RECOMMENDED: usize = 3;

/// Moves the membership of the dynamic file, if one is named, into the layers.
pub(crate) fn add_dynamic_file(
    layers: &mut Layers,
    read: impl FnOnce(&Path) -> Result<Vec<u8>, ConfigError>,
) -> Result<(), ConfigError> {
    let Some(path) = layers.value(&DYNAMIC_CONFIG_FILE)? else { return Ok(()) };
    if let Some(line) = layers.membership.first() {
        let origin = line.given.origin.clone();
        return Err(ConfigError::Membership { origin, problem: MembershipProblem::InTwoFiles });
    }
    for entry in layer::parse_file(&path, &read(&path)?)? {
        let origin = Origin::File { path: path.clone(), line: entry.line };
        if !layer::is_membership(&entry.key) {
            let problem = MembershipProblem::NotInDynamicFile(entry.key);
            return Err(ConfigError::Membership { origin, problem });
        }
        layers.give(&entry.key, &entry.value, origin);
    }
    Ok(())
}

/// Finds out whether this is a standalone server, or who it is and who the others are. `read` reads
/// the files of members: the one with this server's id, and the one with a pending membership.
///
/// # Errors
/// A membership is malformed or makes no sense, or this server is none of the members.
pub(crate) fn describe(
    layers: &mut Layers,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Described, ConfigError> {
    let is_standalone_enabled = layers.value(&STANDALONE_ENABLED)?;
    if layers.membership.is_empty() {
        if is_standalone_enabled {
            return Ok(Described::Standalone(None));
        }
        let origin = layers.origin(&STANDALONE_ENABLED.row);
        return Err(ConfigError::Membership { origin, problem: MembershipProblem::NoServers });
    }
    let draft = draft(layers)?;
    let origin = first_origin(layers);
    let voters = draft.members().filter(|member| member.is_voter()).count();
    let observers = draft.members().len() - voters;
    let problem = match (voters, observers) {
        (0, 1..) => MembershipProblem::ObserversOnly,
        (1, 0) if is_standalone_enabled => {
            let client = draft.members().find_map(|member| client_endpoint(layers, member));
            layers.warnings.push(Warning::SingleVoter { origin });
            return Ok(Described::Standalone(client));
        }
        (1, 1..) if is_standalone_enabled => MembershipProblem::ObserversOfStandalone,
        _ => {
            let membership = finish(layers, draft)?;
            warn_of_voters(layers, &membership)?;
            let sid = read_my_id(layers, &membership, &read)?;
            warn_of_peer_type(layers, &membership, sid)?;
            let pending = read_pending(layers, membership.version(), &read)?;
            let client = membership.find(sid).and_then(|member| client_endpoint(layers, member));
            let is_reconfigurable = layers.value(&RECONFIG_ENABLED)?;
            let files = layers.file.clone().filter(|_| is_reconfigurable);
            let files = files.map(|main| MembershipFiles::new(main, sid, membership.version()));
            let voters_min = if is_standalone_enabled { 2 } else { 1 };
            let place = Place { origin, membership, pending, sid, files, voters_min, client };
            return Ok(Described::Member(Box::new(place)));
        }
    };
    Err(ConfigError::Membership { origin, problem })
}

/// Makes sure that this id fits the kinds of znode that there are.
pub(crate) fn check_sid(place: &Place, extended_types: ExtendedTypes) -> Result<(), ConfigError> {
    if extended_types == ExtendedTypes::Disabled || place.sid <= EXTENDED_SID_MAX {
        return Ok(());
    }
    let (origin, sid) = (place.origin.clone(), place.sid);
    let problem = MembershipProblem::SidTooLarge { sid, max: EXTENDED_SID_MAX };
    Err(ConfigError::Membership { origin, problem })
}

/// Reads the lines one by one.
fn draft(layers: &mut Layers) -> Result<Draft, ConfigError> {
    let has_oracle = layers.value(&ORACLE_PATH)?.is_some();
    let mut draft = Draft::default();
    for MembershipLine { key, given } in &layers.membership {
        let origin = given.origin.clone();
        if has_oracle && !key.starts_with("server.") {
            let (key, reason) = (key.clone(), "with oraclePath all votes weigh the same");
            layers.warnings.push(Warning::WithoutEffect { key, reason, origin });
            continue;
        }
        draft.add(key, &given.text).map_err(|problem| {
            let (key, value) = (key.clone(), given.text.clone());
            let problem = MembershipProblem::Line { key, value, problem };
            ConfigError::Membership { origin, problem }
        })?;
    }
    let may_have_several = layers.value(&MULTI_ADDRESS_ENABLED)?;
    let mut members = draft.members().filter(|_| !may_have_several);
    if let Some(member) = members.find(|member| member.addresses().len() > 1) {
        let origin = origin_of_server(layers, member.sid);
        let problem = MembershipProblem::SeveralAddresses(member.sid);
        return Err(ConfigError::Membership { origin, problem });
    }
    drop(members);
    Ok(draft)
}

/// Makes sure that the lines go together.
fn finish(layers: &mut Layers, draft: Draft) -> Result<Membership, ConfigError> {
    let version = layers.value(&DYNAMIC_CONFIG_FILE)?.map(|path| version_of(&path));
    let membership = draft.finish().map_err(|problem| {
        let origin = match problem {
            InvalidMembership::Ungrouped(sid) => origin_of_server(layers, sid),
            InvalidMembership::GroupedTwice(group, _)
            | InvalidMembership::NoVoterInGroup(group, _) => origin_of(layers, "group", group.0),
            InvalidMembership::NoVoters
            | InvalidMembership::Weightless
            | InvalidMembership::TooLong
            | InvalidMembership::Grouped => first_origin(layers),
        };
        ConfigError::Membership { origin, problem: MembershipProblem::Whole(problem) }
    })?;
    if let Some((address, other, sid)) = membership.shared_address() {
        let problem = MembershipProblem::SharedAddress { address, other };
        return Err(ConfigError::Membership { origin: origin_of_server(layers, sid), problem });
    }
    Ok(membership.with_version(version.unwrap_or_default()))
}

/// The version of a dynamic file: the hexadecimal digits after the last dot of its name, or 0.
fn version_of(path: &Path) -> ConfigVersion {
    let name = path.to_string_lossy();
    let digits = name.rsplit_once('.').map(|(_, digits)| digits);
    digits.and_then(ConfigVersion::parse).unwrap_or_default()
}

/// Reads which of the members this server is.
fn read_my_id(
    layers: &mut Layers,
    membership: &Membership,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Sid, ConfigError> {
    let path = layers.value(&DATA_DIR)?.join(MY_ID);
    let sids = || membership.members().map(|member| member.sid).collect();
    let content = match read(&path) {
        Ok(content) => content,
        Err(source) => return Err(ConfigError::MyIdUnreadable { path, sids: sids(), source }),
    };
    let content = String::from_utf8_lossy(&content);
    let first_line = content.lines().next().unwrap_or_default().trim();
    let Ok(sid) = first_line.parse().map(Sid) else {
        let found = first_line.to_owned();
        return Err(ConfigError::MyIdMalformed { path, found, sids: sids() });
    };
    if membership.find(sid).is_none() {
        let problem = MembershipProblem::NotAMember { sid, my_id: path };
        return Err(ConfigError::Membership { origin: first_origin(layers), problem });
    }
    Ok(sid)
}

/// Reads the membership that was proposed last, unless it is committed.
fn read_pending(
    layers: &mut Layers,
    committed: ConfigVersion,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Option<Membership>, ConfigError> {
    let is_kept = layers.value(&RECONFIG_ENABLED)? && layers.value(&DYNAMIC_CONFIG_FILE)?.is_some();
    let Some(file) = layers.file.as_ref().filter(|_| is_kept) else { return Ok(None) };
    let mut path = file.clone().into_os_string();
    path.push(PENDING_SUFFIX);
    let path = PathBuf::from(path);
    let content = match read(&path) {
        Ok(content) => content,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    match Membership::parse(&String::from_utf8_lossy(&content)) {
        Ok(membership) => Ok(Some(membership).filter(|pending| pending.version() > committed)),
        Err(problem) => Err(ConfigError::PendingMalformed { path, problem }),
    }
}

fn client_endpoint(layers: &Layers, member: &Member) -> Option<ClientEndpoint> {
    let address = member.client.clone()?;
    let key = format!("server.{}", member.sid.0);
    Some(ClientEndpoint { key, address, origin: origin_of_server(layers, member.sid) })
}

/// Warns of voters that do not help when one fails. Groups have their own arithmetic.
fn warn_of_voters(layers: &mut Layers, membership: &Membership) -> Result<(), ConfigError> {
    let voters = membership.voters().count();
    let has_oracle = layers.value(&ORACLE_PATH)?.is_some();
    let is_useful = voters >= VOTERS_RECOMMENDED && !voters.is_multiple_of(2);
    let is_special = *membership.rule() != QuorumRule::Majority || (voters == 2 && has_oracle);
    if !is_useful && !is_special {
        let origin = first_origin(layers);
        layers.warnings.push(Warning::NumberOfVoters { voters, origin });
    }
    Ok(())
}

fn warn_of_peer_type(
    layers: &mut Layers,
    membership: &Membership,
    sid: Sid,
) -> Result<(), ConfigError> {
    let given = layers.value(&PEER_TYPE)?;
    let origin = layers.origin(&PEER_TYPE.row);
    match membership.find(sid) {
        Some(member) if member.role != given && origin != Origin::Default => {
            layers.warnings.push(Warning::PeerType { listed: member.role, origin });
        }
        _ => {}
    }
    Ok(())
}

/// Where the first server's line is, or else the first line.
fn first_origin(layers: &Layers) -> Origin {
    let is_server = |line: &&MembershipLine| line.key.starts_with("server.");
    let first = layers.membership.iter().find(is_server).or_else(|| layers.membership.first());
    first.map_or(Origin::Default, |line| line.given.origin.clone())
}

fn origin_of_server(layers: &Layers, sid: Sid) -> Origin {
    origin_of(layers, "server", sid.0)
}

/// Where the line `kind.id` is, which there is.
fn origin_of(layers: &Layers, kind: &str, id: i64) -> Origin {
    let is_it = |key: &str| {
        key.split_once('.').is_some_and(|(it, text)| it == kind && text.parse() == Ok(id))
    };
    // Of two spellings of a number the later counts.
    let line = layers.membership.iter().rfind(|line| is_it(&line.key));
    line.map_or_else(|| first_origin(layers), |line| line.given.origin.clone())
}
