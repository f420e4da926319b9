"""A network between the members of an ensemble that can fail.

Every member reaches every other one through a proxy of its own, on the loopback; who listens knows
nothing of that. So what goes from one member to another can be held up, lost or slowed down, each
direction for itself, while the processes, their ports and their clients stay as they are:

    member 1 ──> proxy of 1 for 2 ──> ports of 2
    ports of 1 <── proxy of 2 for 1 <── member 2

What is held up arrives when the network is whole again, as bytes do that were sent again and again.
What is lost is lost: nobody is told, and its connection ends once anything could arrive again.
"""

import select
import socket
import struct
import threading
import time
from enum import Enum

# Bytes that a proxy takes at a time, and that its sockets hold: little, so that who is not read
# from soon notices.
CHUNK_BYTES = 65_536
# An election connection begins with: version, id, length of the address, address.
HELLO = struct.Struct(">qqi")


class Port(Enum):
    """The two ports that members have for each other."""

    QUORUM = "quorum"
    ELECTION = "election"


class Traffic(Enum):
    """What becomes of bytes."""

    FLOWS = "flows"
    HELD = "held"
    LOST = "lost"


class Way:
    """All that one member sends to another over connections to one kind of port."""

    def __init__(self):
        self._changed = threading.Condition()
        self._traffic = Traffic.FLOWS
        self._bytes_per_second = None

    def set(self, traffic: Traffic, bytes_per_second: int = None) -> None:
        """Says what becomes of bytes from now on, and how fast they may go."""
        with self._changed:
            self._traffic, self._bytes_per_second = traffic, bytes_per_second
            self._changed.notify_all()

    def admit(self, count: int) -> bool:
        """Waits until bytes may pass; returns whether they arrive."""
        with self._changed:
            self._changed.wait_for(lambda: self._traffic is not Traffic.HELD)
            pace = self._bytes_per_second
            arrives = self._traffic is Traffic.FLOWS
        if pace and arrives:
            time.sleep(count / pace)
        return arrives

    def is_lossy(self) -> bool:
        """Returns whether bytes are lost."""
        with self._changed:
            return self._traffic is Traffic.LOST

    def wait_until_whole(self) -> bool:
        """Waits until bytes can arrive; returns whether they could not before."""
        with self._changed:
            was_broken = self._traffic is not Traffic.FLOWS
            self._changed.wait_for(lambda: self._traffic is Traffic.FLOWS)
        return was_broken


class Network:
    """The proxies between some members, all ways open."""

    def __init__(self):
        # By who sends, to whom, and the port that one of the two called.
        self._ways = {}
        # Where who calls reaches the election port of who is called.
        self._election_ports = {}
        self._listeners = []
        # The ends of all connections, by who called whom.
        self._open = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_) -> None:
        for listener in self._listeners:
            listener.close()
        self.heal()
        with self._lock:
            sockets = [end for ends in self._open.values() for end in ends]
        for end in sockets:
            _reset(end)

    def reach(self, source: int, target: int, kind: Port, port: int) -> int:
        """Returns the port at which one member reaches a port of another."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK_BYTES)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        self._listeners.append(listener)
        for pair in ((source, target), (target, source)):
            self._ways.setdefault((*pair, kind), Way())
        mine = listener.getsockname()[1]
        if kind is Port.ELECTION:
            self._election_ports[source, target] = mine
        call = (source, target, kind, port)
        threading.Thread(target=self._accept, args=(listener, *call), daemon=True).start()
        return mine

    def set(self, pairs, traffic: Traffic, bytes_per_second: int = None, kinds=Port) -> None:
        """Says what becomes of what the first of each pair of members sends to the second."""
        for pair in pairs:
            for kind in kinds:
                self._ways[(*pair, kind)].set(traffic, bytes_per_second)

    def split(self, *sides, traffic: Traffic = Traffic.HELD) -> None:
        """Holds up everything between members that have no side in common."""
        for (source, target, _), way in self._ways.items():
            if not any(source in side and target in side for side in sides):
                way.set(traffic)

    def heal(self) -> None:
        """Lets everything flow again."""
        for way in self._ways.values():
            way.set(Traffic.FLOWS)

    def forget(self, sid: int = None) -> None:
        """Keeps all connections that there are, or those of one member, without anything on them
        arriving ever again; new ones work.
        """
        with self._lock:
            for pair, ends in self._open.items():
                if sid is None or sid in pair:
                    for end in ends:
                        end.is_forgotten = True

    def _accept(self, listener, source, target, kind, port) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            call = (near, source, target, kind, port)
            threading.Thread(target=self._connect, args=call, daemon=True).start()

    def _connect(self, near, source, target, kind, port) -> None:
        """Connects to who is called, and carries bytes both ways."""
        there, back = self._ways[source, target, kind], self._ways[target, source, kind]
        # Who can not be reached, or can not answer, accepts nothing, and a caller may give up
        # meanwhile.
        has_waited = [way.wait_until_whole() for way in (there, back)]
        far = socket.socket()
        try:
            if any(has_waited) and _has_left(near):
                raise ConnectionError("the caller has given up")
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK_BYTES)
            far.connect(("127.0.0.1", port))
        except OSError:
            far.close()
            _reset(near)
            return
        near, far = _Socket(near), _Socket(far)
        with self._lock:
            self._open.setdefault((source, target), set()).update((near, far))
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        carriers = [
            threading.Thread(target=_carry, args=(near, far, there), daemon=True),
            threading.Thread(target=_carry, args=(far, near, back), daemon=True),
        ]
        carriers[1].start()
        if kind is Port.QUORUM or self._introduce(near, far, there, source, target):
            carriers[0].start()
            carriers[0].join()
        carriers[1].join()
        _reset(near)
        _reset(far)
        with self._lock:
            self._open[source, target] -= {near, far}

    def _introduce(self, near, far, way, source, target) -> bool:
        """Passes on who calls, with the address at which the called one reaches it through here."""
        try:
            hello = _exactly(near, HELLO.size)
            version, sid, length = HELLO.unpack(hello)
            _exactly(near, length)
            address = f"127.0.0.1:{self._election_ports[target, source]}".encode()
            if way.admit(len(hello)):
                far.sendall(HELLO.pack(version, sid, len(address)) + address)
                return True
        except OSError:
            pass
        _reset(near)
        _reset(far)
        return False


class _Socket(socket.socket):
    """One end of a connection, and whether what is sent over it has no way to arrive."""

    def __init__(self, end: socket.socket):
        super().__init__(fileno=end.detach())
        self.is_forgotten = False


def _carry(source: _Socket, sink: _Socket, way: Way) -> None:
    """Carries bytes, and then the end of them."""
    is_whole = True
    while True:
        try:
            chunk = source.recv(CHUNK_BYTES)
        except OSError:
            chunk = None
        if source.is_forgotten:
            is_whole = False
            if not chunk:
                return
            continue
        if not way.admit(len(chunk or b"")):
            is_whole = False
        if not is_whole:
            if way.is_lossy() and chunk:
                continue
            way.wait_until_whole()
            _reset(sink)
            return
        try:
            if chunk:
                sink.sendall(chunk)
            elif chunk is None:
                _reset(sink)
            else:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            _reset(source)
            return
        if not chunk:
            return


def _has_left(end: socket.socket) -> bool:
    """Returns whether the other side of a connection has ended it."""
    poll = select.poll()
    poll.register(end, select.POLLRDHUP)
    return bool(poll.poll(0))


def _exactly(source: socket.socket, count: int) -> bytes:
    chunks = b""
    while len(chunks) < count:
        chunk = source.recv(count - len(chunks))
        if not chunk:
            raise ConnectionError("closed before it said who it was")
        chunks += chunk
    return chunks


def _reset(end: socket.socket) -> None:
    """Ends a connection so that the other side hears of it at once."""
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # It has ended already.
    end.close()
