"""What must hold of the turns, meetings and items that participants report.

Time is the order of transactions: a participant writes a note when its turn begins and another when it
ends, so that no clock is compared with another. Each function returns what is wrong, a line each.
"""

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass


@dataclass
class Turn:
    """What one participant held once: its fencing token, and the notes between which it held it."""

    who: str
    token: int
    since: int
    until: int
    is_shared: bool = False

    def __str__(self) -> str:
        return f"{self.who} with token {self.token:x} from {self.since:x} to {self.until:x}"

    def overlaps(self, other: "Turn") -> bool:
        """Returns whether there was a moment in which both held it."""
        return self.since < other.until and other.since < self.until


def library(who: str) -> str:
    """Returns the library of a participant."""
    return who.rstrip("0123456789")


def not_alone(turns) -> list:
    """Two hold it at the same time, and one of them at least should be alone."""
    return [
        f"{one}, and {other}"
        for one, other in itertools.combinations(turns, 2)
        if one.overlaps(other) and not (one.is_shared and other.is_shared)
    ]


def too_many(turns, permits: int) -> list:
    """More hold it than may."""
    wrong = []
    for turn in turns:
        holders = [it for it in turns if it.since <= turn.since < it.until]
        if len(holders) > permits:
            wrong.append("; ".join(map(str, holders)))
    return wrong


def out_of_order(turns) -> list:
    """One came before another, could not hold it together with that, and held it later; or two have
    the same token.
    """
    wrong = []
    for one, other in itertools.combinations(turns, 2):
        if one.token == other.token:
            wrong.append(f"the same token: {one}, and {other}")
        elif not (one.is_shared and other.is_shared):
            if (one.token < other.token) != (one.since < other.since):
                wrong.append(f"{one}, and {other}")
    return wrong


def not_handed_over(turns, libraries) -> list:
    """A library's participants were followed by their own only, or follow none but their own."""
    in_order = sorted(turns, key=lambda turn: turn.since)
    pairs = {(library(one.who), library(next.who)) for one, next in itertools.pairwise(in_order)}
    across = {pair for pair in pairs if pair[0] != pair[1]}
    givers, takers = {giver for giver, _ in across}, {taker for _, taker in across}
    wrong = [f"nobody follows {it}" for it in libraries if it not in givers]
    return wrong + [f"{it} follows nobody" for it in libraries if it not in takers]


def apart(befores: dict, afters: dict) -> list:
    """One has passed, at a transaction, before another one has come to the same point."""
    last, first = max(befores, key=befores.get), min(afters, key=afters.get)
    if befores[last] < afters[first]:
        return []
    return [f"{first} was through at {afters[first]:x}, and {last} came at {befores[last]:x}"]


def lost_or_doubled(put, taken) -> list:
    """An item was not taken, or not put, or taken more often than put."""
    put, taken = Counter(put), Counter(taken)
    lost = [f"{item} was lost" for item in (put - taken).elements()]
    return lost + [f"{item} was taken once too often" for item in (taken - put).elements()]


def not_as_put(order, taken) -> list:
    """Somebody took an item before one that was put earlier: `taken` are participants and items, as
    they were reported.
    """
    place = {item: number for number, item in enumerate(order)}
    by_worker = defaultdict(list)
    for who, item in taken:
        by_worker[who].append(item)
    return [
        f"{who} took {other} after {one}"
        for who, items in by_worker.items()
        for one, other in itertools.pairwise(items)
        if place[one] > place[other]
    ]


def faults_overlooked() -> list:
    """Shows each of the above a history that is as it should be, and one that is not; returns which of
    them does not see the difference.
    """
    first, second = Turn("rust1", 1, 10, 20), Turn("kazoo1", 2, 21, 30)
    early, late = Turn("kazoo1", 2, 15, 30), Turn("kazoo1", 0, 21, 30)
    reading, too = Turn("rust1", 1, 10, 20, True), Turn("kazoo1", 2, 15, 30, True)
    both = ("rust", "kazoo")
    histories = {
        "not_alone": (not_alone([first, second]), not_alone([first, early])),
        "readers": (not_alone([reading, too]), not_alone([reading, early])),
        "too_many": (too_many([first, early], 2), too_many([first, early], 1)),
        "out_of_order": (out_of_order([first, second]), out_of_order([first, late])),
        "same_token": (out_of_order([reading, too]), out_of_order([first, first])),
        "not_handed_over": (
            not_handed_over([first, second, Turn("rust1", 3, 31, 32)], both),
            not_handed_over([first, second], both),
        ),
        "apart": (apart({"a": 1, "b": 2}, {"a": 3, "b": 4}), apart({"a": 1, "b": 4}, {"a": 3})),
        "lost": (lost_or_doubled("ab", "ba"), lost_or_doubled("ab", "a")),
        "doubled": (lost_or_doubled("ab", "ba"), lost_or_doubled("ab", "aba")),
        "not_as_put": (
            not_as_put("abc", [("x", "a"), ("y", "b"), ("x", "c")]),
            not_as_put("abc", [("x", "c"), ("x", "b")]),
        ),
    }
    return [name for name, (right, wrong) in histories.items() if right or not wrong]
