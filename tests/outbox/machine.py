"""The outbox beside a model of it: rules drive both, and after each transaction they must agree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from outbox.fake_rokt import FakeRokt, Fate
from outbox.model import Word
from outbox.transactions import LINES, MOST_AT_ONCE, Hand, Harness, Held, Step, Transactions, Wanted, wanted

from bridge.message import Rejected, State
from bridge.outbox.upkeep import TOO_LATE
from bridge.turns import at_once

SECONDS, MINUTES, DAYS = (timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1))
SILENCE = 25 * SECONDS
PASSING = [SECONDS, 12 * SECONDS, 12 * SECONDS, SILENCE, 50 * MINUTES, 2 * 60 * MINUTES]
FATES = st.sampled_from([*[Fate.TAKEN] * 5, *Fate])
LIVES = [None, None, None, None, None, None, 5 * SECONDS, 30 * MINUTES]
WANTED = st.builds(
    wanted,
    st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2]),
    st.sampled_from([*["upsert"] * 5, "create", "create", "update", "update", "delete"]),
    st.sampled_from("ABC"),
    st.sampled_from([("s-1",), ("s-1", "s-2")]),
    st.sampled_from(LIVES),
)
ROUNDS = 400  # of a worker until all has ended; what takes longer never ends


class OutboxMachine(RuleBasedStateMachine):
    """What can happen to three lines, with three workers and a Rokt that fails in every way."""

    def __init__(self, harness: Harness) -> None:
        super().__init__()
        harness.empty()
        self.harness = harness
        self.rokt = FakeRokt()
        self.bridge = Transactions(self.rokt, harness.database)
        self.model = self.bridge.model
        self._do(self.bridge.beat())

    @initialize(is_strict=st.booleans())
    def begin(self, is_strict: bool) -> None:
        self.rokt.is_strict = is_strict

    @rule(wanted=st.lists(WANTED, min_size=1, max_size=3))
    def accept(self, wanted: list[Wanted]) -> None:
        self._do(self.bridge.store(*wanted))

    @rule(data=st.data(), wanted=WANTED, fate=FATES)
    def accept_and_deliver(self, data: st.DataObject, wanted: Wanted, fate: Fate) -> None:
        self._do(self.bridge.store(wanted))
        self._deliver(_one(data, self._alive()), fate)

    @rule(data=st.data(), most=st.sampled_from([1, 2, MOST_AT_ONCE]))
    def claim(self, data: st.DataObject, most: int) -> None:
        self._do(self.bridge.claim(_one(data, self._alive()), most))

    @precondition(lambda self: any(hand.unmade() for hand in self.bridge.hands))
    @rule(data=st.data(), fate=FATES)
    def make_a_call(self, data: st.DataObject, fate: Fate) -> None:
        """Also of a silent worker: what it had sent arrives."""
        self._make(_one(data, [one for hand in self.bridge.hands for one in hand.unmade()]), fate)

    @precondition(lambda self: any(hand.made() for hand in self._alive()))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        self._settle(_one(data, [hand for hand in self._alive() if hand.made()]))

    @rule(data=st.data(), fate=FATES)
    def deliver(self, data: st.DataObject, fate: Fate) -> None:
        self._deliver(_one(data, self._alive()), fate)

    @rule(time=st.sampled_from(PASSING))
    def wait(self, time: timedelta) -> None:
        self._pass(time)

    @rule()
    def keep_house(self) -> None:
        self._do(self.bridge.take_over())
        self._do(self.bridge.expire())

    @rule(data=st.data())
    def lose_a_worker_or_find_it_again(self, data: st.DataObject) -> None:
        """One rule, so that an example that has the one has the other."""
        kinds: list[Callable[[st.DataObject], None]] = []
        if len(self._alive()) > 1:
            kinds += [self._fall_silent, *[self._fall_silent_and_be_found_out] * 2]
        if self._silent():
            kinds += [*[self._wake] * 4, self._die]
        _one(data, kinds)(data)

    @precondition(lambda self: self.model.settled())
    @rule(data=st.data(), force=st.sampled_from([False, False, True]), is_behind=st.booleans())
    def replay(self, data: st.DataObject, force: bool, is_behind: bool) -> None:
        if is_behind:
            self._do(self.bridge.claim(self._alive()[0], MOST_AT_ONCE))
        self._do(self.bridge.replay(self._some_settled(data), force=force))

    @rule(data=st.data(), what=st.sampled_from(["cancel", "replay what died", "pause", "pause for long"]))
    def operate(self, data: st.DataObject, what: str) -> None:
        dead, waiting = self._dead(), self.model.waiting()
        if self.bridge.is_paused:
            self._do(self.bridge.resume())
        elif what.startswith("pause"):
            self._do(self.bridge.pause())
            self._do(self.bridge.claim(self._alive()[0], MOST_AT_ONCE))
            if what == "pause":
                self._do(self.bridge.resume())
        elif what == "cancel" and waiting:
            self._do(self.bridge.cancel([_one(data, waiting)]))
        elif what == "replay what died" and dead:
            self._do(self.bridge.replay_all(dead))

    @precondition(lambda self: self.model.settled() and not self.bridge.held())
    @rule(days=st.sampled_from([31, 91]))
    def forget(self, days: int) -> None:
        self._pass(days * DAYS)
        self._do(self.bridge.forget())

    @rule(data=st.data(), wanted=WANTED)
    def overlap(self, data: st.DataObject, wanted: Wanted) -> None:
        """Two transactions at once, on one line where both are about one."""
        settling = [hand for hand in self._alive() if hand.made()]
        steps = [self._some_step(data, wanted, settling[number : number + 1]) for number in range(2)]
        told = self.harness.overlap(*(step.run for step in steps))
        for step, result in zip(steps, told, strict=True):
            step.compare(result)
        self._check()

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self._come_to_an_end()

    def _come_to_an_end(self) -> None:
        """Rokt is well and every worker is back: nothing waits for ever, and the last word stands."""
        self._do(self.bridge.resume())
        for hand in self.bridge.hands:
            hand.is_silent = False
        for _ in range(ROUNDS):
            if not self.model.waiting() and not any(hand.held for hand in self.bridge.hands):
                break
            worked = [self._deliver(hand, Fate.TAKEN) for hand in self.bridge.hands]
            if not any(worked):
                self._pass(12 * SECONDS)
                self.keep_house()
        assert self.model.waiting() == [], "something waits for ever"

    def _fall_silent(self, data: st.DataObject) -> None:
        _one(data, self._alive()).is_silent = True

    def _fall_silent_and_be_found_out(self, data: st.DataObject) -> None:
        """With calls that it has not made, if it can get some. Others make them, and newer ones."""
        hand: Hand = _one(data, self._alive())
        if not hand.unmade():
            self._do(self.bridge.store(data.draw(WANTED)))
            self._do(self.bridge.claim(hand, 2))
        hand.is_silent = True
        self._pass(SILENCE)
        self._do(self.bridge.take_over())
        for newer in data.draw(st.lists(WANTED, max_size=2)):
            self._do(self.bridge.store(newer))
            self._deliver(self._alive()[0], Fate.TAKEN)

    def _wake(self, data: st.DataObject) -> None:
        """It first tells what it has, then that it lives. What it has not begun it does not begin now."""
        if data.draw(st.booleans()):
            self._do(self.bridge.claim(self._alive()[0], MOST_AT_ONCE))
        hand: Hand = _one(data, self._silent())
        hand.is_silent = False
        how = data.draw(st.sampled_from(["had sent its calls", "is still in a call", "had sent nothing"]))
        if how == "had sent its calls":
            for one in hand.unmade():
                self._make(one, data.draw(FATES))
        elif how == "had sent nothing" and hand.unmade():
            self._do(self.bridge.give_back(hand))
        self._settle(hand)
        self._do(self.bridge.beat())

    def _die(self, data: st.DataObject) -> None:
        """Not while it owes the word that a call arrived after it was taken over: that would be lost with it."""
        dying: Hand = _one(data, self._silent())
        if not any(one.is_taken_over and one.outcome for one in dying.held):
            self.bridge.killed.append(dying)
            self.bridge.hands = [hand for hand in self.bridge.hands if hand is not dying] + [Hand()]
            self._do(self.bridge.beat())

    def _check_the_last_word(self, line: int) -> None:
        last = self.model.last_in_place(line)
        its_words = {word.id: word for word in self.model.words if word.line == line}
        its_effects = [effect for effect in self.rokt.effects if effect.message_id in its_words]
        if last is None or not its_effects or any(word.has_died_again for word in its_words.values()):
            return
        # What died may stand all the same, if it came last: it is listed with its reason.
        if not its_effects[-1].is_late and its_words[its_effects[-1].message_id].state == State.DEAD:
            return
        account, user = LINES[line]
        holders = self.rokt.calendars.get((account, f"sale_{user}"), {})
        wanted = {last.title} if last.title else set()
        assert set(holders.values()) == wanted, f"{last} is the last word, and Rokt holds {holders}"

    def _do(self, step: Step) -> None:
        step.compare(self.harness.do(step.run))
        self._check()

    def _check(self) -> None:
        with self.harness.database.read() as connection:
            self.bridge.check(connection)
        busy = {word.line for word in self.model.waiting()} | {one.word.line for one in self.bridge.held()}
        for line in set(range(len(LINES))) - busy:
            self._check_the_last_word(line)

    def _pass(self, time: timedelta) -> None:
        self.bridge.now += time
        self._do(self.bridge.beat())

    def _settle(self, hand: Hand) -> None:
        if made := hand.made():
            self._do(self.bridge.settle(hand, made))

    def _deliver(self, hand: Hand, fate: Fate) -> bool:
        """What a worker does in a moment. False: there was nothing to do."""
        self._do(self.bridge.claim(hand, MOST_AT_ONCE))
        for one in hand.unmade():
            self._make(one, fate)
        has_made = bool(hand.made())
        self._settle(hand)
        return has_made

    def _make(self, one: Held, fate: Fate) -> None:
        message = one.call.message
        if message.expires_at is not None and message.expires_at <= one.claimed_at:
            one.outcome = Rejected(TOO_LATE)
            return
        arrived, effects = len(self.rokt.arrived), len(self.rokt.effects)
        self.rokt.fate, self.rokt.message_id, self.rokt.is_late = fate, message.id, one.is_taken_over
        [one.outcome] = self.bridge.calendar.deliver([message], [one.standing], at_once)
        if len(self.rokt.arrived) > arrived:
            self._check_the_order(one)
        if len(self.rokt.effects) > effects:
            self._check_the_repeat(one)

    def _check_the_order(self, one: Held) -> None:
        word = one.word
        if word.id in self.rokt.arrived[:-1] or word.replays or one.is_taken_over:
            return
        line = [other for other in self.model.words if other.line == word.line and not other.replays]
        later = [other for other in line if other.number > word.number and other.id in self.rokt.arrived]
        earlier = [other for other in line if other.number < word.number and other.waits]
        assert not later + earlier, f"{word} arrived out of order: {later + earlier}"

    def _check_the_repeat(self, one: Held) -> None:
        *before, effect = self.rokt.effects
        same = [e for e in before if (e.message_id, e.call) == (effect.message_id, effect.call)]
        is_expected = one.word.was_uncertain or one.word.replays or one.call.message.was_uncertain
        assert not same or is_expected, f"{one.word} was sent twice"

    def _alive(self) -> list[Hand]:
        return [hand for hand in self.bridge.hands if not hand.is_silent]

    def _silent(self) -> list[Hand]:
        return [hand for hand in self.bridge.hands if hand.is_silent]

    def _dead(self) -> list[Word]:
        return [word for word in self.model.settled() if word.state == State.DEAD]

    def _some_step(self, data: st.DataObject, wanted: Wanted, settling: Sequence[Hand]) -> Step:
        kinds: list[Callable[[], Step]] = [lambda: self.bridge.store(wanted)] * 3
        kinds += [self.bridge.expire, self.bridge.take_over]
        kinds += [lambda: self.bridge.claim(self._alive()[0], MOST_AT_ONCE, is_alone=False)]
        for hand in settling:
            kinds += [lambda hand=hand: self.bridge.settle(hand, hand.made())] * 4  # type: ignore[misc]
        if self.model.settled():
            kinds += [lambda: self.bridge.replay(self._some_settled(data), force=False)] * 2
        step: Step = _one(data, kinds)()
        return step

    def _some_settled(self, data: st.DataObject) -> Word:
        word: Word = _one(data, self.model.settled() + 2 * self._dead())
        return word


def _one(data: st.DataObject, among: Sequence[Any]) -> Any:
    return among[data.draw(st.integers(0, len(among) - 1))]
