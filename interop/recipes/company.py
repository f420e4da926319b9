"""The programs that take part, each a process with a session of its own, and what they report."""

import collections
import json
import signal
import subprocess
import threading

import checker
from harness import servers

# Those who are killed are missed sooner than the others, whose sessions outlive a slow machine.
VICTIMS = ("rust2", "kazoo2", "curator2")
VICTIM_MS, SESSION_MS = 5_000, 20_000
# How long anything may take.
STEP_SECONDS = 30


class Participant:
    """One process, and what it reports."""

    def __init__(self, name: str, command, address: str):
        self.name = name
        session_ms = VICTIM_MS if name in VICTIMS else SESSION_MS
        self._process = subprocess.Popen(
            [*map(str, command), address, name, str(session_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._reports = collections.defaultdict(list)
        self._news = threading.Condition()
        self._begun = 0
        threading.Thread(target=self._read, daemon=True).start()

    def begin(self, *words) -> str:
        """Tells it to do something; returns the number by which it reports that."""
        self._begun += 1
        self._tell(self._begun, *words)
        return str(self._begun)

    def go(self, number: str) -> None:
        """Lets go on what was begun."""
        self._tell(number, "go")

    def of(self, number: str, event: str) -> list:
        """Returns the reports of one kind until now."""
        with self._news:
            return [it for it in self._reports[number] if it["event"] == event]

    def expect(self, number: str, event: str, count: int = 1) -> list:
        """Waits for so many reports of a kind, and returns all of them."""

        def has_come() -> bool:
            if failures := self.of(number, "failed"):
                raise AssertionError(f"{self.name}: {failures[0]['failure']}")
            return len(self.of(number, event)) >= count

        with self._news:
            if not self._news.wait_for(has_come, STEP_SECONDS):
                seen = self._reports[number]
                raise TimeoutError(f"{self.name} did not report {event}, but {seen[-3:]}")
        return self.of(number, event)

    def end(self, number: str) -> None:
        """Lets something go on, and waits until it is done."""
        self.go(number)
        self.expect(number, "done")

    def kill(self) -> None:
        """Ends it at once."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def logs(self) -> str:
        """Returns what became of it, for the report of a failure."""
        code = self._process.poll()
        return f"--- {self.name}: " + ("runs" if code is None else f"ended with {code}")

    def _tell(self, *words) -> None:
        self._process.stdin.write(" ".join(map(str, words)) + "\n")

    def _read(self) -> None:
        for line in self._process.stdout:
            report = json.loads(line)
            with self._news:
                self._reports[report["id"]].append(report)
                self._news.notify_all()


class Company:
    """All participants, by name."""

    def __init__(self, server: servers.Server, commands: dict):
        self._server = server
        self._participants = {}
        for number in (1, 2):
            for library, command in commands.items():
                name = f"{library}{number}"
                self._participants[name] = Participant(name, command, server.address)
        for participant in self:
            participant.expect("", "ready")

    def __iter__(self):
        return iter(self._participants.values())

    def __getitem__(self, name: str) -> Participant:
        return self._participants[name]

    def of(self, libraries) -> list:
        """Returns the participants of some libraries, those of different ones next to one another."""
        return [it for it in self if checker.library(it.name) in libraries]

    def first_of(self, libraries) -> list:
        """Returns one participant of each of some libraries."""
        return [self[f"{library}1"] for library in libraries]

    def logs(self) -> str:
        """Returns what became of all."""
        return "\n".join(it.logs() for it in self)

    def end(self) -> None:
        """Ends all that run."""
        for participant in self:
            participant.kill()
