"""A small client of the protocol, for suites that look at several members of an ensemble at once.

It says what it does and nothing more: no reconnecting, no pings of its own unless it is told to
remind the server, no watches that are set again by themselves. A request that is not answered in
time, or refused, is an exception.
"""

import collections
import socket
import struct
import time

SECONDS = 10
TIMEOUT_MS = 12_000
# All rights for anyone.
OPEN_ACL = ((31, "world", "anyone"),)
# Flags of a creation.
EPHEMERAL, SEQUENTIAL, CONTAINER, WITH_TTL = 1, 2, 4, 5

# Operations by number.
CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SYNC, PING = 1, 2, 3, 4, 5, 6, 9, 11
GET_CHILDREN2, CLOSE, MULTI, RECONFIG, CREATE_CONTAINER, CREATE_TTL = 12, -11, 14, 16, 19, 21
AUTHENTICATE, SET_WATCHES = 100, 101
# Numbers of requests and answers with a meaning of their own.
EVENT_XID, PING_XID, AUTHENTICATE_XID, SET_WATCHES_XID = -1, -2, -4, -8
# Kinds of watch events.
CREATED, DELETED, CHANGED, CHILDREN_CHANGED = 1, 2, 3, 4
# What a request is refused with.
NO_NODE, NO_AUTH, BAD_VERSION = -101, -102, -103
NODE_EXISTS, SESSION_EXPIRED, QUOTA_EXCEEDED = -110, -112, -125
MEMBERSHIP = "/zookeeper/config"
# How many znodes a dump asks for at a time.
DUMPED_TOGETHER = 200


class Refused(Exception):
    """The server answered with an error code, or refused the session; the text says which."""

    def __init__(self, code: int):
        super().__init__(f"error {code}")
        self.code = code


class Client:
    """One connection with a session: a new one, or that of `resume`.

    It waits up to `seconds` for an answer; with `remind_after`, it pings once when so many have
    passed, as clients do that have sent nothing for a while.
    """

    def __init__(
        self,
        address: str,
        resume: "Client" = None,
        seconds: float = SECONDS,
        timeout_ms: int = TIMEOUT_MS,
        remind_after: float = None,
    ):
        host, port = address.rsplit(":", 1)
        self.seen = resume.seen if resume else 0
        self.session, self.password = (
            (resume.session, resume.password) if resume else (0, bytes(16))
        )
        # The watch events that came, each as its kind and its path.
        self.events = collections.deque()
        self._xid = 0
        self._posted = collections.deque()
        # The handshake comes before anything else; nobody is reminded of that.
        self._remind_after = None
        # Pings that reminded, and are not answered yet.
        self._reminders = 0
        self._doing = f"{address}: handshake"
        self._connection = socket.create_connection((host, int(port)), timeout=seconds)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handshake = struct.pack(">iqiq", 0, self.seen, timeout_ms, self.session)
        self._send(handshake + _buffer(self.password) + b"\0")
        answer = self._receive()
        _version, timeout, session = struct.unpack_from(">iiq", answer)
        if timeout == 0:
            self.drop()
            raise Refused(SESSION_EXPIRED)
        self.session = session
        self.password = _take_buffer(answer, 16)[0]
        self._remind_after = remind_after

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.drop()

    def create(self, path: str, data: bytes = b"", flags: int = 0, **more) -> str:
        """Creates a znode and returns its path; takes the same as `creation`."""
        return _take_buffer(self._ask(*creation(path, data, flags, **more)), 0)[0].decode()

    def set(self, path: str, data: bytes) -> None:
        """Sets the data of a znode, whatever its version."""
        self._ask(*change(path, data))

    def delete(self, path: str) -> None:
        """Deletes a znode, whatever its version."""
        self._ask(DELETE, _text(path) + struct.pack(">i", -1))

    def get(self, path: str, watch: bool = False) -> tuple:
        """Returns the data and the raw Stat of a znode."""
        answer = self._ask(GET_DATA, _text(path) + bytes([watch]))
        data, rest = _take_buffer(answer, 0)
        return data, answer[rest:]

    def exists(self, path: str, watch: bool = False) -> bool:
        """Returns whether there is such a znode."""
        try:
            self._ask(EXISTS, _text(path) + bytes([watch]))
        except Refused as refusal:
            if refusal.code != NO_NODE:
                raise
            return False
        return True

    def children(self, path: str, watch: bool = False) -> list:
        """Returns the sorted names of a znode's children."""
        return _take_names(self._ask(GET_CHILDREN2, _text(path) + bytes([watch])))

    def multi(self, operations) -> None:
        """Does several operations, each as `post` takes it, or none of them."""
        body = b"".join(struct.pack(">ibi", number, 0, -1) + it for number, it in operations)
        answer = self._ask(MULTI, body + struct.pack(">ibi", -1, 1, -1))
        # A refused one answers with an error for each operation: the first that is not 0 is told.
        if struct.unpack_from(">i", answer)[0] == -1:
            codes = [code for (code,) in struct.iter_unpack(">9xi", answer[: 13 * len(operations)])]
            raise Refused(next(filter(None, codes)))

    def authenticate(self, scheme: str, credentials: bytes) -> None:
        """Adds an identity."""
        body = struct.pack(">i", 0) + _text(scheme) + _buffer(credentials)
        self._ask(AUTHENTICATE, body, xid=AUTHENTICATE_XID)

    def set_watches(self, data=(), exists=(), children=()) -> None:
        """Sets watches as a client does that comes back: what was missed is told at once."""
        lists = b"".join(
            struct.pack(">i", len(paths)) + b"".join(map(_text, paths))
            for paths in (data, exists, children)
        )
        self._ask(SET_WATCHES, struct.pack(">q", self.seen) + lists, xid=SET_WATCHES_XID)

    def event(self) -> tuple:
        """Waits for the next watch event; returns its kind and its path."""
        while not self.events:
            frame = self._receive()
            if not self._takes(frame):
                raise AssertionError("an answer that nobody waits for")
        return self.events.popleft()

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
        self._ask(PING, b"", xid=PING_XID)

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
        """Returns data, Stat and access control list of each znode but the membership, whose Stat
        is each server's own.
        """
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
            level = [path for path in level if path != MEMBERSHIP]
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
        while self._takes(answer := self._receive()):
            pass
        expected = self._posted.popleft()
        number, zxid, code = struct.unpack_from(">iqi", answer)
        if number != expected:
            raise AssertionError(f"an answer to {number} instead of {expected}")
        self.seen = max(self.seen, zxid)
        if code:
            raise Refused(code)
        return zxid, answer[16:]

    def _takes(self, frame: bytes) -> bool:
        """Keeps a watch event, or drops the answer to a reminder; returns whether it was either."""
        number, zxid, _ = struct.unpack_from(">iqi", frame)
        if number == PING_XID and self._reminders > 0:
            self._reminders -= 1
            return True
        if number != EVENT_XID:
            return False
        # Apache 3.8 leaves the zxid out.
        self.seen = max(self.seen, zxid)
        kind, _state = struct.unpack_from(">ii", frame, 16)
        self.events.append((kind, _take_buffer(frame, 24)[0].decode()))
        return True

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
                chunk = self._some(count - len(chunks))
            except TimeoutError as late:
                raise TimeoutError(f"no answer at {self._doing}") from late
            if not chunk:
                raise ConnectionError(f"closed by the server at {self._doing}")
            chunks += chunk
        return chunks

    def _some(self, count: int) -> bytes:
        """Receives up to so many bytes, and reminds the server if it was told to."""
        seconds = self._connection.gettimeout()
        if self._remind_after is None or self._remind_after >= seconds:
            return self._connection.recv(count)
        try:
            self._connection.settimeout(self._remind_after)
            return self._connection.recv(count)
        except TimeoutError:
            self._reminders += 1
            self._send(struct.pack(">ii", PING_XID, PING))
        finally:
            self._connection.settimeout(seconds)
        return self._connection.recv(count)


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


def creation(path: str, data: bytes = b"", flags: int = 0, acl=None, ttl_ms: int = None) -> tuple:
    """Returns what `Client.post` takes to create a znode.

    `acl` are triples of permissions, scheme and identity; none: anyone may do anything.
    """
    record = _text(path) + _buffer(data) + _acl(acl or OPEN_ACL) + struct.pack(">i", flags)
    if ttl_ms is not None:
        return CREATE_TTL, record + struct.pack(">q", ttl_ms)
    return CREATE_CONTAINER if flags == CONTAINER else CREATE, record


def change(path: str, data: bytes) -> tuple:
    """Returns what `Client.post` takes to set the data of a znode, whatever its version."""
    return SET_DATA, _text(path) + _buffer(data) + struct.pack(">i", -1)


def _acl(entries) -> bytes:
    parts = (struct.pack(">i", rights) + _text(scheme) + _text(it) for rights, scheme, it in entries)
    return struct.pack(">i", len(entries)) + b"".join(parts)


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
