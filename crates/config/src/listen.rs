//! Where clients connect.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use types::membership::HostPort;

use crate::error::MembershipProblem;
use crate::layer::Layers;
use crate::membership::{ClientEndpoint, Described};
use crate::setting::{
    CLIENT_PORT, CLIENT_PORT_ADDRESS, CLIENT_PORT_LISTEN_BACKLOG, CLIENT_TCP_KEEP_ALIVE,
};
use crate::{ConfigError, Origin, Sources, Warning};

/// Where clients connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// `clientPort` and `clientPortAddress`. The unspecified address of IPv6 stands for all
    /// interfaces of both families; where there is no IPv6, for all of IPv4. `None` if there is no
    /// port to listen on.
    pub client_address: Option<SocketAddr>,
    /// `clientPortListenBacklog`: connections that wait to be accepted; `None`: the system's choice.
    pub backlog: Option<u32>,
    /// `clientTcpKeepAlive`.
    pub tcp_keep_alive: bool,
}

impl Listen {
    /// Where clients connect to a server that is what its membership makes of it.
    pub(crate) fn from_layers(
        layers: &mut Layers,
        described: &Described,
        sources: Sources<'_>,
    ) -> Result<Self, ConfigError> {
        let configured = Self::configured(layers, sources)?;
        let endpoint = match described {
            Described::Standalone(endpoint) => endpoint.as_ref(),
            Described::Member(place) => place.client.as_ref(),
        };
        let client_address = match (described, endpoint) {
            (_, None) => configured,
            (Described::Standalone(_), Some(endpoint)) => match configured {
                Some(configured) => Some(configured),
                None => Some(endpoint.resolve(sources)?),
            },
            (Described::Member(_), Some(endpoint)) => Some(endpoint.agreed(configured, sources)?),
        };
        if let Some(ClientEndpoint { address, origin, .. }) = endpoint {
            if configured.is_none() {
                layers.imply(&CLIENT_PORT_ADDRESS.row, address.host.to_string(), origin);
            }
            layers.imply(&CLIENT_PORT.row, address.port.to_string(), origin);
        }
        if client_address.is_none() {
            layers.warnings.push(Warning::NoClientPort);
        }
        Ok(Self {
            client_address,
            backlog: layers.value(&CLIENT_PORT_LISTEN_BACKLOG)?,
            tcp_keep_alive: layers.value(&CLIENT_TCP_KEEP_ALIVE)?,
        })
    }

    /// What `clientPort` and `clientPortAddress` say.
    fn configured(
        layers: &mut Layers,
        sources: Sources<'_>,
    ) -> Result<Option<SocketAddr>, ConfigError> {
        let port = layers.value(&CLIENT_PORT)?;
        let host = layers.value(&CLIENT_PORT_ADDRESS)?;
        let origin = layers.origin(&CLIENT_PORT_ADDRESS.row);
        match (port, host) {
            (None, Some(_)) => Err(ConfigError::AddressWithoutPort { origin }),
            (None, None) => Ok(None),
            (Some(port), None) => Ok(Some((Ipv6Addr::UNSPECIFIED, port).into())),
            (Some(port), Some(host)) => {
                bound(sources, CLIENT_PORT_ADDRESS.row.key, (&host, port), &origin).map(Some)
            }
        }
    }
}

impl ClientEndpoint {
    /// Where that is.
    fn resolve(&self, sources: Sources<'_>) -> Result<SocketAddr, ConfigError> {
        let HostPort { host, port } = &self.address;
        bound(sources, &self.key, (host.as_str(), *port), &self.origin)
    }

    /// Where that is, unless `clientPort` says something else, and not just less.
    fn agreed(
        &self,
        configured: Option<SocketAddr>,
        sources: Sources<'_>,
    ) -> Result<SocketAddr, ConfigError> {
        let listed = self.resolve(sources)?;
        let is_other = |configured: &SocketAddr| {
            let is_vague = configured.ip().is_unspecified() && configured.port() == listed.port();
            *configured != listed && !is_vague
        };
        match configured.filter(is_other) {
            None => Ok(listed),
            Some(configured) => Err(ConfigError::Membership {
                origin: self.origin.clone(),
                problem: MembershipProblem::ClientAddresses {
                    configured,
                    listed: self.address.clone(),
                },
            }),
        }
    }
}

/// The address of a host that a key names. As with Java, all of IPv4 means all of both families, and of the
/// addresses of one name those of IPv4 come first: others may know only these.
fn bound(
    sources: Sources<'_>,
    key: &str,
    (host, port): (&str, u16),
    origin: &Origin,
) -> Result<SocketAddr, ConfigError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        let everywhere = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        let address = if address.is_unspecified() { everywhere } else { address };
        return Ok((address, port).into());
    }
    let unknown = |source| ConfigError::UnknownHost {
        origin: origin.clone(),
        key: key.to_owned(),
        host: host.to_owned(),
        source,
    };
    let addresses = (sources.look_up)(host, port).map_err(|source| unknown(Some(source)))?;
    addresses.into_iter().min_by_key(SocketAddr::is_ipv6).ok_or_else(|| unknown(None))
}
