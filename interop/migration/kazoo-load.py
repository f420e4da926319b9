"""Clients of kazoo that work without a pause, and note every request that fails.

Usage: `kazoo-load.py HOSTS FIRST LAST`: a client for each number, with a session and an ephemeral
of its own. Reports a JSON object a line: `ready` once, `failed` for each request that fails, and
`done` after the end of the standard input.
"""

import json
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.protocol.states import KazooState

SESSION_SECONDS = 10
PAUSE_SECONDS = 0.02
# Every so many creations one is read back, and one changed.
EVERY = 5

print_lock = threading.Lock()


def main() -> None:
    hosts, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    stop = threading.Event()
    clients = [Client(hosts, number, stop) for number in range(first, last + 1)]
    for client in clients:
        client.begin()
    report("ready", clients=[client.identity() for client in clients])
    sys.stdin.read()
    stop.set()
    for client in clients:
        client.end()
    outcomes = [client.outcome() for client in clients]
    for client in clients:
        client.close()
    report("done", clients=outcomes)


def report(event: str, **fields) -> None:
    """Prints one line."""
    with print_lock:
        print(json.dumps({"event": event, **fields}), flush=True)


class Client:
    """One session and what it asked for."""

    def __init__(self, hosts: str, number: int, stop: threading.Event):
        self._client = KazooClient(hosts, timeout=SESSION_SECONDS)
        self._client.add_listener(self._on_state)
        self._number = number
        self._stop = stop
        self._thread = threading.Thread(target=self._work)
        self._lost = 0
        self._requests = 0
        self.acknowledged, self.unknown = [], []

    def begin(self) -> None:
        """Opens the session and begins to work."""
        self._client.start(timeout=60)
        self._client.ensure_path("/load")
        self._client.create(f"/ephemeral-{self._number}", b"", ephemeral=True)
        self._session = self._client.client_id[0]
        self._thread.start()

    def identity(self) -> dict:
        """Returns its session and its ephemeral."""
        return {"session": f"{self._session:x}", "ephemeral": f"/ephemeral-{self._number}"}

    def end(self) -> None:
        """Waits until its last request is answered; leaves the session open."""
        self._thread.join()

    def close(self) -> None:
        """Ends the session."""
        self._client.stop()

    def outcome(self) -> dict:
        """Returns what it asked for, and what became of its session."""
        is_same = self._client.client_id[0] == self._session
        return {
            **self.identity(),
            "requests": self._requests,
            "lost": self._lost + (0 if is_same else 1),
            "acknowledged": self.acknowledged,
            "unknown": self.unknown,
        }

    def _on_state(self, state) -> None:
        if state == KazooState.LOST:
            self._lost += 1

    def _work(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            path = f"/load/{self._number}-{number}"
            data = path.encode()
            if self._ask("create", path, lambda: self._client.create(path, data)):
                self.acknowledged.append(path)
            else:
                self.unknown.append(path)
            if number % EVERY == 0 and self.acknowledged:
                known = self.acknowledged[-1]
                self._ask("get", known, lambda: self._read(known))
                self._ask("set", known, lambda: self._client.set(known, known.encode()))
            time.sleep(PAUSE_SECONDS)

    def _read(self, path: str) -> None:
        data, _ = self._client.get(path)
        if data != path.encode():
            report("wrong", path=path, data=repr(data))

    def _ask(self, what: str, path: str, request) -> bool:
        """Sends a request once; returns whether it was answered without an error."""
        self._requests += 1
        try:
            request()
            return True
        except KazooException as failure:
            report(
                "failed",
                at=time.time(),
                what=what,
                path=path,
                session=f"{self._session:x}",
                failure=type(failure).__name__,
            )
            return False


if __name__ == "__main__":
    main()
