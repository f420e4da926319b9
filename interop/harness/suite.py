"""The common face of every suite: its options, its bound in time, its closing line.

A client program in whatever language reports in the Test Anything Protocol: `ok N - name` or
`not ok N - name`, any number of lines starting with `#`, and a closing plan `1..N`. A program that
ends without its plan counts as one more failure, so that a crash never passes for success.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field

from harness import servers


def options(description: str) -> argparse.ArgumentParser:
    """Returns a parser with the options every suite has; a suite may add its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--server",
        choices=sorted(servers.KINDS),
        default=os.environ.get("INTEROP_SERVER", "reefkeeper"),
        help="server under test (default: $INTEROP_SERVER or reefkeeper)",
    )
    parser.add_argument("--seconds", type=int, default=600, help="limit for the whole suite")
    return parser


@dataclass
class Tally:
    """Counts checks; the names of the failed ones are kept for the closing lines."""

    suite: str
    passed: int = 0
    skipped: int = 0
    failed: list = field(default_factory=list)

    def check(self, name: str, holds: bool, detail: str = "") -> None:
        """Counts one check and reports it at once."""
        if holds:
            self.passed += 1
            print(f"ok - {name}", flush=True)
        else:
            self.failed.append(name)
            print(f"not ok - {name}" + (f"\n{detail}" if detail else ""), flush=True)

    def close(self) -> int:
        """Prints the closing lines and returns the exit code of the suite."""
        for name in self.failed:
            print(f"FAILED {name}")
        counts = f"{self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped"
        print(f"{self.suite}: {counts}", flush=True)
        return 1 if self.failed or self.passed == 0 else 0


def run_program(tally: Tally, command, seconds: int, environment=None, cwd=None) -> None:
    """Runs a client program that reports in the Test Anything Protocol and counts its checks."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    watchdog = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    seen = 0
    planned = None
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("ok "):
                tally.passed += 1
                seen += 1
            elif line.startswith("not ok "):
                tally.failed.append(line.removeprefix("not ok ").strip())
                seen += 1
            elif line.startswith("1.."):
                planned = int(line.removeprefix("1..").split()[0])
        code = process.wait()
    finally:
        watchdog.cancel()
    if planned != seen:
        tally.failed.append(
            f"the program planned {planned} checks, made {seen}, and ended with {code}"
        )


def limit(seconds: int) -> None:
    """Ends the whole suite with a failure after `seconds`, should anything hang."""

    def expire(number, _frame):
        reason = (
            f"did not end within {seconds} s" if number == signal.SIGALRM else "was told to end"
        )
        raise SystemExit(f"the suite {reason}")

    signal.signal(signal.SIGALRM, expire)
    signal.signal(signal.SIGTERM, expire)
    signal.alarm(seconds)
