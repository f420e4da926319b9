//! Who is in the ensemble: understood as far as it takes to tell a standalone server from a member.

use std::path::Path;

use crate::error::MembershipProblem;
use crate::layer::{self, Given, Layers, MembershipLine};
use crate::setting::{DYNAMIC_CONFIG_FILE, STANDALONE_ENABLED};
use crate::value::{HOST, PORT};
use crate::{ConfigError, Origin, Warning};

/// A `server.<sid>` line.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Server {
    is_observer: bool,
    client: Option<ClientEndpoint>,
}

/// Where a server line says clients connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClientEndpoint {
    /// All interfaces if it says none.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    pub(crate) origin: Origin,
}

const SERVER: &str = "server.<id>=host:port:port[:participant|:observer][|...][;[host:]port]";

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

/// Makes sure that this is a standalone server. Returns where clients connect, if the line of its
/// single voter says so.
///
/// # Errors
/// The membership is malformed, makes no sense, or describes an ensemble.
pub(crate) fn standalone(layers: &mut Layers) -> Result<Option<ClientEndpoint>, ConfigError> {
    let is_standalone_enabled = layers.value(&STANDALONE_ENABLED)?;
    let is_server = |line: &&MembershipLine| line.key.starts_with("server.");
    let Some(first) = layers.membership.iter().find(is_server).cloned() else { return Ok(None) };
    let servers = layers.membership.iter().filter(is_server).map(parse_server);
    let servers: Vec<Server> = servers.collect::<Result<_, _>>()?;
    let observers = servers.iter().filter(|server| server.is_observer).count();
    let voters = servers.len() - observers;
    let origin = first.given.origin;
    let problem = match (voters, observers) {
        (0, _) => MembershipProblem::ObserversOnly,
        (1, 0) if is_standalone_enabled => {
            layers.warnings.push(Warning::SingleVoter { origin });
            return Ok(servers.into_iter().find_map(|server| server.client));
        }
        (1, _) if is_standalone_enabled => MembershipProblem::ObserversOfStandalone,
        (voters, observers) => MembershipProblem::EnsembleUnsupported { voters, observers },
    };
    Err(ConfigError::Membership { origin, problem })
}

fn parse_server(line: &MembershipLine) -> Result<Server, ConfigError> {
    let Given { text, origin } = &line.given;
    let malformed = || ConfigError::Value {
        origin: origin.clone(),
        key: line.key.clone(),
        value: text.clone(),
        expected: SERVER.to_owned(),
    };
    let sid = line.key.strip_prefix("server.").unwrap_or_default();
    if sid.parse::<i64>().is_err() {
        return Err(malformed());
    }
    let (addresses, client) = match text.split_once(';') {
        Some((addresses, client)) => {
            (addresses, Some(parse_client(client.trim(), origin).ok_or_else(malformed)?))
        }
        None => (text.as_str(), None),
    };
    let mut roles = addresses.split('|').map(|address| is_observer(address.trim()));
    let is_observer = roles.next().flatten().ok_or_else(malformed)?;
    if roles.any(|role| role != Some(is_observer)) {
        return Err(malformed());
    }
    Ok(Server { is_observer, client })
}

/// Whether `host:port:port[:role]` names an observer; `None` if it is malformed.
fn is_observer(address: &str) -> Option<bool> {
    let (host, rest) = split_host(address)?;
    (HOST.parse)(host)?;
    let mut parts = rest.split(':');
    (PORT.parse)(parts.next()?)?;
    (PORT.parse)(parts.next()?)?;
    let role = match parts.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("participant") => Some(false),
        Some("observer") => Some(true),
        Some(_) => None,
    };
    if parts.next().is_some() { None } else { role }
}

/// Reads `[host:]port`; what a further semicolon adds is about TLS.
fn parse_client(text: &str, origin: &Origin) -> Option<ClientEndpoint> {
    let text = text.split(';').next().unwrap_or_default();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (Some((HOST.parse)(host)?), port),
        None => (None, text),
    };
    Some(ClientEndpoint { host, port: (PORT.parse)(port)?, origin: origin.clone() })
}

/// The host, in brackets or not, and what follows the colon after it.
fn split_host(address: &str) -> Option<(&str, &str)> {
    match address.starts_with('[') {
        true => address.split_once("]:").map(|(host, rest)| (&host[1..], rest)),
        false => address.split_once(':'),
    }
}
