"""Starts and stops the servers under test.

Every server gets a data directory and ports of its own, listens on loopback only, and dies with
the process that started it, however that one ends.
"""

import ctypes
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from harness import packages

# What `--server` takes; `apache` alone means the version that Debian ships.
KINDS = {
    "apache": packages.APACHE_DEBIAN,
    **{f"apache-{version}": version for version in packages.APACHE_VERSIONS},
    "reefkeeper": None,
}
MAIN_CLASS = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
# What Apache's servers get of memory, and how they tidy it up.
JAVA_MEMORY = ("-Xmx1g", "-XX:+UseSerialGC")
READY_SECONDS = 60
STOP_SECONDS = 20
# How much of the servers' logs is told in the report of a failure, all of them together.
LOG_LINES = 36
# What Java writes below an exception: where it was raised.
STACK_FRAME = re.compile(r"\s+(at |[.]{3} \d+ more)")
REPOSITORY = Path(__file__).resolve().parents[2]

# Below those from which systems take the ports of outgoing connections: a server that comes back
# finds its own free.
PORTS = range(20_000, 30_000)

BASE_CONFIG = {
    "tickTime": "2000",
    "initLimit": "10",
    "syncLimit": "5",
    "maxClientCnxns": "0",
    "clientPortAddress": "127.0.0.1",
    "admin.enableServer": "false",
    "4lw.commands.whitelist": "*",
}

# Lets a server create nodes with a time to live.
EXTENDED_TYPES = {"zookeeper.extendedTypesEnabled": "true"}

# A whole handshake: version 0, no zxid seen, 10 s, session 1, a password of zeros, read-write.
UNKNOWN_SESSION = struct.pack(">iiqiqi16s?", 45, 0, 0, 10_000, 1, 16, bytes(16), False)


# The ports that this process has chosen: a server may have been given one that it does not open yet.
_given = set()


class StartFailure(Exception):
    """The server ended, or did not answer in time; the text holds the end of its log."""


def reefkeeper_binary() -> Path:
    """Returns the binary under test: `REEFKEEPER_BIN`, or the release build of this tree."""
    default = REPOSITORY / "target" / "release" / "reefkeeper"
    return Path(os.environ.get("REEFKEEPER_BIN") or default).resolve()


def free_port(neighbors: int = 0) -> int:
    """Returns a loopback port that nobody listens on and no outgoing connection gets; each once. So are
    those that follow it, as many as are asked for.
    """
    while True:
        port = random.choice(PORTS)
        wanted = set(range(port, port + neighbors + 1))
        if wanted.isdisjoint(_given) and all(map(is_free, wanted)):
            _given.update(wanted)
            return port


def is_free(port: int) -> bool:
    """Returns whether nobody listens on this loopback port at this moment."""
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Server:
    """One standalone server of a given kind, from its start to the removal of its directory.

    `config` are more lines of its `zoo.cfg`; `properties` are what Apache takes as Java system
    properties, handed to Reefkeeper as `-D` words. An existing `directory` is used and kept.
    """

    def __init__(self, kind: str, config=None, properties=None, directory=None):
        self.kind = kind
        self.port = free_port()
        self.config = {**BASE_CONFIG, **(config or {})}
        self.properties = dict(properties or {})
        self._keep = directory is not None
        self.directory = Path(directory or tempfile.mkdtemp(prefix=f"interop-{kind}-"))
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self._process = None

    def __enter__(self) -> "Server":
        try:
            self.start()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.discard()

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def title(self) -> str:
        """What it is called in reports."""
        return f"{self.kind} at {self.port}"

    @property
    def configuration(self) -> Path:
        """The main one of its files of configuration."""
        return self.directory / "zoo.cfg"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._process.pid

    def start(self) -> None:
        """Starts the server and waits until it serves; raises `StartFailure` otherwise."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._configure()
        command, environment = self._command(self.configuration)
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        self._wait_until_ready()

    def stop(self) -> int:
        """Asks the server to end and returns its exit code (negative: the signal it died of)."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """Ends the server at once, as a power cut of its process would."""
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stops the process where it is; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Lets a paused process go on."""
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stops and starts the server on the same port and directory."""
        self.stop()
        self.start()

    def discard(self) -> None:
        """Ends the server if it runs and removes its directory unless the caller provided it."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def four_letters(self, word: str) -> str:
        """Returns the answer to a four-letter command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(word.encode())
            chunks = iter(lambda: connection.recv(65536), b"")
            return b"".join(chunks).decode(errors="replace")

    def logs(self, count: int = LOG_LINES) -> str:
        """Returns which server this is, what became of it, and the last lines that it wrote to its standard
        streams, without Java's stack frames: for the report of a failure.
        """
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        lines = [line for line in text.splitlines() if not STACK_FRAME.match(line)]
        return "\n".join([f"--- {self.title}: {self._state()}", *lines[-count:]])

    def _state(self) -> str:
        """Returns what became of its process."""
        if self._process is None:
            return "not started"
        code = self._process.poll()
        return "runs" if code is None else f"ended with {code}"

    def _configure(self) -> None:
        """Writes its configuration, before each start."""
        lines = {**self.config, "dataDir": str(self.data), "clientPort": str(self.port)}
        self.configuration.write_text("".join(f"{key}={it}\n" for key, it in lines.items()))

    def _command(self, configuration: Path):
        # Reefkeeper takes variables of that prefix as keys of its configuration.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("REEFKEEPER_")}
        words = [f"-D{name}={value}" for name, value in self.properties.items()]
        version = KINDS[self.kind]
        if version is None:
            environment["SERVER_JVMFLAGS"] = " ".join(words)
            return [str(reefkeeper_binary()), "server", str(configuration)], environment
        java = ["java", "-cp", packages.apache_class_path(version), *JAVA_MEMORY]
        quiet = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Djava.awt.headless=true"]
        return [*java, *quiet, *words, MAIN_CLASS, str(configuration)], environment

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                code = self._process.returncode
                raise StartFailure(f"{self.kind} ended with {code}:\n{self.logs()}")
            if self._answers():
                return
            time.sleep(0.05)
        raise StartFailure(f"{self.kind} not ready in {READY_SECONDS} s:\n{self.logs()}")

    def _answers(self) -> bool:
        """Asks for a session that never was; a server that serves refuses, and logs nothing."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                connection.sendall(UNKNOWN_SESSION)
                return len(connection.recv(64)) > 4
        except OSError:
            return False


def _die_with_parent() -> None:
    """Asks Linux to kill this process when its parent ends (prctl option 1)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
