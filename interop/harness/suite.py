"""The common face of every suite: its options, its bound in time, its closing line.

A client program in whatever language reports in the Test Anything Protocol: `ok N - name` or
`not ok N - name`, any number of lines starting with `#`, and a closing plan `1..N`. A program that
ends without its plan counts as one more failure, so that a crash never passes for success.

What a failed check has to say follows it in lines that start with `#`, so that a reader of the log, and
`run-all`, can tell it from what belongs to other checks.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass, field

from harness import servers

# How much is told of what broke a story off: the innermost places, and lines of the exception itself.
PLACES = 4
EXCEPTION_LINES = 16


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
            comments = "".join(f"\n# {line}" for line in detail.splitlines())
            print(f"not ok - {name}{comments}", flush=True)

    @contextlib.contextmanager
    def story(self, title: str, *actors):
        """Lets a story be told to its end. What breaks it off is a failed check, which says what that was
        and what the actors logged: servers and ensembles, anything with `logs`. The suite goes on behind
        it, unless it is the suite that is to end.
        """
        try:
            yield
        except Exception as failure:
            detail = [described(failure), *(actor.logs() for actor in actors)]
            self.check(f"{title}: goes on to its end", False, "\n".join(detail))
        except SystemExit as end:
            detail = [described(end), *(actor.logs() for actor in actors)]
            self.check(f"{title}: is told in time", False, "\n".join(detail))
            raise

    def close(self) -> int:
        """Prints the closing lines and returns the exit code of the suite."""
        for name in self.failed:
            print(f"FAILED {name}")
        counts = f"{self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped"
        print(f"{self.suite}: {counts}", flush=True)
        return 1 if self.failed or self.passed == 0 else 0


def described(failure: BaseException) -> str:
    """Returns where an exception was raised, the innermost place last, and what it says."""
    places = "".join(traceback.format_tb(failure.__traceback__, -PLACES))
    text = "".join(traceback.format_exception_only(failure))
    return places + excerpt(text, EXCEPTION_LINES)


def excerpt(text: str, count: int) -> str:
    """Returns so many lines of a text, half of them from its end, and how many are left out."""
    lines = text.splitlines()
    if len(lines) > count:
        head, tail = lines[: count - count // 2], lines[len(lines) - count // 2 :]
        lines = [*head, f"[{len(lines) - count} more lines]", *tail]
    return "\n".join(lines)


def run_program(tally: Tally, server: servers.Server, command, seconds: int, environment=None) -> None:
    """Runs a client program at a server, whose address is the last word that it gets; it reports in the
    Test Anything Protocol, and its checks are counted.
    """
    with tally.story("the program", server):
        process = subprocess.Popen(
            [*map(str, command), server.address],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        watchdog = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.start()
        try:
            seen, planned = count_checks(tally, process.stdout)
            code = process.wait()
        finally:
            watchdog.cancel()
        if planned != seen:
            raise AssertionError(f"it planned {planned} checks, made {seen}, and ended with {code}")


def count_checks(tally: Tally, lines) -> tuple:
    """Counts the checks of a program, whose lines are passed on; returns how many it made, and how many
    it had planned.
    """
    seen, planned = 0, None
    for line in lines:
        print(line, end="", flush=True)
        if line.startswith("ok "):
            tally.passed += 1
            seen += 1
        elif line.startswith("not ok "):
            tally.failed.append(line.removeprefix("not ok ").strip())
            seen += 1
        elif line.startswith("1.."):
            planned = int(line.removeprefix("1..").split()[0])
    return seen, planned


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
