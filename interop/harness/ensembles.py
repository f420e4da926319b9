"""Starts and stops ensembles whose members may be of different kinds."""

import random
import re

from harness import servers
from harness.client import Client, until

READY_SECONDS = 60
# Below those from which systems take the ports of outgoing connections: a member that comes back finds
# its own free.
PORTS = range(20_000, 30_000)
CONFIG = {"tickTime": "500", "initLimit": "20", "syncLimit": "10", "standaloneEnabled": "false"}
# A short memory for transactions, so that members that were away for long need a snapshot.
PROPERTIES = {**servers.EXTENDED_TYPES, "zookeeper.commitLogCount": "100"}


def free_port() -> int:
    """Returns a loopback port that nobody listens on and no outgoing connection is given."""
    while True:
        port = random.choice(PORTS)
        if servers.is_free(port):
            return port


class Member(servers.Server):
    """One server of an ensemble, by its id; `start` does not wait until it serves."""

    def __init__(self, sid: int, kind: str, lines: dict, config: dict):
        super().__init__(kind, config={**CONFIG, **config, **lines}, properties=PROPERTIES)
        self.sid = sid
        self.port = free_port()

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "myid").write_text(f"{self.sid}\n")
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


class Ensemble:
    """Voters of the given kinds with the ids 1, 2, ...; then observers."""

    def __init__(self, kinds, observers=(), config=None):
        roles = [(kind, "participant") for kind in kinds]
        roles += [(kind, "observer") for kind in observers]
        lines = {}
        for sid, (_, role) in enumerate(roles, 1):
            ports = f"{free_port()}:{free_port()}"
            lines[f"server.{sid}"] = f"127.0.0.1:{ports}:{role}"
        self.members = {}
        for sid, (kind, role) in enumerate(roles, 1):
            extra = {"peerType": "observer"} if role == "observer" else {}
            self.members[sid] = Member(sid, kind, lines, {**(config or {}), **extra})

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

    def leader(self) -> Member:
        """Returns the leader as soon as there is one that all running members serve under."""

        def settled() -> Member:
            modes = {member: member.mode() for member in self.running()}
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
        tails = (f"--- {it.sid} {it.kind}\n{it.log_tail(15)}" for it in self.members.values())
        return "\n".join(tails)
