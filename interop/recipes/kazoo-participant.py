"""Takes part in recipes with kazoo, as it is told line by line; see `run` for what it is told.

Usage: `kazoo-participant.py ADDRESS NAME SESSION_MS`. With znodes named as kazoo names them, the recipes
are used as they are. With those of Curator, they are given its names, as kazoo's own read-write locks are
given theirs.
"""

import json
import struct
import sys
import threading

from kazoo.client import KazooClient
from kazoo.recipe.barrier import DoubleBarrier
from kazoo.recipe.election import Election
from kazoo.recipe.lock import Lock, ReadLock, WriteLock
from kazoo.recipe.queue import LockingQueue

# How long a worker waits for an item before it looks whether it is to end.
LOOK_SECONDS = 0.1

print_lock = threading.Lock()


class CuratorLock(Lock):
    """A lock among those of Curator's `InterProcessMutex`."""

    _NODE_NAME = "-lock-"
    _EXCLUDE_NAMES = ["-lock-"]


class CuratorWriteLock(WriteLock):
    """A writer among those of Curator's `InterProcessReadWriteLock`."""

    _NODE_NAME = "__WRIT__"
    _EXCLUDE_NAMES = ["__WRIT__", "__READ__"]


class CuratorReadLock(ReadLock):
    """A reader among those of Curator's `InterProcessReadWriteLock`."""

    _NODE_NAME = "__READ__"
    _EXCLUDE_NAMES = ["__WRIT__"]


class CuratorLatch(Lock):
    """A candidate among those of Curator's `LeaderLatch`."""

    _NODE_NAME = "-latch-"
    _EXCLUDE_NAMES = ["-latch-"]


class CuratorQueue(LockingQueue):
    """Curator's `DistributedQueue` at `entries`, with its lock path at `taken`."""

    VERSION, ITEM, END = 0x00010001, 1, 2

    def put(self, value, priority=None):
        self._ensure_paths()
        header = struct.pack(">iBi", self.VERSION, self.ITEM, len(value))
        self.client.create(
            f"{self._entries_path}/queue-", header + value + bytes([self.END]), sequence=True
        )

    def get(self, timeout=None):
        data = super().get(timeout)
        return data and data[struct.calcsize(">iBi") : -1]


LOCKS = {
    ("lock", "curator"): CuratorLock,
    ("lock", "kazoo"): Lock,
    ("write", "curator"): CuratorWriteLock,
    ("write", "kazoo"): WriteLock,
    ("read", "curator"): CuratorReadLock,
    ("read", "kazoo"): ReadLock,
    ("latch", "curator"): CuratorLatch,
    ("selector", "curator"): CuratorLock,
    ("selector", "kazoo"): Lock,
}
QUEUES = {"curator": CuratorQueue, "kazoo": LockingQueue}


def main() -> None:
    address, name, session_ms = sys.argv[1:]
    client = KazooClient(address, timeout=int(session_ms) / 1000)
    client.start()
    report(id="", event="ready")
    participant = Participant(client, name)
    for line in sys.stdin:
        participant.told(line.split())
    client.stop()


def report(**fields) -> None:
    """Prints one line."""
    with print_lock:
        print(json.dumps(fields), flush=True)


class Participant:
    """One session, and what it takes part in."""

    def __init__(self, client: KazooClient, name: str):
        self._client = client
        self._name = name
        self._signals = {}

    def told(self, words: list) -> None:
        """Begins something in a thread of its own, or lets what has begun go on."""
        number, verb, *more = words
        if verb == "go":
            self._signals[number].set()
            return
        self._signals[number] = threading.Event()
        threading.Thread(target=self._run, args=(number, verb, more), daemon=True).start()

    def _run(self, number: str, verb: str, more: list) -> None:
        try:
            getattr(self, verb)(number, self._signals[number], *more)
            report(id=number, event="done")
        except Exception as failure:
            report(id=number, event="failed", failure=repr(failure))

    def hold(self, number, _go, kind, naming, path, count) -> None:
        """Has its turn so many times."""
        for _ in range(int(count)):
            self._turn(number, kind, naming, path, lambda _token, _since: None)

    def acquire(self, number, go, kind, naming, path) -> None:
        """Has its turn until it is told to go on."""

        def body(token, since) -> None:
            report(id=number, event="acquired", token=token, since=since)
            go.wait()

        self._turn(number, kind, naming, path, body)

    def meet(self, number, go, path, count) -> None:
        """Enters a double barrier, and leaves it when it is told to."""
        barrier = DoubleBarrier(self._client, path, int(count))
        report(id=number, event="came", at=self._note(path))
        barrier.enter()
        report(id=number, event="entered", at=self._note(path))
        go.wait()
        report(id=number, event="leaving", at=self._note(path))
        barrier.leave()
        report(id=number, event="left", at=self._note(path))

    def put(self, _number, _go, naming, path, count) -> None:
        """Puts so many items into a queue."""
        queue = QUEUES[naming](self._client, path)
        for item in range(int(count)):
            queue.put(f"{self._name}-{item}".encode())

    def work(self, number, go, naming, path) -> None:
        """Takes items from a queue until it is told to stop."""
        queue = QUEUES[naming](self._client, path)
        while not go.is_set():
            item = queue.get(LOOK_SECONDS)
            if item is not None:
                report(id=number, event="took", item=item.decode())
                if not queue.consume():
                    raise AssertionError(f"{item} was taken away")

    def grab(self, number, go, naming, path) -> None:
        """Takes an item, and does not finish it before it is told to."""
        queue = QUEUES[naming](self._client, path)
        item = queue.get()
        report(id=number, event="took", item=item.decode())
        go.wait()
        queue.consume()

    def _turn(self, number, kind, naming, path, body) -> None:
        lock = LOCKS[kind, naming](self._client, path, self._name)

        def whole() -> None:
            token = self._client.exists(f"{path}/{lock.node}").czxid
            since = self._note(path)
            body(token, since)
            report(id=number, event="held", token=token, since=since, until=self._note(path))

        if kind in ("latch", "selector"):
            election = Election(self._client, path, self._name)
            election.lock = lock
            election.run(whole)
        else:
            with lock:
                whole()

    def _note(self, path) -> int:
        """Returns the transaction of a note in the journal."""
        return self._client.set(f"{path}-journal", self._name.encode()).mzxid


if __name__ == "__main__":
    main()
