"""Whatever is said of subscriptions and becomes of the calls: in the end Braze holds what it should.

Changes are accepted in any order, their messages leave line by line at any later moment, a call works, is refused,
or nobody learns what became of it. Beside that stand a small model of Braze and one of what was said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from factories import NOON
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.ledger import subscribers as module
from bridge.ledger.subscriber_tables import braze_held, subscriptions
from bridge.ledger.subscribers import (
    HeldRow,
    Loaded,
    Place,
    SubscriberLedger,
    held,
    subscriptions_of,
    write_held,
)
from bridge.message import NewMessage, State
from bridge.settings import IdentityRule
from bridge.subscribers import sync
from bridge.subscribers.change import LookedUp, SubscriberChange
from bridge.subscribers.facts import FACTS
from bridge.subscribers.sync import Change, Held

EXAMPLES = {"sqlite": 300, "postgresql": 60}
FOUND_WITHIN = 1000  # examples: what a rule is for comes to light within some hundred
SETTINGS = settings(
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    report_multiple_bugs=False,
)

IDS = ("AAAA-1", "bbbb-2", "cccc-3")
SUBSCRIBERS = {"aaaa-1": "u-1", "bbbb-2": None, "cccc-3": "u-2"}  # as Rokt knows them
ASKED = frozenset({"subscriber_id", "geo_country"})
Outcome = Literal["worked", "refused", "lost", "lost and applied"]


@dataclass(frozen=True)
class Send:
    """A call with the first messages of a line, chosen among those where something waits."""

    which: int
    count: int
    outcome: Outcome


_texts = st.sampled_from([None, "x", "y", ""])
_facts = st.fixed_dictionaries(
    {},
    optional={
        "source": _texts,
        "optIn1": st.booleans(),
        "tags": st.lists(st.sampled_from("ab"), unique=True),
    },
)
CHANGES: st.SearchStrategy[SubscriberChange] = st.builds(
    SubscriberChange,
    action=st.sampled_from(["subscribe", "update", "unsubscribe"]),
    subscription_id=st.sampled_from([*IDS, IDS[0].lower(), IDS[0]]),
    facts=_facts,
    subscriber_id=st.sampled_from([None, None, "u-1", "u-2"]),
    identifier=st.sampled_from([*([None] * 5), "email:a@b.c"]),
    left_out=st.sampled_from([frozenset[str](), ASKED]),
)
SENDS = st.builds(
    Send,
    which=st.integers(0, 2),
    count=st.integers(1, 3),
    outcome=st.sampled_from(["worked", "worked", "refused", "lost", "lost and applied", "lost and applied"]),
)
STEPS = st.lists(st.one_of(st.lists(CHANGES, min_size=1, max_size=3), SENDS), min_size=1, max_size=25)


def rokt_knows(key: str) -> dict[str, Any]:
    return {"geo_country": key, "source": "of Rokt"}


class Braze:
    """The arrays of its profiles: unique values, what is added before what is removed."""

    def __init__(self) -> None:
        self.arrays: dict[tuple[str, str], list[str]] = {}

    def take(self, identifier: str, changes: Change) -> None:
        for name, its in changes.items():
            add, remove = its.get("add", []), its.get("remove", [])
            assert not set(add) & set(remove), "a value in both lists is gone"
            assert add or remove
            array = self.arrays.setdefault((identifier, name), [])
            array[:] = [value for value in array if value not in add] + add
            array[:] = [value for value in array if value not in remove]

    def held(self) -> dict[tuple[str, str], set[str]]:
        return {place: set(array) for place, array in self.arrays.items() if array}


@dataclass
class Said:
    """What was said of one subscription, by the model."""

    given_id: str
    is_active: bool = True
    has_begun: bool = False
    user: str | None = None
    named: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Model:
    """What was said, and what follows from it in the end."""

    def __init__(self, fallback: str) -> None:
        self.fallback = fallback
        self.said: dict[str, Said] = {}
        self.events: dict[str, list[str]] = {}

    def take(self, change: SubscriberChange, *, has_profile: bool) -> None:
        """`has_profile`: it is known whose the subscription is."""
        key = change.subscription_id.lower()
        is_new = key not in self.said
        its = self.said.setdefault(key, Said(change.subscription_id))
        if change.action == "subscribe":
            if not its.has_begun:
                self.events.setdefault(key, []).append("subscribe")
            its.is_active = its.has_begun = True
        if change.action == "unsubscribe":
            if is_new or its.is_active:
                self.events.setdefault(key, []).append("unsubscribe")
            its.is_active = its.has_begun = False
        its.facts |= {name: fact for name, fact in change.facts.items() if fact not in (None, "")}
        if change.action == "unsubscribe" and has_profile:
            return  # an end moves nothing to another profile
        its.user = change.subscriber_id or its.user
        its.named = change.identifier or its.named

    def in_braze(self, looked_up: set[str]) -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = {}
        for key, its in self.said.items():
            user = its.user or (SUBSCRIBERS[key] if key in looked_up else None)
            otherwise = f"alias:{key}" if self.fallback else None
            identifier = f"external_id:{user}" if user else its.named or otherwise
            if not its.is_active or identifier is None:
                continue
            facts = (rokt_knows(key) if key in looked_up else {}) | its.facts
            for name, fact in facts.items():
                place = (identifier, f"rokt:{name}")
                values = fact if isinstance(fact, list) else [fact]
                found.setdefault(place, set()).update(f"{value}/{key[-1]}" for value in values)
            found.setdefault((identifier, "rokt:subscription_id"), set()).add(its.given_id)
        return {place: values for place, values in found.items() if values}


class World:
    """A ledger in a database, the lines of messages that wait, and Braze."""

    def __init__(self, connection: Connection, fallback: str) -> None:
        for table in (subscriptions, braze_held):
            connection.execute(sa.delete(table))
        self._connection = connection
        rule = IdentityRule(fallback=fallback)
        self._ledger = SubscriberLedger(rule, syncs=True, looks_up=True, sends_unsubscribe=True)
        self._lines: dict[str, deque[NewMessage]] = {}
        self._events: dict[str, list[tuple[str, str]]] = {}  # of each subscription: line and name
        self.model, self.braze = Model(fallback), Braze()

    def accept(self, *changes: SubscriberChange | LookedUp) -> None:
        loaded = self._ledger.load(self._connection, changes)
        for change in changes:
            if isinstance(change, SubscriberChange):
                known = loaded.known.get(change.subscription_id.lower())
                self.model.take(change, has_profile=known is not None and known.identifier is not None)
            for message in loaded.apply(change, NOON):
                if message.state == State.SKIPPED:
                    assert not self.model.fallback
                    continue
                assert message.line
                self._lines.setdefault(message.line, deque()).append(message)
        loaded.write(self._connection, NOON)

    def send(self, step: Send) -> None:
        waiting = sorted(name for name, line in self._lines.items() if line)
        if not waiting:
            return
        line = self._lines[waiting[step.which % len(waiting)]]
        if line[0].destination == "rokt_calendar":
            self._look_up(line)
        elif self._call([line[n] for n in range(min(step.count, len(line)))], step.outcome):
            for _ in range(min(step.count, len(line))):
                self._count(line.popleft())

    def end(self) -> None:
        while any(self._lines.values()):
            self.send(Send(0, 3, "worked"))

    def _look_up(self, line: deque[NewMessage]) -> None:
        request = line.popleft().request
        key = request["subscription_id"]
        answer = LookedUp(request["action"], key, request["event"], rokt_knows(key), SUBSCRIBERS[key])
        self.accept(answer)

    def _call(self, messages: list[NewMessage], outcome: Outcome) -> bool:
        identifier = messages[0].request["identifier"]
        keys = {message.request["subscription_id"] for message in messages}
        places: list[Place] = [(identifier, key) for key in sorted(keys)]
        known = subscriptions_of(self._connection, keys)
        before = held(self._connection, places)
        targets = {place: known[place[1]].target(identifier, FACTS) for place in places}
        changes = {place: sync.change(targets[place], before[place]) for place in places}
        self.intend({place: sync.intended(before[place], changes[place]) for place in places})
        if outcome in ("worked", "lost and applied"):
            self.braze.take(identifier, _merged(changes.values()))
        self.record(outcome, before, {place: sync.settled(targets[place]) for place in places})
        return outcome == "worked"

    def intend(self, intended: dict[Place, Held]) -> None:
        self.write(intended)

    def record(self, outcome: Outcome, before: dict[Place, Held], after: dict[Place, Held]) -> None:
        if outcome == "worked":
            self.write(after)
        elif outcome == "refused":
            self.write(before)

    def write(self, rows: dict[Place, Held]) -> None:
        write_held(self._connection, [HeldRow(*place, its) for place, its in rows.items()], NOON)

    def _count(self, message: NewMessage) -> None:
        if event := message.request.get("event"):
            key = message.request["subscription_id"]
            self._events.setdefault(key, []).append((message.line or "", event["name"]))

    def check(self) -> None:
        """After the last message."""
        known = subscriptions_of(self._connection, self.model.said)
        looked_up = {key for key, one in known.items() if one.is_looked_up}
        assert self.braze.held() == self.model.in_braze(looked_up)
        assert all(one.lookups == 0 for one in known.values())
        if not self.model.fallback:
            return  # the events of a subscriber whom nobody knows are not sent
        assert self._events.keys() == self.model.events.keys()
        for key, names in self.model.events.items():
            lines, sent = zip(*self._events[key], strict=True)
            assert list(sent) == names or (len(set(lines)) > 1 and sorted(sent) == sorted(names)), (
                "their order"
            )


def _merged(changes: Any) -> Change:
    merged: Change = {}
    for one in changes:
        for name, its in one.items():
            for which, values in its.items():
                merged.setdefault(name, {}).setdefault(which, []).extend(values)
    return merged


def run(database: Database, examples: int, world: Callable[[Connection, str], World] = World) -> None:
    @settings(SETTINGS, max_examples=examples)
    @given(STEPS, st.sampled_from(["", "alias"]))
    def whatever_happens(steps: list[list[SubscriberChange] | Send], fallback: str) -> None:
        with database.write() as connection:
            its = world(connection, fallback)
            for step in steps:
                if isinstance(step, Send):
                    its.send(step)
                else:
                    its.accept(*step)
            its.end()
            its.check()

    whatever_happens()


def test_whatever_happens_braze_holds_what_is_alive_where_it_belongs(database: Database) -> None:
    run(database, EXAMPLES["sqlite" if database.is_sqlite else "postgresql"])


class TestWithoutARule:
    """It finds what each rule is for: it can fail."""

    @pytest.fixture
    def its_database(self, sqlite_database_url: str) -> Iterator[Database]:
        database = Database(sqlite_database_url)
        yield database
        database.close()

    def test_without_a_written_intent_what_was_lost_and_arrived_stays_for_ever(
        self, its_database: Database
    ) -> None:
        class Forgetful(World):
            def intend(self, intended: dict[Place, Held]) -> None:
                pass

        with pytest.raises(AssertionError):
            run(its_database, FOUND_WITHIN, Forgetful)

    @pytest.mark.parametrize("believed", ["lost", "refused"])
    def test_an_outcome_that_is_believed_to_have_worked_is_missed(
        self, its_database: Database, believed: Outcome
    ) -> None:
        class Credulous(World):
            def record(self, outcome: Outcome, before: dict[Place, Held], after: dict[Place, Held]) -> None:
                super().record("worked" if outcome == believed else outcome, before, after)

        with pytest.raises(AssertionError):
            run(its_database, FOUND_WITHIN, Credulous)

    def test_a_profile_that_is_not_told_that_it_was_left_keeps_the_values(
        self, its_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply = Loaded.apply
        monkeypatch.setattr(Loaded, "apply", lambda loaded, change, now: apply(loaded, change, now)[-1:])

        with pytest.raises(AssertionError):
            run(its_database, FOUND_WITHIN)

    def test_what_does_not_wait_behind_a_look_up_overtakes_its_event(
        self, its_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = module.told
        monkeypatch.setattr(module, "told", lambda *given: replace(told(*given), lookups=0))

        with pytest.raises(AssertionError, match="their order"):
            run(its_database, FOUND_WITHIN)

    def test_a_change_that_takes_nothing_unsure_away_leaves_it(
        self, its_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change = sync.change
        monkeypatch.setattr(sync, "change", lambda target, held: change(target, Held(held.certain)))

        with pytest.raises(AssertionError):
            run(its_database, FOUND_WITHIN)

    def test_a_value_that_is_added_and_removed_at_once_is_found(
        self, its_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All that is held is taken away, and all that should be is added: the naive way."""

        def anew(target: sync.Values, held: Held) -> Change:
            removed = {name: {"remove": list(some)} for name, some in held.certain.items()}
            return removed | {
                name: {"add": list(some), **removed.get(name, {})} for name, some in target.items() if some
            }

        monkeypatch.setattr(sync, "change", anew)

        with pytest.raises(AssertionError, match="a value in both lists"):
            run(its_database, FOUND_WITHIN)
