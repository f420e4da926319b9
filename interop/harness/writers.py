"""Clients that write all the time, remember what became of each write, and check it in the end.

A writer has a session, sends several requests before it waits for answers, and comes back with its
session when a connection ends, to its own member or to any. A write without an answer may have
happened or not; all others have an outcome. What holds for a history of writers:

* each acknowledged znode is there, created by the transaction that the answer named,
* nothing else is there than what was asked for,
* of each connection's requests a prefix was done; those of a session in their order,
* a write that was acknowledged before another one was sent comes before it.
"""

import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone

from harness.client import Client, Refused, creation

# Requests under way on one connection.
WINDOW = 4
# Between two rounds of a writer, so that histories stay small enough to compare in full.
PAUSE_SECONDS = 0.04
# Between two attempts to connect.
RETRY_SECONDS = 0.01
# How long a writer waits for an answer before it gives the connection up.
PATIENCE_SECONDS = 30
# Attempts to connect that take longer are noted.
LONG_SECONDS = 0.5
TIMEOUT_MS = 10_000
PARENT = "/history"


@dataclass
class Write:
    """One request: which connection of which session it went over, when, and what came back."""

    path: str
    session: int
    connection: int
    sent: float
    done: float = None
    # The transaction that did it; `None` while nobody knows.
    zxid: int = None


@dataclass
class History:
    """All writes of some writers, and what else happened."""

    writes: list = field(default_factory=list)
    # Sessions that were over although their writer was alive: when, and at which writer.
    expired: list = field(default_factory=list)
    refused: list = field(default_factory=list)

    def acknowledged(self) -> list:
        """Returns the writes that were answered, in the order of the answers."""
        answered = (write for write in self.writes if write.zxid is not None)
        return sorted(answered, key=lambda write: write.done)

    def faults(self, found: dict) -> list:
        """Compares with a tree, the transaction of creation by path; returns what is wrong."""
        wrong = [f"refused: {refusal}" for refusal in self.refused]
        asked = {write.path: write for write in self.writes}
        wrong += [f"{path} was never asked for" for path in found.keys() - asked.keys()]
        for write in self.acknowledged():
            if found.get(write.path) != write.zxid:
                kept = found.get(write.path)
                wrong.append(f"{write.path} was acknowledged at {write.zxid:x}, found: {kept}")
        wrong += self._out_of_order(found)
        wrong += self._against_time()
        return wrong

    def _out_of_order(self, found: dict) -> list:
        """Returns where a session's or a connection's requests were not done in their order."""
        wrong = []
        by_connection = {}
        for write in self.writes:
            by_connection.setdefault((write.session, write.connection), []).append(write)
        for writes in by_connection.values():
            done = [write.path in found for write in writes]
            if not all(done[: sum(done)]):
                at = writes[done.index(False)].path
                wrong.append(f"{at} was left out, and a later request of its connection done")
        by_session = {}
        for write in self.writes:
            if write.path in found:
                by_session.setdefault(write.session, []).append(found[write.path])
        for session, zxids in by_session.items():
            if zxids != sorted(zxids):
                wrong.append(f"requests of session {session:x} were not done in their order")
        return wrong

    def _against_time(self) -> list:
        """Returns writes that come before others which were acknowledged before they were sent."""
        wrong = []
        answered = self.acknowledged()
        latest, at = 0, 0
        for write in sorted(answered, key=lambda write: write.sent):
            while answered[at].done < write.sent:
                latest = max(latest, answered[at].zxid)
                at += 1
            if write.zxid < latest:
                wrong.append(f"{write.path} at {write.zxid:x} was sent after {latest:x} was done")
        return wrong

    def longest_gap(self, start: float, end: float) -> float:
        """Returns the longest time without an answer between two moments."""
        inside = (write.done for write in self.acknowledged() if start < write.done < end)
        moments = [start, *inside, end]
        return max(after - before for before, after in itertools.pairwise(moments))


class Writers:
    """Writers at some members, each at its own; or at any of them, if they are told to roam."""

    def __init__(self, members, roam: int = 0, seed: int = 1):
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.history = History()
        # What became of connections, for the report of a failure.
        self.attempts = []
        self._by_home = {}
        self._threads = []
        with members[0].client() as client:
            client.create(PARENT)
            client.close()
        for number, home in enumerate([*members, *[None] * roam], 1):
            choices = [home] if home else list(members)
            arguments = (f"{PARENT}/{number}", choices)
            self._by_home.setdefault(home, []).append(arguments[0])
            self._threads.append(threading.Thread(target=self._write, args=arguments, daemon=True))

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends all writers; what they have asked for is answered, or lost with its connection."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def acknowledged_at(self, member, start: float, end: float) -> list:
        """Returns what was answered to the writers of one member between two moments."""
        mine = tuple(f"{path}-" for path in self._by_home[member])
        return [it for it in self._answered(start, end) if it.path.startswith(mine)]

    def first_answer(self, member, since: float, sent_since: bool = True):
        """Returns when the first write at a member was answered since a moment, of those that were
        sent since then; `None` if none was.
        """
        answered = self.acknowledged_at(member, since, float("inf"))
        times = [it.done for it in answered if it.sent > since or not sent_since]
        return min(times, default=None)

    def _answered(self, start: float, end: float) -> list:
        with self._lock:
            writes = list(self.history.writes)
        return [it for it in writes if it.zxid is not None and start < it.done < end]

    def _write(self, path: str, choices: list) -> None:
        client, connections, numbers = None, 0, itertools.count(1)
        while not self._stop.is_set():
            client = self._connect(path, client, choices)
            if client is None:
                return
            connections += 1
            try:
                while not self._stop.is_set():
                    self._round(client, path, connections, numbers)
                    time.sleep(PAUSE_SECONDS)
            except Refused as refusal:
                self.history.refused.append(f"{path}: {refusal}")
            except OSError as failure:
                # Its requests have no outcome, which is noted with each.
                self._note(path, failure)
            client.drop()

    def _connect(self, path: str, client, choices):
        """Opens a session, or goes on with that of a client."""
        while not self._stop.is_set():
            with self._lock:
                member = self._random.choice(choices)
            began = time.monotonic()
            try:
                client = Client(member.address, client, PATIENCE_SECONDS, TIMEOUT_MS)
                self._note(path, f"connected to {member.sid}")
                return client
            except Refused:
                if client is not None:
                    self.history.expired.append((time.monotonic(), f"{client.session:x}"))
                client = None
            except OSError as failure:
                if time.monotonic() - began > LONG_SECONDS:
                    self._note(path, f"{failure} after {time.monotonic() - began:.1f} s")
                time.sleep(RETRY_SECONDS)
        return None

    def _note(self, path: str, what) -> None:
        moment = datetime.now(timezone.utc).strftime("%H:%M:%S.%f")
        self.attempts.append(f"{moment} {path}: {what}")

    def _round(self, client, path, connection, numbers) -> None:
        """Sends some requests, each for a znode of its own, and takes their answers."""
        sent = []
        for number in itertools.islice(numbers, WINDOW):
            now = time.monotonic()
            write = Write(f"{path}-{number}", client.session, connection, now)
            with self._lock:
                self.history.writes.append(write)
            client.post(*creation(write.path, b""))
            sent.append(write)
        for write in sent:
            zxid, _ = client.answer()
            write.done, write.zxid = time.monotonic(), zxid
