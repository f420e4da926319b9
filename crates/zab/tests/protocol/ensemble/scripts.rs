//! Plays the scripts in `tests/scripts/protocol`. Their commands:
//!
//! ```text
//! ensemble voters=3 observers=1          who there is: 1, 2, 3 vote, 4 does not; at first nobody runs
//!          spares=1 reconfig=on          5 is not in the membership, which can be changed
//!          init_limit=20 sync_limit=5    in ticks of 100 ms
//!          history=500 snapshots=only    what is kept for learners, and whether they get it
//!          log=read                      ... and whether the log is read for them, two at a time
//!          snapshots_max=1 diffs_max=1   how many are synchronized at once before observers wait
//!          epoch_wait=50ms               how long a deserted leader waits for epochs
//!          pause=300ms                   how long observers hesitate at most
//!          masters=followers             observers learn from followers
//!          oracle=yes                    there is one, which says nothing so far
//!          stream=10ms                   how long a snapshot takes to be sent, or a part of the log
//! server 1 accepted=1 current=1 log=1/1..1/3,2/1     what is on its disk
//!          snapshot=2/0                  ... with a snapshot of this name
//! show packets storage roles deliveries pings times   what is printed; at first packets and roles
//! start 1,2        without ids all
//! crash 1
//! crash 1 at=sent:AckEpoch number=2      ... when it has sent that for the second time
//! stop 1 at=stored:accepted              time stands still when it comes to that
//! run 300ms        lets time pass
//! run settled      ... until all follow one leader and have delivered what it has
//! purge 3 1/4      its log has nothing any longer up to that, which is in a snapshot
//! spoil 3 1/6      from there on its log can not be read for learners
//! refuse_cut 1     its files do not allow the next cut
//! propose 3 2      leader 3 proposes two transactions
//! reconfig 3 1,2@7,4:observer     leader 3 proposes this membership; 2 is found elsewhere than before
//! confirm 3        somebody asks leader 3 whether it leads
//! oracle 1 yes     from now on the oracle lets server 1 decide alone; or `no`, or `silent`
//! use_up 3         leader 3 has no zxids left in its epoch
//! pause 1 1s       its process stands still; `stall` its disk
//! cut 1-2          silence 1-2          mute 1-2         from 1 to 2 only         heal
//! delay 1-2 300ms  each way
//! disk 5ms         how long a job of a disk takes from here on
//! closing 5ms      how long after it ended a connection a server may still hear from it
//! hang_up 1 3      learner 1 loses its connection to leader 3
//! dial 9 3         somebody unknown connects to the quorum port of 3
//! say 1 3 Ack zxid=1/5 ...               over the connection that there is, what 1 does not say by itself
//! status
//! ```
//!
//! A moment is a verb and what it is about: `sent`, `received`, of packets by their names, `Info`
//! being both `FollowerInfo` and `ObserverInfo`; `stores`, `stored`, of `log`, `accepted`, `current`,
//! `cut`, `snapshot`; `dialled`, `delivers`, `leads`, `follows`, `looks`.

use std::fmt::Write as _;
use std::time::Duration;

use types::{Counter, Epoch, Sid, Zxid};
use wire::quorum::{Cuts, LearnerInfo, Proposal, ToLeader, ToLearner, Touches};
use zab::{Input, LogReading, ObserverMasters, Oracle, SynchronizationsMax};

use crate::ensemble::world::disk::Entry;
use crate::ensemble::world::record::Shown;
use crate::ensemble::world::server::{Item, Role};
use crate::ensemble::world::{Plan, Then, Trap, World, membership};
use crate::support::network::Port;
use crate::support::script::{self, Command};

/// How long a script waits for servers to settle.
const SETTLING: Duration = Duration::from_secs(60);

#[test]
pub(crate) fn scripts_print_what_they_say() {
    script::check("protocol", || World::new(1, Plan::calm()), run);
}

fn run(world: &mut World, command: &Command) -> String {
    let words = command.words();
    let now = world.network.now;
    match words[..] {
        ["ensemble"] => *world = create(command),
        ["server", sid] => describe(world, self::sid(sid), command),
        ["show", ref kinds @ ..] => {
            world.record.shown = kinds.iter().map(|kind| shown(kind)).collect();
        }
        ["start"] => world.sids().into_iter().for_each(|sid| world.start(sid)),
        ["start", sids] => self::sids(sids).for_each(|sid| world.start(sid)),
        ["crash", sids] if command.value("at").is_none() => {
            self::sids(sids).for_each(|sid| world.crash(sid));
        }
        ["crash", sid] => set_trap(world, self::sid(sid), command, Then::Crash),
        ["stop", sid] => set_trap(world, self::sid(sid), command, Then::Stop),
        ["run", "settled"] => {
            if !world.run_until(now.after(SETTLING), World::agrees) {
                return world.record.take() + "they do not agree\n";
            }
        }
        ["run", time] => world.run_for(duration(time)),
        ["purge", sid, zxid] => {
            let server = world.servers.get_mut(&self::sid(sid)).unwrap();
            server.disk.durable.purged_up_to = self::zxid(zxid);
        }
        ["spoil", sid, zxid] => {
            let server = world.servers.get_mut(&self::sid(sid)).unwrap();
            server.disk.durable.spoiled_from = Some(self::zxid(zxid));
        }
        ["refuse_cut", sid] => {
            world.servers.get_mut(&self::sid(sid)).unwrap().disk.durable.refuses_cut = true;
        }
        ["propose", leader, count] => world.propose(sid(leader), count.parse().unwrap()),
        ["reconfig", leader, members] => {
            let members = members.split(',').map(str::to_owned);
            if !world.reconfigure(sid(leader), membership(members)) {
                return world.record.take() + "refused\n";
            }
        }
        ["confirm", leader] => world.ask(sid(leader)),
        ["oracle", sid, "silent"] => {
            world.oracles.remove(&self::sid(sid));
        }
        ["oracle", sid, answer] => {
            let oracle = match answer {
                "yes" => Oracle::MayDecideAlone,
                "no" => Oracle::MustWait,
                _ => panic!("no such answer: {answer}"),
            };
            world.oracles.insert(self::sid(sid), oracle);
        }
        ["use_up", leader] => world.step(sid(leader), "EpochUsedUp", Input::EpochUsedUp),
        ["pause", sid, time] => world.pause(self::sid(sid), duration(time)),
        ["stall", sid, time] => world.stall(self::sid(sid), duration(time)),
        ["cut", pair] => each(pair, |one, other| world.network.cut(one, other)),
        ["silence", pair] => each(pair, |one, other| world.network.silence(one, other)),
        ["mute", pair] => each(pair, |from, to| world.network.mute(from, to)),
        ["heal"] => world.network.heal(),
        ["delay", pair, time] => {
            each(pair, |one, other| world.network.set_delay(one, other, duration(time)));
        }
        ["disk", time] => world.plan.job = duration(time),
        ["closing", time] => world.network.closing = duration(time),
        ["hang_up", one, other] => world.network.disconnect(sid(one), sid(other)),
        ["dial", from, to] => {
            world.network.start(sid(from));
            world.network.call(sid(from), sid(to), Port::Quorum);
        }
        ["say", from, to, packet] => say(world, sid(from), sid(to), packet, command),
        ["status"] => return world.record.take() + &status(world),
        _ => panic!("no such command: {words:?}"),
    }
    world.record.take()
}

fn create(command: &Command) -> World {
    let calm = Plan::calm();
    let number = |key, default: i64| command.value(key).map_or(default, |it| it.parse().unwrap());
    let limit = |key, default: u32| u32::try_from(number(key, default.into())).unwrap();
    let plan = Plan {
        voters: number("voters", 3),
        observers: number("observers", 0),
        spares: number("spares", 0),
        is_reconfigurable: command.value("reconfig") == Some("on"),
        init_limit: limit("init_limit", calm.init_limit),
        sync_limit: limit("sync_limit", calm.sync_limit),
        history_min: usize::try_from(number("history", 500)).unwrap(),
        log_reading: match command.value("log") {
            Some("read") => LogReading::Unlimited,
            _ => LogReading::Off,
        },
        snapshots_only: command.value("snapshots") == Some("only"),
        epoch_wait: command.value("epoch_wait").map(duration),
        pause: command.value("pause").map_or(calm.pause, duration),
        synchronizations_max: SynchronizationsMax {
            snapshots: usize::try_from(number("snapshots_max", 10)).unwrap(),
            diffs: usize::try_from(number("diffs_max", 100)).unwrap(),
        },
        observer_masters: match command.value("masters") {
            Some("followers") => ObserverMasters::Followers,
            _ => ObserverMasters::Leader,
        },
        has_oracle: command.value("oracle") == Some("yes"),
        stream: command.value("stream").map_or(calm.stream, duration),
        ..calm
    };
    let mut world = World::new(1, plan);
    world.record.shown = [Shown::Packets, Shown::Roles].into();
    world
}

fn describe(world: &mut World, sid: Sid, command: &Command) {
    let ends = |range: &str| {
        let (first, last) = range.split_once("..").unwrap_or((range, range));
        (zxid(first), zxid(last))
    };
    for range in command.value("log").into_iter().flat_map(|it| it.split(',')) {
        let (first, last) = ends(range);
        let zxids = std::iter::successors(Some(first), |zxid| zxid.next());
        world.give(sid, zxids.take_while(|&zxid| zxid <= last));
    }
    let durable = &mut world.servers.get_mut(&sid).unwrap().disk.durable;
    let epoch =
        |key, default: Epoch| command.value(key).map_or(default, |it| Epoch(it.parse().unwrap()));
    durable.snapshot = command.value("snapshot").map_or(Zxid::ZERO, zxid);
    durable.current = epoch("current", durable.last_logged().epoch());
    durable.accepted = epoch("accepted", durable.current);
}

fn set_trap(world: &mut World, sid: Sid, command: &Command, then: Then) {
    let countdown = command.value("number").map_or(1, |it| it.parse().unwrap());
    let moment = command.value("at").unwrap().to_owned();
    world.traps.push(Trap { sid, moment, countdown, then });
}

/// Says something in a server's name, right now.
fn say(world: &mut World, from: Sid, to: Sid, packet: &str, command: &Command) {
    let mut bytes = Vec::new();
    let item = match to_leader(from, packet, command) {
        Some(packet) => {
            packet.encode(&mut bytes);
            Item::ToLeader(bytes)
        }
        None => {
            say_to_learner(packet, command, &mut bytes);
            Item::ToLearner(bytes)
        }
    };
    let link = |port| world.network.link(from, to, port);
    let link =
        link(Port::Quorum).or_else(|| link(Port::ObserverMaster)).expect("they are connected");
    if matches!(packet, "Proposal" | "Inform") {
        let zxid = zxid(command.value("zxid").unwrap());
        world.ledger.has(&[Entry { zxid, payload: payload(zxid) }]);
    }
    world.forged.insert(world.network.other_end(link).unwrap());
    world.network.send(link, item);
}

fn to_leader(from: Sid, packet: &str, command: &Command) -> Option<ToLeader<'static>> {
    let epoch = |key| command.value(key).map(|it| Epoch(it.parse().unwrap()));
    let info = || LearnerInfo {
        sid: command.value("sid").map_or(from, sid),
        accepted_epoch: epoch("accepted").unwrap(),
        config_version: Some(command.value("version").map_or(0, |it| it.parse().unwrap())),
        cuts: match command.value("cuts") {
            Some("log") => Cuts::Log,
            _ => Cuts::Snapshots,
        },
    };
    Some(match packet {
        "FollowerInfo" => ToLeader::FollowerInfo(info()),
        "ObserverInfo" => ToLeader::ObserverInfo(info()),
        "AckEpoch" => ToLeader::AckEpoch {
            last_logged: command.value("last_logged").map(zxid),
            current_epoch: epoch("current"),
        },
        "AckNewLeader" => ToLeader::AckNewLeader { epoch: epoch("epoch").unwrap() },
        "Ack" => ToLeader::Ack { zxid: zxid(command.value("zxid").unwrap()) },
        "Pong" => ToLeader::Ping { last_proposed: Zxid::ZERO, touches: Touches::NONE },
        _ => return None,
    })
}

fn say_to_learner(packet: &str, command: &Command, bytes: &mut Vec<u8>) {
    let zxid = || zxid(command.value("zxid").unwrap());
    let epoch = || Epoch(command.value("epoch").unwrap().parse().unwrap());
    let payload = payload(command.value("zxid").map_or(Zxid::ZERO, |_| zxid()));
    let proposal = Proposal::new(&payload).unwrap();
    let packet = match packet {
        "LeaderInfo" => ToLearner::LeaderInfo { epoch: epoch() },
        "Diff" => ToLearner::Diff { last_committed: zxid() },
        "Truncate" => ToLearner::Truncate { keep: zxid() },
        "Snapshot" => ToLearner::Snapshot { last_applied: zxid() },
        "NewLeader" => ToLearner::NewLeader { epoch: epoch(), config: None },
        "UpToDate" => ToLearner::UpToDate,
        "Proposal" => ToLearner::Proposal(proposal),
        "Inform" => ToLearner::Inform(proposal),
        "Commit" => ToLearner::Commit { zxid: zxid() },
        "Ping" => ToLearner::Ping { last_proposed: Zxid::ZERO },
        _ => panic!("no such packet: {packet}"),
    };
    packet.encode(bytes);
}

/// Of a transaction that nobody proposed.
fn payload(zxid: Zxid) -> Vec<u8> {
    [&[0; 12][..], &zxid.raw().to_be_bytes()].concat()
}

fn status(world: &World) -> String {
    let mut out = String::new();
    for (sid, server) in &world.servers {
        let durable = &server.disk.durable;
        let role = match server.role() {
            None => "is down".to_owned(),
            Some(Role::Looking) => "looks".to_owned(),
            Some(Role::Leading(epoch)) => format!("leads epoch {}", epoch.0),
            Some(Role::Following(leader, epoch)) => {
                format!("follows {} epoch {}", leader.0, epoch.0)
            }
        };
        let last = durable.last_logged();
        let (epoch, counter) = (last.epoch().0, last.counter().0);
        let (accepted, current) = (durable.accepted.0, durable.current.0);
        write!(out, "{} {role} accepted={accepted} current={current}", sid.0).unwrap();
        writeln!(out, " last_logged={epoch}/{counter} entries={}", durable.log.len()).unwrap();
    }
    out
}

fn shown(kind: &str) -> Shown {
    match kind {
        "packets" => Shown::Packets,
        "pings" => Shown::Pings,
        "storage" => Shown::Storage,
        "roles" => Shown::Roles,
        "deliveries" => Shown::Deliveries,
        "times" => Shown::Times,
        _ => panic!("nothing like that is shown: {kind}"),
    }
}

fn sid(text: &str) -> Sid {
    Sid(text.parse().unwrap())
}

fn sids(text: &str) -> impl Iterator<Item = Sid> {
    text.split(',').map(sid)
}

fn each(pairs: &str, mut act: impl FnMut(Sid, Sid)) {
    for pair in pairs.split(',') {
        let (one, other) = pair.split_once('-').unwrap();
        act(sid(one), sid(other));
    }
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
