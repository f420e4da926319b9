"""What can happen to an ensemble, whatever its shape: writes, losses, and returns in every way there is
to bring a learner up to date. Suites tell their own stories out of these.
"""

from harness import servers, suite
from harness.client import CHANGED, CHILDREN_CHANGED, EPHEMERAL, MEMBERSHIP
from harness.client import Client, creation, until
from harness.ensembles import Ensemble, Member

SECONDS = 60
TAIL = "/tail"
FEW = 5


class Story:
    """What happens to one ensemble; its checks are counted under its title."""

    def __init__(self, tally: suite.Tally, ensemble: Ensemble, title: str):
        self.tally = tally
        self.ensemble = ensemble
        self.title = title
        self.written = 0

    def guarded(self, tell, *more) -> None:
        """Tells a story; what breaks it off is a failure."""
        with self.tally.story(self.title, self.ensemble):
            tell(self, *more)

    def check(self, what: str, holds: bool, detail: str = "") -> None:
        """Counts one check."""
        self.tally.check(f"{self.title}: {what}", holds, detail)

    # ---- writes ----------------------------------------------------------------------------------

    def write_at_every_member(self) -> None:
        """Writes at each running member, and reads it at all."""
        for member in self.ensemble.running():
            self.check_served(f"what is written at {member.sid} is read everywhere", member)

    def write(self, member: Member, count: int = 1, data: bytes = b"") -> list:
        """Writes at a member as soon as it takes writes, and returns the acknowledged paths."""

        def all_of_them() -> list:
            paths = []
            with member.client() as client:
                for _ in range(count):
                    self.written += 1
                    paths.append(f"/written-{self.written}")
                    client.post(*creation(paths[-1], data))
                for _ in paths:
                    client.answer()
                client.close()
            return paths

        return until(SECONDS, all_of_them)

    def check_served(self, what: str, member: Member) -> list:
        """Checks that what is written at a member is there at all of them; returns the paths."""
        paths = self.write(member, 1, f"by {member.sid}".encode())
        lost = []
        for reader in self.ensemble.running():
            with reader.client() as client:
                client.sync()
                if not client.exists(paths[0]):
                    lost.append(reader.sid)
                client.close()
        self.check(what, not lost, f"not at {lost}")
        return paths

    # ---- losses and returns ----------------------------------------------------------------------

    def lose_the_leader(self) -> Member:
        """Kills the leader; others go on, and it comes back. Returns who that was."""
        leader = self.ensemble.leader()
        leader.kill()
        following = self.ensemble.leader()
        self.check(f"{following.sid} leads after {leader.sid} was killed", following is not leader)
        self.check_served("and serves", following)
        leader.start()
        self.ensemble.leader()
        self.check_served(f"{leader.sid} serves again", leader)
        return leader

    def miss(self, members, way: str, count: int, data: bytes = b"") -> None:
        """Each of some members is away while the others go on, and comes back in this way."""
        leader = self.ensemble.leader()
        for member in members:
            member.stop()
            self.write(leader, count, data)
            self.come_back(member, way, f"after {count} transactions")

    def come_back(self, member: Member, way: str, when: str) -> list:
        """Starts a member, checks how it is brought up to date, and that it has everything."""
        known = len(member.ways())
        member.start()
        self.ensemble.leader()
        ways = member.ways()[known:]
        self.check(f"{member.sid} comes back by {way} {when}", ways[-1:] == [way], f"{ways}")
        return self.check_served("and serves", member)

    def bring_back_with_tail(self, meanwhile) -> None:
        """The leader is left alone with transactions that nobody else has, and comes back."""
        leader = self.ensemble.leader()
        following, *_ = self.leave_tail(leader)
        way = meanwhile(following, leader)
        self.check_tail_is_gone(self.come_back(leader, way, f"with a tail, {meanwhile.__doc__}"))

    def leave_tail(self, leader: Member) -> list:
        """Lets a leader log what nobody else gets, and ends it; returns the others, the new leader
        first.
        """
        others = [member for member in self.ensemble.running() if member is not leader]
        client = leader.client()
        for member in others:
            member.pause()
        for number in range(3):
            client.post(*creation(f"{TAIL}-{number}", b"of nobody else"))
        until(SECONDS, lambda: expect(leader.has_logged(f"{TAIL}-2".encode())))
        for member in [*others, leader]:
            member.kill()
        client.drop()
        for member in others:
            member.start()
        following = self.ensemble.leader()
        return [following, *(member for member in others if member is not following)]

    def check_tail_is_gone(self, written: list) -> None:
        """Checks that nobody has what the leader alone had, and everybody what was written
        since.
        """
        for member in self.ensemble.running():
            with member.client() as reader:
                reader.sync()
                found = reader.children("/")
                reader.close()
            lost = [path for path in written if path.strip("/") not in found]
            kept = [name for name in found if name.startswith(TAIL.strip("/"))]
            what = f"{member.sid} has nothing of the tail, and all else"
            self.check(what, not lost and not kept, f"lost {lost}, kept {kept}")

    def nothing_happens(self, *_) -> str:
        """while nothing happens"""
        return "TRUNC"

    def something_is_decided(self, following: Member, back: Member) -> str:
        """while others decide"""
        self.write(following, FEW)
        # In a later epoch, where Apache's leaders do not look for the place to cut, and ours do not tell
        # it to Apache's learners.
        kinds = {servers.KINDS[member.kind] for member in (following, back)}
        return "TRUNC" if kinds == {None} else "SNAP"

    # ---- memberships -----------------------------------------------------------------------------

    def reconfig(self, **change) -> str:
        """Changes the membership through a member that serves, as soon as that is possible; returns
        the new one.
        """

        def change_it() -> str:
            member = next((it for it in self.ensemble.running() if it.mode()), None)
            expect(member is not None)
            with Client(member.address) as client:
                text = client.reconfig(**change)
                client.close()
                return text

        return until(SECONDS, change_it)

    def check_membership(self, text: str) -> None:
        """Checks that every running member tells this membership in the end, to the byte."""
        told = {}

        def everybody() -> None:
            for member in self.ensemble.running():
                with Client(member.address) as client:
                    client.sync()
                    told[member.sid] = client.get(MEMBERSHIP)[0].decode()
                    client.close()
                expect(told[member.sid] == text)

        try:
            until(SECONDS, everybody)
            self.check("all tell the same membership", True)
        except OSError as failure:
            self.check("all tell the same membership", False, f"{failure!r}: {told}, not {text}")

    # ---- what is there ---------------------------------------------------------------------------

    def compare(self, when: str = "in the end", was_busy: bool = False) -> None:
        """Compares all trees, field by field and by digest; see `Ensemble.agreement`."""
        found = self.ensemble.agreement(was_busy)
        ended = set(self.ensemble.members) - found.members
        self.check(f"nobody has ended {when}", not ended, f"{sorted(ended)}\n{self.ensemble.logs()}")
        detail = "\n".join(found.differences[:20])
        what = f"all trees are equal {when}, of {found.znodes} znodes each"
        self.check(what, found.znodes > 1 and not found.differences, detail)
        detail = "\n".join(found.wrong_digests[:20])
        what = f"all digests are equal {when}"
        self.check(what, found.digests > 0 and not found.wrong_digests, detail)


class Mover:
    """A client that takes its session from member to member, with an ephemeral and watches."""

    EPHEMERAL = "/moving"
    WATCHED = "/moving-watched"
    PARENT = "/moving-parent"

    def __init__(self, story: Story, member: Member):
        self._story = story
        self._moves = 0
        self.client = member.client()
        self.client.create(self.EPHEMERAL, b"ephemeral", EPHEMERAL)
        self.client.create(self.WATCHED)
        self.client.create(self.PARENT)
        self._watch()

    def go_on_at(self, member: Member, helper: Member, who: str = "") -> None:
        """Goes on at a member, while a client of another one changes what it watches: some of it
        when it is away, some when it is there.
        """
        self._moves += 1
        self.client.drop()
        with helper.client() as changer:
            changer.set(self.WATCHED, f"{self._moves}".encode())
            session = self.client.session
            self.client = member.client(self.client)
            self.client.set_watches(data=[self.WATCHED], children=[self.PARENT])
            missed = self.client.event()
            changer.create(f"{self.PARENT}/{self._moves}")
            told = self.client.event()
            changer.close()
        what = f"a session goes on at {member.sid}{who}"
        self.client.sync()
        found = self.client.get(self.EPHEMERAL)[0]
        self.client.set(self.EPHEMERAL, found)
        is_same = self.client.session == session and found == b"ephemeral"
        self._story.check(f"{what} with its ephemeral", is_same, f"{found}")
        expected = [(CHANGED, self.WATCHED), (CHILDREN_CHANGED, self.PARENT)]
        self._story.check(f"{what} with its watches", [missed, told] == expected, f"{missed} {told}")
        self._watch()

    def end(self) -> None:
        """Ends the session, and checks that its ephemeral goes with it."""
        for name in self.client.children(self.PARENT):
            self.client.delete(f"{self.PARENT}/{name}")
        for path in (self.PARENT, self.WATCHED):
            self.client.delete(path)
        self.client.close()
        for member in self._story.ensemble.running():
            with member.client() as client:
                client.sync()
                is_there = client.exists(self.EPHEMERAL)
                client.close()
            self._story.check(f"its ephemeral is gone at {member.sid} with its session", not is_there)

    def _watch(self) -> None:
        self.client.get(self.WATCHED, watch=True)
        self.client.children(self.PARENT, watch=True)


def expect(holds: bool) -> None:
    """Raises what `until` waits for the end of."""
    if not holds:
        raise OSError("not yet")
