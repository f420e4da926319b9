//! Which instances of a service there are, and which of them to call.

mod json;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reefkeeper_client::Sessions;
use tokio::time::Instant;

use self::json::Value;
use crate::cache::{Cache, CacheEvents};
use crate::clock;
use crate::error::Error;
use crate::guid::Guid;
use crate::mutant;
use crate::persistent_ephemeral::{PersistentEphemeral, Presence};
use crate::tree_path::child;

/// How many calls of an instance may fail before it is left out for a while.
const FAILURES_MAX: u32 = 2;

/// How long an instance is left out whose calls fail, unless configured otherwise.
const LEFT_OUT: Duration = Duration::from_secs(30);

/// One running program that serves something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceInstance {
    /// What it serves: `mail`.
    pub service: String,
    /// Which of those who serve it; no other has this id.
    pub id: String,
    /// Where it is: a name or an address, without a port.
    pub address: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Its port for TLS.
    pub tls_port: Option<u16>,
    /// What else its callers should know, in the program's own words. That of an instance which others
    /// have registered, if it is not a text, is JSON.
    pub payload: Option<String>,
    /// When it was registered.
    pub registered: SystemTime,
    /// Whether it wants to be called; set it to false before it ends.
    pub is_enabled: bool,
}

impl ServiceInstance {
    /// An instance with a random id, registered now.
    pub fn new(service: impl Into<String>, address: impl Into<String>, port: u16) -> Self {
        Self {
            service: service.into(),
            id: Guid::random().to_string(),
            address: Some(address.into()),
            port: Some(port),
            tls_port: None,
            payload: None,
            registered: clock::now(),
            is_enabled: true,
        }
    }

    /// What else its callers should know.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<String>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// As Curator's `JsonInstanceSerializer` writes it.
    fn to_json(&self) -> String {
        let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
        let number =
            |port: Option<u16>| port.map_or(Value::Null, |port| Value::Number(port.to_string()));
        let registered = self.registered.duration_since(UNIX_EPOCH).unwrap_or_default();
        json::object(&[
            ("name", Value::Text(self.service.clone())),
            ("id", Value::Text(self.id.clone())),
            ("address", text(&self.address)),
            ("port", number(self.port)),
            ("sslPort", number(self.tls_port)),
            ("payload", text(&self.payload)),
            ("registrationTimeUTC", Value::Number(registered.as_millis().to_string())),
            ("serviceType", Value::Text("DYNAMIC".to_owned())),
            ("uriSpec", Value::Null),
            ("enabled", Value::Bool(self.is_enabled)),
        ])
    }

    /// `None` if it is not such a record.
    fn from_json(bytes: &[u8]) -> Option<Self> {
        let mut members = json::parse(std::str::from_utf8(bytes).ok()?)?;
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::Text(text) | Value::Nested(text) | Value::Number(text)) => Some(text),
            Some(Value::Bool(value)) => Some(value.to_string()),
            Some(Value::Null) | None => None,
        };
        let registered_ms = text("registrationTimeUTC").and_then(|time| time.parse().ok());
        Some(Self {
            service: text("name")?,
            id: text("id")?,
            address: text("address"),
            port: text("port").and_then(|port| port.parse().ok()),
            tls_port: text("sslPort").and_then(|port| port.parse().ok()),
            payload: text("payload"),
            registered: UNIX_EPOCH + Duration::from_millis(registered_ms.unwrap_or(0)),
            // Older versions of Curator do not write it.
            is_enabled: text("enabled").is_none_or(|enabled| enabled == "true"),
        })
    }
}

/// The registration of an instance, for as long as it lives.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Registration, ServiceInstance, ServiceProvider, Strategy};
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let instance = ServiceInstance::new("mail", "10.0.0.7", 25).payload("rack 3");
/// let mut registration = Registration::new(&sessions, "/services", &instance);
/// registration.registered().await?;
///
/// let mail = ServiceProvider::new(&sessions, "/services", "mail", Strategy::RoundRobin);
/// mail.synced().await?;
/// assert_eq!(mail.choose().map(|chosen| chosen.id), Some(instance.id));
/// registration.unregister().await?;
/// # Ok(()) });
/// ```
///
/// It is a [`PersistentEphemeral`]; what happens when things go wrong is told there. The layout and the
/// records are those of Curator's service discovery (`curator-x-discovery`), with dynamic instances.
#[derive(Debug)]
pub struct Registration {
    znode: PersistentEphemeral,
}

impl Registration {
    /// Registers an instance below a path that all services share.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(
        sessions: impl Into<Sessions>,
        base: impl AsRef<str>,
        instance: &ServiceInstance,
    ) -> Self {
        let path = child(&child(base.as_ref(), &instance.service), &instance.id);
        Self { znode: PersistentEphemeral::keep(sessions, path, instance.to_json()) }
    }

    /// Waits until others can see it.
    ///
    /// # Errors
    /// What ended it, if that comes first.
    pub async fn registered(&mut self) -> Result<(), Error> {
        self.znode.present().await
    }

    /// Whether others can see it.
    pub fn presence(&self) -> Presence {
        self.znode.presence()
    }

    /// Registers other facts of the same instance: its service and its id stay.
    pub fn update(&self, instance: &ServiceInstance) {
        self.znode.set_data(instance.to_json());
    }

    /// Takes it back, and waits until that is done.
    ///
    /// # Errors
    /// What made that uncertain, or ended it before.
    pub async fn unregister(self) -> Result<(), Error> {
        self.znode.remove().await
    }
}

/// Which of several instances is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The same as long as it is there and works.
    Sticky,
}

/// The instances of a service, and one of them to call.
///
/// See [`Registration`] for an example. It is a [`Cache`]; what happens when things go wrong is told there:
/// while the connection is lost it gives out what it knew last. Instances whose calls fail are left out for
/// a while, when they are reported.
#[derive(Debug)]
pub struct ServiceProvider {
    cache: Cache,
    strategy: Strategy,
    left_out: Duration,
    turn: AtomicUsize,
    /// Held only to look and to change.
    experience: Mutex<Experience>,
}

/// What callers have told.
#[derive(Default, Debug)]
struct Experience {
    /// By id: how often calls failed, and when last.
    failures: BTreeMap<String, (u32, Instant)>,
    /// The id of the one that is called again.
    sticky: Option<String>,
}

impl ServiceProvider {
    /// The instances of a service below a path that all services share.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(
        sessions: impl Into<Sessions>,
        base: impl AsRef<str>,
        service: impl AsRef<str>,
        strategy: Strategy,
    ) -> Self {
        Self {
            cache: Cache::of_children(sessions, child(base.as_ref(), service.as_ref())),
            strategy,
            left_out: LEFT_OUT,
            turn: AtomicUsize::new(0),
            experience: Mutex::default(),
        }
    }

    /// How long an instance is left out after its calls have failed twice. Default: 30 s.
    #[must_use]
    pub const fn leave_out_for(mut self, duration: Duration) -> Self {
        self.left_out = duration;
        self
    }

    /// Waits until all instances are known, as far as the server knows.
    ///
    /// # Errors
    /// What ended the cache.
    pub async fn synced(&self) -> Result<(), Error> {
        self.cache.synced().await
    }

    /// All instances, also those that are not enabled, by id. What is not a record of one is left out.
    pub fn instances(&self) -> Vec<ServiceInstance> {
        let entries = self.cache.entries();
        entries.iter().filter_map(|e| ServiceInstance::from_json(e.data.bytes())).collect()
    }

    /// Which instances come, change and go from now on.
    pub fn events(&self) -> CacheEvents {
        self.cache.events()
    }

    /// The instance to call now; `None` if there is none that is enabled and works.
    pub fn choose(&self) -> Option<ServiceInstance> {
        let mut instances = self.instances();
        let mut experience = self.experience();
        experience.failures.retain(|_, (_, last)| last.elapsed() < self.left_out);
        let is_enabled = |it: &ServiceInstance| it.is_enabled || mutant::active(43);
        instances.retain(|instance| is_enabled(instance) && experience.works(&instance.id));
        if instances.is_empty() {
            return None;
        }
        let place = match self.strategy {
            Strategy::RoundRobin => self.turn.fetch_add(1, Ordering::Relaxed) % instances.len(),
            Strategy::Random => random_below(instances.len()),
            Strategy::Sticky => {
                let same =
                    |instance: &ServiceInstance| experience.sticky.as_ref() == Some(&instance.id);
                instances.iter().position(same).unwrap_or_else(|| random_below(instances.len()))
            }
        };
        let chosen = instances.swap_remove(place);
        experience.sticky = Some(chosen.id.clone());
        Some(chosen)
    }

    /// A call of this instance failed: after two of them it is left out for a while.
    pub fn report_failure(&self, instance: &ServiceInstance) {
        let mut experience = self.experience();
        let now = Instant::now();
        let (count, last) = experience.failures.entry(instance.id.clone()).or_insert((0, now));
        *count += 1;
        *last = now;
    }

    fn experience(&self) -> std::sync::MutexGuard<'_, Experience> {
        // Nothing panics while it is held.
        self.experience.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Experience {
    fn works(&self, id: &str) -> bool {
        self.failures.get(id).is_none_or(|(count, _)| *count < FAILURES_MAX)
    }
}

fn random_below(bound: usize) -> usize {
    Guid::random().number_below(bound)
}
