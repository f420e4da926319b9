//! Plays the scripts in `tests/scripts/election`. Their commands:
//!
//! ```text
//! ensemble voters=1,2,3 observers=4 joining=5      who there is; at first nobody runs
//!          groups=1:2/3:4 weights=1:1:0:1          groups, and weights of the voters in their order
//!          delay=1ms notify_max=60s reconfig=on    ... servers adopt newer memberships
//! server 1 epoch=1 last_logged=1/5 voters=1,2      its history, `none` without a database; its own
//!                                                 idea of who there is
//! server 1 leads=no                               a part of that is missing
//! puppets 2,3                   servers that do what the script says
//! show calls votes outcomes     what is printed; at first votes and outcomes
//! start 1,2                     and look for a leader; without ids all
//! crash 1
//! look 1,2                      without a leader any more
//! established 1,2 epoch=2
//! membership 1,2 voters=1,2,3 observers=4 version=5
//! oracle 1 yes                  the oracle tells server 1 that it may decide alone; or `no`
//! delay 1-2 300ms               each way
//! cut 1-2,1-3    silence 1-2    heal
//! run 300ms                     lets time pass
//! run settled                   ... until all have a leader, two minutes at most
//! call 2 1                      puppet 2 calls 1
//! hang_up 2 1                   puppet 2 ends its latest connection with 1
//! say 2 1 Looking leader=2 epoch=0 last_logged=0/0 round=1 form=36 config=1,2,3@5
//! status
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use types::membership::Membership;
use types::{Counter, Epoch, Sid, Zxid};
use wire::election::{ElectionRound, Form, LastLogged, Notification, ServerState};
use zab::Oracle;

use crate::election::ensemble::{Ensemble, Shown};
use crate::support::network::Port;
use crate::support::script::{self, Command};

#[test]
fn scripts_print_what_they_say() {
    let world = || Ensemble::new(1, Duration::from_millis(1));
    script::check("election", world, run);
}

fn run(ensemble: &mut Ensemble, command: &Command) -> String {
    let words = command.words();
    let now = ensemble.network.now;
    match words[..] {
        ["ensemble"] => create(ensemble, command),
        ["server", sid] => describe(ensemble, self::sid(sid), command),
        ["puppets", sids] => {
            for sid in self::sids(sids) {
                ensemble.servers.get_mut(&sid).unwrap().is_puppet = true;
            }
        }
        ["show", ref kinds @ ..] => ensemble.shown = kinds.iter().map(|kind| shown(kind)).collect(),
        ["start"] => ensemble
            .servers
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|sid| ensemble.start(sid)),
        ["start", sids] => self::sids(sids).for_each(|sid| ensemble.start(sid)),
        ["crash", sids] => self::sids(sids).for_each(|sid| ensemble.crash(sid)),
        ["look", sids] => self::sids(sids).for_each(|sid| ensemble.look(sid)),
        ["established", sids] => {
            let epoch = Epoch(number(command, "epoch"));
            self::sids(sids).for_each(|sid| ensemble.establish(sid, epoch));
        }
        ["membership", sids] => {
            let membership = membership(command);
            self::sids(sids).for_each(|sid| ensemble.set_membership(sid, membership.clone()));
        }
        ["oracle", sid, "yes"] => ensemble.consult(self::sid(sid), Oracle::MayDecideAlone),
        ["oracle", sid, "no"] => ensemble.consult(self::sid(sid), Oracle::MustWait),
        ["delay", pairs, delay] => {
            for (one, other) in self::pairs(pairs) {
                ensemble.network.set_delay(one, other, duration(delay));
            }
        }
        ["cut", pairs] => {
            self::pairs(pairs).for_each(|(one, other)| ensemble.network.cut(one, other))
        }
        ["silence", pairs] => {
            self::pairs(pairs).for_each(|(one, other)| ensemble.network.silence(one, other));
        }
        ["heal"] => ensemble.network.heal(),
        ["run", "settled"] => {
            let end = now.after(Duration::from_secs(120));
            if !ensemble.run(end, Ensemble::is_settled) {
                return ensemble.take_record() + "nobody leads\n";
            }
        }
        ["run", time] => {
            ensemble.run(now.after(duration(time)), |_| false);
        }
        ["call", from, to] => ensemble.network.call(sid(from), sid(to), Port::Election),
        ["hang_up", from, to] => ensemble.hang_up(sid(from), sid(to)),
        ["say", from, to, state] => say(ensemble, sid(from), sid(to), state, command),
        ["status"] => return ensemble.take_record() + &status(ensemble),
        _ => panic!("no such command: {words:?}"),
    }
    ensemble.take_record()
}

fn create(ensemble: &mut Ensemble, command: &Command) {
    let delay = command.value("delay").map_or(Duration::from_millis(1), duration);
    *ensemble = Ensemble::new(1, delay);
    ensemble.shown = [Shown::Votes, Shown::Outcomes].into();
    ensemble.adopts = command.value("reconfig") == Some("on");
    if let Some(time) = command.value("notify_max") {
        ensemble.notify_max = duration(time);
    }
    let membership = membership(command);
    for sid in membership.voters().map(|member| member.sid) {
        ensemble.add(sid, membership.clone());
    }
    for sid in membership.observers().map(|member| member.sid) {
        ensemble.add(sid, membership.clone());
    }
    // Servers that the membership lacks: they want to join.
    for sid in command.value("joining").into_iter().flat_map(sids) {
        ensemble.add(sid, membership.clone());
    }
}

fn describe(ensemble: &mut Ensemble, sid: Sid, command: &Command) {
    let server = ensemble.servers.get_mut(&sid).unwrap();
    if command.value("epoch").is_some() {
        server.candidate.epoch = Epoch(number(command, "epoch"));
    }
    match command.value("last_logged") {
        Some("none") => server.candidate.last_logged = None,
        Some(text) => server.candidate.last_logged = Some(zxid(text)),
        None => {}
    }
    if let Some(leads) = command.value("leads") {
        server.candidate.may_lead = leads == "yes";
    }
    if command.value("voters").is_some() {
        server.membership = membership(command);
    }
}

fn say(ensemble: &mut Ensemble, from: Sid, to: Sid, state: &str, command: &Command) {
    let state = match state {
        "Looking" => ServerState::Looking,
        "Following" => ServerState::Following,
        "Leading" => ServerState::Leading,
        "Observing" => ServerState::Observing,
        _ => panic!("no such state: {state}"),
    };
    let config = match command.value("config") {
        Some(text) => {
            let (voters, version) = text.split_once('@').unwrap();
            membership_of(voters, "", version).to_string()
        }
        None => ensemble.servers[&from].membership.to_string(),
    };
    let form = match command.value("form") {
        None => Form::WithConfig { config: config.into() },
        Some("40") => Form::WithoutConfig,
        Some("36") => Form::WithoutVersion,
        Some(form) => panic!("no such form: {form}"),
    };
    let (leader, last_logged, epoch) = match command.value("leader").unwrap() {
        "nobody" => (None, LastLogged::Nobody, None),
        leader => {
            let last_logged = match command.value("last_logged").unwrap() {
                "none" => LastLogged::NoDatabase,
                text => LastLogged::Zxid(zxid(text)),
            };
            (Some(sid(leader)), last_logged, Some(Epoch(number(command, "epoch"))))
        }
    };
    let round = ElectionRound(number(command, "round").into());
    let notification = Notification { state, leader, last_logged, round, epoch, form };
    ensemble.say(from, to, &notification);
}

fn status(ensemble: &Ensemble) -> String {
    let mut out = String::new();
    for (sid, _, process) in ensemble.running() {
        let leader =
            process.leader.map_or_else(|| "nobody".to_owned(), |leader| leader.0.to_string());
        let (state, round) = (process.state().unwrap(), process.round().0);
        write!(out, "{} {state:?} leader={leader} round={round}", sid.0).unwrap();
        let deserters: Vec<String> =
            process.deserters().iter().map(|it| it.0.to_string()).collect();
        if !deserters.is_empty() {
            write!(out, " deserters={}", deserters.join(",")).unwrap();
        }
        out.push_str(if process.is_dissolved() { " dissolved\n" } else { "\n" });
    }
    out
}

fn membership(command: &Command) -> Membership {
    let (voters, observers) =
        (command.value("voters").unwrap(), command.value("observers").unwrap_or_default());
    let mut text = membership_of(voters, observers, command.value("version").unwrap_or("0"))
        .to_string()
        + "\n";
    for (group, members) in
        command.value("groups").into_iter().flat_map(|it| it.split('/')).zip(1..)
    {
        writeln!(text, "group.{members}={group}").unwrap();
    }
    let weights = command.value("weights").into_iter().flat_map(|it| it.split(':'));
    for (weight, sid) in weights.zip(sids(voters)) {
        writeln!(text, "weight.{}={weight}", sid.0).unwrap();
    }
    Membership::parse(&text).unwrap()
}

/// Without groups.
pub(crate) fn membership_of(voters: &str, observers: &str, version: &str) -> Membership {
    let mut text = String::new();
    for (sids, role) in [(voters, "participant"), (observers, "observer")] {
        for sid in self::sids(sids) {
            writeln!(text, "server.{0}=s{0}:2888:3888:{role}", sid.0).unwrap();
        }
    }
    Membership::parse(&format!("{text}version={version}")).unwrap()
}

fn shown(kind: &str) -> Shown {
    match kind {
        "calls" => Shown::Calls,
        "votes" => Shown::Votes,
        "outcomes" => Shown::Outcomes,
        _ => panic!("nothing like that is shown: {kind}"),
    }
}

fn number(command: &Command, key: &str) -> i32 {
    command.value(key).unwrap_or_else(|| panic!("{key} is missing")).parse().unwrap()
}

fn sid(text: &str) -> Sid {
    Sid(text.parse().unwrap())
}

fn sids(text: &str) -> impl Iterator<Item = Sid> {
    text.split(',').filter(|text| !text.is_empty()).map(sid)
}

fn pairs(text: &str) -> impl Iterator<Item = (Sid, Sid)> {
    text.split(',')
        .map(|pair| pair.split_once('-').unwrap())
        .map(|(one, other)| (sid(one), sid(other)))
}

fn zxid(text: &str) -> Zxid {
    let (epoch, counter) = text.split_once('/').unwrap();
    Zxid::new(Epoch(epoch.parse().unwrap()), Counter(counter.parse().unwrap()))
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(number) => Duration::from_millis(number.parse().unwrap()),
        None => Duration::from_secs(text.strip_suffix('s').unwrap().parse().unwrap()),
    }
}
