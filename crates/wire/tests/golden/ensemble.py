#!/usr/bin/env python3
"""Writes down what three Apache servers of one release say to each other.

    ensemble.py VERSION FILE

Two voters and an observer run on loopback, and a client makes them go through the whole protocol.
Their ports are listened to on the loopback interface, which takes root. Each line of the file is
what one side of a connection sent before the other side had its say:

    election|quorum NUMBER >|< BYTES

`>` is from the server that connected; connections are numbered in the order in which they opened.
"""

import contextlib
import socket
import struct
import sys
import threading
import time
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent
sys.path.insert(0, str(GOLDEN.parents[3] / "interop"))

from harness import servers  # noqa: E402

CREATE, DELETE, SET_DATA, SYNC, MULTI, CREATE2, RECONFIG, CLOSE = 1, 2, 5, 9, 14, 15, 16, -11
EPHEMERAL = 1
OPEN_ACL = struct.pack(">iii5si6s", 1, 31, 5, b"world", 6, b"anyone")
NULL = struct.pack(">i", -1)
# A learner answers pings twice in a tick; this is long enough to see it.
PING_SECONDS = 1.5

PACKET_HOST = 0
SYN = 2


class Listener:
    """Gathers what is sent over TCP connections to the ports that it is told of."""

    def __init__(self, kinds):
        self._kinds = kinds
        self._next = {}
        self._numbers = {}
        self._pieces = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0800))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self):
        """Returns the lines of the file."""
        time.sleep(0.5)
        self._stopped.set()
        self._thread.join()
        self._socket.close()
        lines = []
        for name, direction, data in self._pieces:
            if lines and lines[-1][:2] == [name, direction]:
                lines[-1][2] += data
            else:
                lines.append([name, direction, data])
        return [f"{name} {direction} {data.hex()}" for name, direction, data in lines]

    def _run(self):
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                frame, (_, _, kind, _, _) = self._socket.recvfrom(1 << 18)
                # Loopback shows each packet twice: on its way out and on its way in.
                if kind == PACKET_HOST:
                    self._take(frame[14:])

    def _take(self, packet):
        if packet[9] != socket.IPPROTO_TCP:
            return
        segment = packet[(packet[0] & 15) * 4 : struct.unpack_from(">H", packet, 2)[0]]
        source, target, sequence = struct.unpack_from(">HHI", segment)
        data = segment[(segment[12] >> 4) * 4 :]
        stream = (source, target)
        if segment[13] & SYN:
            self._next[stream] = (sequence + 1) % (1 << 32)
            if target in self._kinds and (target, source) not in self._next:
                kind = self._kinds[target]
                number = sum(name.startswith(kind) for name in self._numbers.values()) + 1
                self._numbers[stream] = f"{kind} {number}"
            return
        if not data or stream not in self._next:
            return
        known = (self._next[stream] - sequence) % (1 << 32)
        if known >= len(data):
            return
        assert known == 0, "a segment is missing"
        self._next[stream] = (sequence + len(data)) % (1 << 32)
        if stream in self._numbers:
            self._pieces.append((self._numbers[stream], ">", data))
        elif (target, source) in self._numbers:
            self._pieces.append((self._numbers[target, source], "<", data))


class Member(servers.Server):
    """A server that does not serve before others run, too."""

    def wait(self):
        """Waits until it serves."""
        super()._wait_until_ready()

    def _wait_until_ready(self):
        pass


class Client:
    """A session, with as much of the client's protocol as is needed here."""

    def __init__(self, port, session=0, password=bytes(16)):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._xid = 0
        self._send(struct.pack(">iqiqi16s?", 0, 0, 20_000, session, 16, password, False))
        _, _, self.session, _, self.password = struct.unpack_from(">iiqi16s", self._receive())
        assert self.session, "the session was refused"

    def ask(self, opcode, *fields):
        """Sends a request, waits for its answer and returns the error in it."""
        self._xid += 1
        self._send(struct.pack(">ii", self._xid, opcode) + b"".join(fields))
        xid, _, error = struct.unpack_from(">iqi", self._receive())
        assert xid == self._xid
        return error

    def disconnect(self):
        """Leaves the session to itself."""
        self._socket.close()

    def _send(self, body):
        self._socket.sendall(struct.pack(">i", len(body)) + body)

    def _receive(self):
        (length,) = struct.unpack(">i", self._read(4))
        return self._read(length)

    def _read(self, count):
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            assert piece, "the server hung up"
            data += piece
        return data


def text(value):
    return struct.pack(">i", len(value)) + value.encode()


def number(value):
    return struct.pack(">i", value)


def create(path, flags=0):
    return text(path) + text("data of " + path) + OPEN_ACL + number(flags)


def mark(opcode, done=False):
    return struct.pack(">i?i", opcode, done, -1)


def ensemble(version):
    """Returns three servers, not started, and the kind of each port between them."""
    kinds, members = {}, {}
    for sid, role in ((1, "participant"), (2, "participant"), (3, "observer")):
        quorum, election = servers.free_port(), servers.free_port()
        kinds |= {quorum: "quorum", election: "election"}
        members[f"server.{sid}"] = f"127.0.0.1:{quorum}:{election}:{role}"
    started = {}
    for sid in (1, 2, 3):
        config = {**members, "reconfigEnabled": "true", "syncLimit": "10"}
        if sid == 3:
            config["peerType"] = "observer"
        server = Member(f"apache-{version}", config, {"zookeeper.skipACL": "yes"})
        server.data.mkdir(parents=True)
        (server.data / "myid").write_text(f"{sid}\n")
        started[sid] = server
    return started, kinds


def start(*members):
    """Starts servers that need each other, and waits until each serves."""
    for member in members:
        member.start()
    for member in members:
        member.wait()


def restart(*members, before_start=lambda: None):
    """Kills servers and starts them again."""
    for member in members:
        member.kill()
    before_start()
    start(*members)


def forget(member):
    """Takes from a server what it logged since its last start, and gives it an epoch more."""
    directory = member.data / "version-2"
    max(directory.glob("log.*"), key=lambda log: int(log.suffix[1:], 16)).unlink()
    for name in ("acceptedEpoch", "currentEpoch"):
        epoch = int((directory / name).read_text())
        (directory / name).write_text(str(epoch + 1))


def play(follower, leader, observer):
    """Makes the servers say all they have to say."""
    start(follower, leader)
    client = Client(follower.port)
    assert client.ask(CREATE, create("/a")) == 0
    assert client.ask(CREATE2, create("/e", EPHEMERAL)) == 0
    assert client.ask(SET_DATA, text("/a"), NULL, number(-1)) == 0
    assert client.ask(DELETE, text("/missing"), number(-1)) == -101
    operations = mark(CREATE) + create("/a/m") + mark(DELETE) + text("/a/m") + number(0)
    assert client.ask(MULTI, operations + mark(-1, done=True)) == 0
    assert client.ask(SYNC, text("/a")) == 0
    time.sleep(PING_SECONDS)

    # What the observer lacks comes as a snapshot; then the session moves to it.
    start(observer)
    client.disconnect()
    client = Client(observer.port, client.session, client.password)
    assert client.ask(CREATE, create("/o")) == 0
    assert client.ask(SYNC, text("/o")) == 0
    time.sleep(PING_SECONDS)
    client.disconnect()

    # What it lacks now comes as transactions.
    observer.kill()
    client = Client(follower.port, client.session, client.password)
    for path in ("/b", "/c", "/d"):
        assert client.ask(CREATE, create(path)) == 0
    start(observer)

    joining = f"server.4=127.0.0.1:{servers.free_port()}:{servers.free_port()}:observer;127.0.0.1:1"
    assert client.ask(RECONFIG, text(joining), NULL, NULL, struct.pack(">q", -1)) == 0
    assert client.ask(CLOSE) == 0

    # The leader loses its quorum, and there is another election.
    follower.kill()
    start(follower)
    client = Client(follower.port)
    assert client.ask(CREATE, create("/n")) == 0
    assert client.ask(CLOSE) == 0
    time.sleep(PING_SECONDS)
    observer.wait()
    client = Client(observer.port)
    assert client.ask(CLOSE) == 0

    # As if the follower had logged what nobody else has, and had then been away for an epoch.
    restart(follower, leader, observer)
    client = Client(follower.port)
    assert client.ask(CREATE, create("/x")) == 0
    assert client.ask(CLOSE) == 0
    restart(follower, leader, observer, before_start=lambda: forget(leader))


def main():
    version, file = sys.argv[1:]
    members, kinds = ensemble(version)
    listener = Listener(kinds)
    try:
        play(members[1], members[2], members[3])
    finally:
        for member in members.values():
            member.discard()
        lines = listener.stop()
    Path(file).write_text("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    main()
