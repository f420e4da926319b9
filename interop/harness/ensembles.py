"""Starts and stops ensembles whose members may be of different kinds."""

import random
import re

from harness import servers
from harness.client import Client, until
from harness.network import Network, Port

READY_SECONDS = 60
# Below those from which systems take the ports of outgoing connections: a member that comes back
# finds its own free.
PORTS = range(20_000, 30_000)
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


# Those that this process has chosen: a member may have been given one that it does not open yet.
_given = set()


def free_port() -> int:
    """Returns a loopback port that nobody listens on and no outgoing connection gets; each once."""
    while True:
        port = random.choice(PORTS)
        if port not in _given and servers.is_free(port):
            _given.add(port)
            return port


class Member(servers.Server):
    """One server of an ensemble, by its id; `start` does not wait until it serves."""

    def __init__(self, sid: int, kind: str, config: dict, properties: dict):
        words = {**PROPERTIES, **properties}
        super().__init__(kind, config={**CONFIG, **config}, properties=words)
        self.sid = sid
        self.port = free_port()

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "myid").write_text(f"{self.sid}\n")
        if servers.KINDS[self.kind] is not None:
            self.properties |= APACHE_PROPERTIES
        super().start()

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
        return until(READY_SECONDS, lambda: Client(self.address, resume))

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
        tails = (f"--- {it.sid} {it.kind}\n{it.log_tail(25)}" for it in self.members.values())
        return "\n".join(tails)
