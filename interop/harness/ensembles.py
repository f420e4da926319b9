"""Starts and stops ensembles whose members may be of different kinds, and compares what they have."""

import re
from dataclasses import dataclass

from harness import packages, servers
from harness.client import SEQUENTIAL, TIMEOUT_MS, Client, creation, until
from harness.network import Network, Port
from harness.servers import free_port

READY_SECONDS = 60
CONFIG = {"tickTime": "500", "initLimit": "20", "syncLimit": "10", "standaloneEnabled": "false"}
# How many transactions members remember for those that were away: as few as they can be told to.
REMEMBERED = 500
PROPERTIES = {**servers.EXTENDED_TYPES, "zookeeper.commitLogCount": str(REMEMBERED)}
# Lets leaders not read their logs back for those that were away for longer: these need a snapshot.
NO_LOG_READ = {"zookeeper.snapshotSizeFactor": "-1"}
# Lets them do so, however much there is to read.
LOG_READ = {"zookeeper.snapshotSizeFactor": "0"}
# Apache's two ways of logging: which of its classes says how a learner is brought up to date.
LEARNER = "org.apache.zookeeper.server.quorum.Learner"
APACHE_PROPERTIES = {
    f"org.slf4j.simpleLogger.log.{LEARNER}": "info",
    "log4j2.level": "info",
}
# What a learner says of how it gets its leader's history, by the kind of server.
WAYS = re.compile(
    r"receiving the history .*way=\"?(\w+)"
    r"|Getting a (diff|snapshot) from (?:the )?leader|(Truncating) log to get in sync"
)
WAY_NAMES = {"diff": "DIFF", "snapshot": "SNAP", "Truncating": "TRUNC"}
# Kinds of servers that may commit a write, and not tell its client before another request or commit
# comes (ZOOKEEPER-4537, mended in 3.8.1): as long as nobody else does anything, a client that sends no
# pings would wait for ever.
FORGETFUL = {"apache", "apache-3.8.0"}
# A third of the session's timeout: when clients ping that have sent nothing since.
REMIND_AFTER_SECONDS = TIMEOUT_MS / 3000
# Lines of `zoo.cfg` that let the membership change; anybody may do it.
RECONFIG = {"reconfigEnabled": "true", "skipACL": "yes"}
# What a server says of a tree that is not the leader's; Apache's with the transaction.
WRONG_DIGEST = re.compile(
    r"^.*(?:Digests are not matching|digest mismatch|digest of the (?:replayed )?tree differ).*$",
    re.MULTILINE | re.IGNORECASE,
)
WRONG_AT = re.compile(r"value:(\d+)", re.IGNORECASE)
# From which files a server made its tree, and what came behind them.
ABOUT_DIGESTS = re.compile(r"^.*(?:digest|snapshot|SNAP|DIFF|TRUNC).*$", re.MULTILINE | re.IGNORECASE)
# Every so many transactions a server tells its digest.
DIGEST_INTERVAL = 128
# Znodes that make every member tell digests of the same transactions, and where they are.
DIGESTED = 2 * DIGEST_INTERVAL + 50
DIGESTED_PARENT = "/digested"
# A log has these before anything else.
LOG_HEADER_BYTES = 16


class Member(servers.Server):
    """One server of an ensemble, by its id; `start` does not wait until it serves."""

    def __init__(self, sid: int, kind: str, config: dict, properties: dict):
        words = {**PROPERTIES, **properties}
        super().__init__(kind, config={**CONFIG, **config}, properties=words)
        self.sid = sid

    @property
    def title(self) -> str:
        return f"{self.sid}, {self.kind} at {self.port}"

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "myid").write_text(f"{self.sid}\n")
        if servers.KINDS[self.kind] is not None:
            self.properties |= APACHE_PROPERTIES
            self._remove_empty_logs()
        super().start()

    def _remove_empty_logs(self) -> None:
        """Does what operators do: an Apache server that was killed as it began a log does not start with it."""
        for log in (self.data / "version-2").glob("log.*"):
            if log.stat().st_size < LOG_HEADER_BYTES:
                packages.say(f"{self.title}: {log.name} is empty and is removed")
                log.unlink()

    def _wait_until_ready(self) -> None:
        """Members serve once there is a quorum, which the first one can not wait for."""

    def is_running(self) -> bool:
        """Returns whether its process has not ended."""
        return self._process is not None and self._process.poll() is None

    def mode(self) -> str:
        """Returns what it says it is: leader, follower, observer; empty while it does not serve."""
        if not self.is_running():
            return ""
        try:
            answer = self.four_letters("srvr")
        except OSError:
            return ""
        found = re.search(r"^Mode: (\w+)", answer, re.MULTILINE)
        return found.group(1) if found else ""

    def client(self, resume: Client = None) -> Client:
        """Returns a client as soon as the member serves."""
        patience = REMIND_AFTER_SECONDS if self.kind in FORGETFUL else None
        return until(READY_SECONDS, lambda: Client(self.address, resume, remind_after=patience))

    def ways(self) -> list:
        """Returns how it was brought to a leader's history, each time: DIFF, TRUNC or SNAP."""
        found = WAYS.finditer(self.log.read_text(errors="replace"))
        words = (next(filter(None, match.groups())) for match in found)
        return [WAY_NAMES.get(word, word) for word in words]

    def has_logged(self, data: bytes) -> bool:
        """Returns whether its transaction log holds these bytes."""
        logs = (self.data / "version-2").glob("log.*")
        return any(data in log.read_bytes() for log in logs)

    def digests(self) -> dict:
        """Returns the digests of its tree that it tells, by zxid."""
        told = re.findall(r"^([0-9a-f]+): (\d+)$", self.four_letters("hash"), re.MULTILINE)
        return dict(told)

    def metric(self, name: str) -> int:
        """Returns a number that `mntr` tells; `None` if it does not."""
        found = re.search(rf"^zk_{name}\t(-?\d+)", self.four_letters("mntr"), re.MULTILINE)
        return int(found.group(1)) if found else None

    def wrong_digests(self, since: int = 0) -> list:
        """Returns what it says about trees whose digest is not the leader's. Of Apache's servers what
        was before the transaction `since` is left out.
        """
        wrong = WRONG_DIGEST.findall(self.log.read_text(errors="replace"))
        if since and servers.KINDS[self.kind] is not None:
            moments = (WRONG_AT.search(line) for line in wrong)
            return [it.string for it in moments if it and int(it.group(1)) >= since]
        count = self.metric("digest_mismatches_count")
        return wrong if count == 0 else [*wrong, f"it counts {count}"]

    def about_digests(self) -> str:
        """Returns what explains wrong digests: the lines of its log, and its files."""
        lines = ABOUT_DIGESTS.findall(self.log.read_text(errors="replace"))
        files = sorted((self.data / "version-2").iterdir(), key=lambda it: it.stat().st_mtime)
        lines += [f"{it.stat().st_mtime:.3f} {it.stat().st_size} {it.name}" for it in files]
        return "".join(f"\n{line}" for line in lines)


class Lasting(Member):
    """One server that keeps its files of configuration as it was left: its membership changes."""

    def __init__(self, sid: int, kind: str, role: str = "participant", properties=None):
        super().__init__(sid, kind, RECONFIG, properties or {})
        self.ports = (free_port(), free_port())
        self.role = role

    def line(self, role: str = None, ports=None, client: int = None) -> str:
        """Returns its line in a membership, as it is or as it is to be."""
        quorum, election = ports or self.ports
        client = client or self.port
        role = role or self.role
        return f"server.{self.sid}=127.0.0.1:{quorum}:{election}:{role};127.0.0.1:{client}"

    def configure(self, lines) -> None:
        """Writes the files with which it starts for the first time."""
        settings = {**self.config, "dataDir": self.data}
        if self.role == "observer":
            settings["peerType"] = "observer"
        # The lines of the membership say where clients come.
        settings.pop("clientPortAddress")
        text = [f"{key}={value}" for key, value in settings.items()]
        self.configuration.write_text("\n".join([*text, *lines, ""]))

    def _configure(self) -> None:
        """Its files are there."""


@dataclass(frozen=True)
class Agreement:
    """How the members of an ensemble compare, in every field of every znode and by digests."""

    # Who was compared.
    members: set
    # How many znodes the first one has.
    znodes: int
    # Which znodes of whom are not as those of the first.
    differences: list
    # Of how many transactions all told a digest, and what is wrong with digests.
    digests: int
    wrong_digests: list

    def is_whole(self) -> bool:
        """Returns whether all trees are equal, as far as anybody can tell."""
        return self.znodes > 1 and self.digests > 0 and not self.differences + self.wrong_digests


class Ensemble:
    """Voters of the given kinds with the ids 1, 2, ...; then observers.

    `config` are more lines of everybody's `zoo.cfg`, `properties` more of their Java properties.
    With a `network` they reach each other through it.
    """

    def __init__(self, kinds, observers=(), config=None, properties=None, network: Network = None):
        roles = [(kind, "participant") for kind in kinds]
        roles += [(kind, "observer") for kind in observers]
        ports = {sid: (free_port(), free_port()) for sid in range(1, len(roles) + 1)}

        def line(me: int, sid: int) -> str:
            """Where a server is for another one: at its ports, or at proxies."""
            seen = ports[sid]
            if network is not None and me != sid:
                seen = [network.reach(me, sid, *port) for port in zip(Port, seen)]
            return f"127.0.0.1:{seen[0]}:{seen[1]}:{roles[sid - 1][1]}"

        self.members = {}
        for me, (kind, role) in enumerate(roles, 1):
            lines = {f"server.{sid}": line(me, sid) for sid in ports}
            extra = {"peerType": "observer"} if role == "observer" else {}
            settings = {**lines, **(config or {}), **extra}
            self.members[me] = Member(me, kind, settings, properties or {})

    def __enter__(self) -> "Ensemble":
        try:
            for member in self.members.values():
                member.start()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.discard()

    def discard(self) -> None:
        """Ends all members and removes their directories."""
        for member in self.members.values():
            member.discard()

    def running(self) -> list:
        """Returns the members whose processes run."""
        return [member for member in self.members.values() if member.is_running()]

    def leader(self, among=None) -> Member:
        """Returns the leader as soon as there is one that all running members serve under; or all
        of `among`, when others are not to be asked.
        """

        def settled() -> Member:
            modes = {member: member.mode() for member in among or self.running()}
            leaders = [member for member, mode in modes.items() if mode == "leader"]
            if len(leaders) != 1 or not all(modes.values()):
                raise OSError(f"no agreement: {[(it.sid, mode) for it, mode in modes.items()]}")
            return leaders[0]

        return until(READY_SECONDS, settled)

    def agreement(self, was_busy: bool = False) -> Agreement:
        """Compares all running members, after some writes that make them tell their digests.

        A snapshot that a leader sends while it writes is between two states. An Apache server takes
        that for a wrong digest until it has seen everything: if the ensemble `was_busy` when members
        came back, what was before these writes does not count.
        """
        with self.leader().client() as client:
            if not client.exists(DIGESTED_PARENT):
                client.create(DIGESTED_PARENT)
            for _ in range(DIGESTED):
                client.post(*creation(f"{DIGESTED_PARENT}/", b"digested", SEQUENTIAL))
            zxids = [client.answer()[0] for _ in range(DIGESTED)]
            client.close()
        since = zxids[0] if was_busy else 0
        dumps = self.dumps()
        first = next(iter(dumps.values()))
        differences = []
        for sid, dump in dumps.items():
            paths = {path for path in {*first, *dump} if first.get(path) != dump.get(path)}
            differences += [f"{sid} {path}" for path in sorted(paths)]
        told = {member.sid: member.digests() for member in self.running()}
        common = set.intersection(*(set(digests) for digests in told.values()))
        common = {zxid for zxid in common if int(zxid, 16) >= since}
        wrong = [f"at {zxid}" for zxid in common if len({it[zxid] for it in told.values()}) > 1]
        for member in self.running():
            wrong += [f"{member.sid}: {it}" for it in member.wrong_digests(since)]
        return Agreement(set(dumps), len(first), differences, len(common), wrong)

    def dumps(self) -> dict:
        """Returns the whole tree of each running member, after a sync, by id."""
        found = {}
        for member in self.running():
            with member.client() as client:
                client.sync()
                found[member.sid] = client.dump()
                client.close()
        return found

    def logs(self) -> str:
        """Returns the ends of all logs, for the report of a failure."""
        count = servers.LOG_LINES // len(self.members)
        return "\n".join(member.logs(count) for member in self.members.values())
