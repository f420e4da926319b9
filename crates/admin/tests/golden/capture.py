#!/usr/bin/env python3
# Asks an Apache ZooKeeper server, Debian's package `zookeeper`, every four-letter word, before and
# after a few clients used it, and writes the answers into a directory:
#
#     capture.py <directory>
#
# What differs from host to host (name, kernel, user) is replaced. Needs java and the package.

import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import time

HOME = pathlib.Path("/tmp/zk-golden")
ADDRESS = ("127.0.0.1", 22181)
CONFIG = f"""tickTime=2000
dataDir={HOME}/data
clientPort={ADDRESS[1]}
clientPortAddress={ADDRESS[0]}
4lw.commands.whitelist=*
admin.enableServer=false
"""
HOST_LINES = {"host.name": "localhost", "os.version": "6.1.0", "user.name": "zookeeper",
              "user.home": "/home/zookeeper", "user.dir": str(HOME)}


def ask(word):
    """The whole answer to a word."""
    with socket.create_connection(ADDRESS) as connection:
        connection.sendall(word)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def buffer(data):
    return struct.pack(">i", len(data)) + data


class Client:
    """As much of a client as it takes to make numbers move."""

    def __init__(self, timeout_ms):
        self.socket, self.xid = socket.create_connection(ADDRESS), 0
        self.send(struct.pack(">iqiq", 0, 0, timeout_ms, 0) + buffer(bytes(16)) + b"\0")

    def send(self, body):
        self.socket.sendall(buffer(body))
        length = struct.unpack(">i", self.receive(4))[0]
        return self.receive(length)

    def receive(self, count):
        data = b""
        while len(data) < count:
            received = self.socket.recv(count - len(data))
            if not received:
                raise EOFError("the server closed the connection")
            data += received
        return data

    def request(self, opcode, body, xid=None):
        self.xid += 1
        self.send(struct.pack(">ii", self.xid if xid is None else xid, opcode) + body)

    def create(self, path, data, flags=0):
        acl = struct.pack(">ii", 1, 31) + buffer(b"world") + buffer(b"anyone")
        self.request(1, buffer(path) + buffer(data) + acl + struct.pack(">i", flags))

    def read(self, opcode, path, watch):
        self.request(opcode, buffer(path) + bytes([watch]))

    def ping(self):
        self.request(11, b"", xid=-2)


EXISTS, GET_DATA, GET_CHILDREN = 3, 4, 8


def use_the_server():
    """Two sessions that watch and create, and one that only pings; they stay open."""
    first, second, third = Client(30000), Client(10000), Client(30000)
    first.create(b"/eph", b"hello", flags=1)
    first.create(b"/p", b"x" * 10)
    first.read(GET_DATA, b"/eph", watch=True)
    first.read(EXISTS, b"/none", watch=True)
    first.read(GET_CHILDREN, b"/p", watch=True)
    second.read(GET_DATA, b"/eph", watch=True)
    for number in range(300):
        second.create(b"/p/%d" % number, b"")
    first.read(GET_DATA, b"/p", watch=False)
    third.ping()
    return first, second, third


def normalised(answer):
    lines = answer.decode().splitlines(keepends=True)
    keys = (line.partition("=")[0] for line in lines)
    return "".join(f"{key}={HOST_LINES[key]}\n" if key in HOST_LINES else line
                   for key, line in zip(keys, lines)).encode()


def main(directory):
    shutil.rmtree(HOME, ignore_errors=True)
    (HOME / "data").mkdir(parents=True)
    (HOME / "zoo.cfg").write_text(CONFIG)
    server = subprocess.Popen(
        ["java", "-cp", "/usr/share/java/zookeeper.jar",
         "org.apache.zookeeper.server.quorum.QuorumPeerMain", "zoo.cfg"],
        cwd=HOME, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                if b"Mode" in ask(b"srvr"):
                    break
            except OSError:
                pass
            time.sleep(0.1)
        save = lambda name, answer: (directory / name).write_bytes(normalised(answer))
        save("fresh-srvr.txt", ask(b"srvr"))
        save("fresh-dump.txt", ask(b"dump"))
        save("fresh-wchc.txt", ask(b"wchc"))
        clients = use_the_server()
        for word in ("ruok isro srvr stat conf cons dump wchs wchc wchp mntr hash dirs envi gtmk "
                     "crst srst").split():
            save(word + ".txt", ask(word.encode()))
        save("cons-after-crst.txt", ask(b"cons"))
        save("stmk.txt", ask(b"stmk" + struct.pack(">q", 0x100)))
        del clients
    finally:
        server.terminate()
        server.wait()


main(pathlib.Path(sys.argv[1]))
