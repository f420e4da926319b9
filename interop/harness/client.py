"""A small client of the protocol, for suites that look at several members of an ensemble at once.

It says what it does and nothing more: no reconnecting, no pings of its own, no watches. A request
that is not answered in time, or refused, is an exception.
"""

import collections
import socket
import struct
import time

SECONDS = 10
TIMEOUT_MS = 12_000
OPEN_ACL = struct.pack(">ii", 1, 31) + b"".join(
    struct.pack(">i", len(text)) + text for text in (b"world", b"anyone")
)
EPHEMERAL = 1

# Operations by number.
CREATE, DELETE, GET_DATA, SET_DATA, GET_ACL, SYNC, PING = 1, 2, 4, 5, 6, 9, 11
GET_CHILDREN2, CLOSE, RECONFIG = 12, -11, 16
# How many znodes a dump asks for at a time.
DUMPED_TOGETHER = 200


class Refused(Exception):
    """The server answered with an error code, or refused the session; the text says which."""

    def __init__(self, code: int):
        super().__init__(f"error {code}")
        self.code = code


class Client:
    """One connection with a session: a new one, or that of `resume`."""

    def __init__(
        self,
        address: str,
        resume: "Client" = None,
        seconds: float = SECONDS,
        timeout_ms: int = TIMEOUT_MS,
    ):
        host, port = address.rsplit(":", 1)
        self.seen = resume.seen if resume else 0
        self.session, self.password = (
            (resume.session, resume.password) if resume else (0, bytes(16))
        )
        self._xid = 0
        self._posted = collections.deque()
        self._doing = f"{address}: handshake"
        self._connection = socket.create_connection((host, int(port)), timeout=seconds)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handshake = struct.pack(">iqiq", 0, self.seen, timeout_ms, self.session)
        self._send(handshake + _buffer(self.password) + b"\0")
        answer = self._receive()
        _version, timeout, session = struct.unpack_from(">iiq", answer)
        if timeout == 0:
            self.drop()
            raise Refused(-112)
        self.session = session
        self.password = _take_buffer(answer, 16)[0]

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.drop()

    def create(self, path: str, data: bytes = b"", flags: int = 0) -> str:
        """Creates a znode and returns its path."""
        return _take_buffer(self._ask(*creation(path, data, flags)), 0)[0].decode()

    def set(self, path: str, data: bytes) -> None:
        """Sets the data of a znode, whatever its version."""
        self._ask(SET_DATA, _text(path) + _buffer(data) + struct.pack(">i", -1))

    def delete(self, path: str) -> None:
        """Deletes a znode, whatever its version."""
        self._ask(DELETE, _text(path) + struct.pack(">i", -1))

    def get(self, path: str) -> tuple:
        """Returns the data and the raw Stat of a znode."""
        answer = self._ask(GET_DATA, _text(path) + b"\0")
        data, rest = _take_buffer(answer, 0)
        return data, answer[rest:]

    def children(self, path: str) -> list:
        """Returns the sorted names of a znode's children."""
        return _take_names(self._ask(GET_CHILDREN2, _text(path) + b"\0"))

    def sync(self) -> None:
        """Waits until this member has everything that was decided before."""
        self._ask(SYNC, _text("/"))

    def reconfig(self, joining=None, leaving=None, members=None, version: int = -1) -> str:
        """Changes the membership and returns the new one: what joins, what leaves, or all of it."""
        texts = b"".join(struct.pack(">i", -1) if it is None else _text(it) for it in (joining, leaving, members))
        answer = self._ask(RECONFIG, texts + struct.pack(">q", version))
        return _take_buffer(answer, 0)[0].decode()

    def ping(self) -> None:
        """Keeps the session alive."""
        self._ask(PING, b"", xid=-2)

    def close(self) -> None:
        """Ends the session."""
        self._ask(CLOSE, b"")
        self.drop()

    def settimeout(self, seconds: float) -> None:
        """Changes how long answers are waited for."""
        self._connection.settimeout(seconds)

    def drop(self) -> None:
        """Ends the connection; the session lives on for its timeout."""
        self._connection.close()

    def dump(self, top: str = "/") -> dict:
        """Returns data, Stat and access control list of each znode, but for the ensemble's own."""
        found, level = {}, [top]
        while level:
            part, level = level[:DUMPED_TOGETHER], level[DUMPED_TOGETHER:]
            for path in part:
                self.post(GET_DATA, _text(path) + b"\0")
                self.post(GET_ACL, _text(path))
                self.post(GET_CHILDREN2, _text(path) + b"\0")
            for path in part:
                found[path] = (self.answer()[1], self.answer()[1])
                below = path.rstrip("/")
                level += [f"{below}/{name}" for name in _take_names(self.answer()[1])]
            level = [path for path in level if not path.startswith("/zookeeper")]
        return found

    def post(self, operation: int, body: bytes, xid: int = None) -> int:
        """Sends a request whose answer comes later, and returns its number."""
        if xid is None:
            self._xid += 1
            xid = self._xid
        address = self._doing.partition(": ")[0]
        self._doing = f"{address}: operation {operation}"
        self._posted.append(xid)
        self._send(struct.pack(">ii", xid, operation) + body)
        return xid

    def answer(self) -> tuple:
        """Waits for the oldest request without an answer; returns its zxid and its record."""
        answer = self._receive()
        expected = self._posted.popleft()
        number, zxid, code = struct.unpack_from(">iqi", answer)
        if number != expected:
            raise AssertionError(f"an answer to {number} instead of {expected}")
        self.seen = max(self.seen, zxid)
        if code:
            raise Refused(code)
        return zxid, answer[16:]

    def _ask(self, operation: int, body: bytes, xid: int = None) -> bytes:
        self.post(operation, body, xid)
        return self.answer()[1]

    def _send(self, body: bytes) -> None:
        self._connection.sendall(struct.pack(">i", len(body)) + body)

    def _receive(self) -> bytes:
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        chunks = b""
        while len(chunks) < count:
            try:
                chunk = self._connection.recv(count - len(chunks))
            except TimeoutError as late:
                raise TimeoutError(f"no answer at {self._doing}") from late
            if not chunk:
                raise ConnectionError(f"closed by the server at {self._doing}")
            chunks += chunk
        return chunks


def until(seconds: float, attempt, *expected):
    """Repeats `attempt` until it raises none of `expected`; returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except (OSError, Refused, *expected):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def creation(path: str, data: bytes = b"", flags: int = 0) -> tuple:
    """Returns what `Client.post` takes to create a znode."""
    return CREATE, _text(path) + _buffer(data) + OPEN_ACL + struct.pack(">i", flags)


def _buffer(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


def _text(text: str) -> bytes:
    return _buffer(text.encode())


def _take_buffer(answer: bytes, at: int) -> tuple:
    (length,) = struct.unpack_from(">i", answer, at)
    start = at + 4
    end = start + max(length, 0)
    return answer[start:end], end


def _take_names(answer: bytes) -> list:
    (count,), at, names = struct.unpack_from(">i", answer), 4, []
    for _ in range(count):
        name, at = _take_buffer(answer, at)
        names.append(name.decode())
    return sorted(names)


def creation_zxid(dumped: tuple) -> int:
    """Returns the transaction that created a znode, of which `Client.dump` returned this."""
    _, at = _take_buffer(dumped[0], 0)
    return struct.unpack_from(">q", dumped[0], at)[0]
