"""Holds what the callers were told against what the upstream saw and what the database lists."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from bridge.outbox.upkeep import WORKER_LOST

from chaos.evidence import LISTED, Evidence
from chaos.upstream import Sight

UNDER_WAY_FOR = 12.0  # seconds; a call lasts ten at most, from its claim a little more
MANY_TRIES = 6  # of a message, by which its back-off alone may outlast the quiet at the end


@dataclass
class Verdict:
    """What is broken, then what is published.

    `repeats`: of what had arrived, and the bridge had not marked it. `late`: after a later one of its key, and
    no worker that had slept may have sent it. `taken_over`: calls of killed workers.
    """

    lost: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    repeats: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    repeated: int = 0
    repeated_late: int = 0
    uncertain: int = 0
    taken_over: int = 0
    take_overs: list[float] = field(
        default_factory=list
    )  # seconds from a kill, the database's outages not counted
    in_back_off: dict[int, int] = field(default_factory=dict)  # line, seconds that its head has to wait yet
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def violations(self) -> list[str]:
        named = {"lost": self.lost, "order": self.order, "repeat": self.repeats, "late": self.late}
        named |= {"left": self.left, "state": self.states}
        return [f"{name}: {one}" for name, several in named.items() for one in several]


def judge(evidence: Evidence) -> Verdict:
    verdict, case = Verdict(), _Case(evidence)
    for row in evidence.messages:
        verdict.counts[row.state] += 1
        verdict.uncertain += row.was_uncertain
        if row.state != "delivered":
            verdict.reasons[f"{row.state}: {row.reason}"] += 1
    _left(verdict, case)
    _lost(verdict, case)
    _order(verdict, case)
    _states(verdict, case)
    _take_overs(verdict, evidence)
    return verdict


class _Case:
    """The evidence by what it is asked for, and each message's story in words."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.by_id = {row.id: row for row in evidence.messages}
        self.by_request: dict[str, list[Any]] = defaultdict(list)
        for row in evidence.messages:
            self.by_request[row.request_id].append(row)
        self.seen: dict[str, list[Sight]] = defaultdict(list)
        for sight in evidence.sights:
            self.seen[sight.request_id].append(sight)

    @cached_property
    def lines(self) -> Mapping[int, Sequence[Any]]:
        lines: dict[int, list[Any]] = defaultdict(list)
        for row in self.evidence.messages:
            lines[row.line].append(row)
        return lines

    def may_be_late(self, line: int, at: float) -> bool:
        """A worker was stopped with a call of this line, whose late answer sends others of it again."""
        its_claims = [claim for row in self.lines[line] for claim in self.evidence.claims.get(row.seq, ())]
        return any(
            claimed_by == pid and since - UNDER_WAY_FOR <= claimed_at <= until and at >= since
            for pid, since, until in self.evidence.stopped
            for claimed_at, claimed_by in its_claims
        )

    def story(self, request_id: str) -> str:
        kept = "no row"
        for row in self.by_request[request_id][:1]:
            told = [
                f"{a.at:%H:%M:%S.%f} {a.status} {a.answer[:60]}"
                for a in self.evidence.attempts.get(row.seq, ())
            ]
            kept = (
                f"seq {row.seq} {row.state} reason={row.reason} uncertain={row.was_uncertain} "
                f"tries={row.tries} received={row.received_at:%H:%M:%S.%f} attempts={told} "
                f"claims={self.evidence.claims.get(row.seq, ())}"
            )
        saw = [
            f"{s.kind} {s.fault} {s.seen_at:.2f} taken={s.taken_at} {s.status}" for s in self.seen[request_id]
        ]
        return f"{request_id}: {kept}; seen {saw}"


def _left(verdict: Verdict, case: _Case) -> None:
    evidence = case.evidence
    tries = {row.seq: row.tries for row in evidence.messages}
    for row in evidence.waiting:
        wait = (row.due_at - evidence.now).total_seconds()
        if row.is_head and not row.call_id and wait > 0 and tries[row.seq] >= MANY_TRIES:
            verdict.in_back_off[row.line] = round(wait)
    verdict.left += [f"waiting {row}" for row in evidence.waiting if row.line not in verdict.in_back_off]
    verdict.left += [f"call {row}" for row in evidence.calls]


def _lost(verdict: Verdict, case: _Case) -> None:
    for one in case.evidence.sent:
        if one.refusal:
            verdict.lost.append(f"{one.request_id} was refused: {one.refusal} {one.statuses}")
        if one.taken_at is None:
            continue
        if len(set(one.ids)) > 1 or len(case.by_request[one.request_id]) > 1:
            verdict.lost.append(f"{one.request_id} is there twice: {one.ids} {one.statuses}")
        for given in one.ids:
            row = case.by_id.get(given)
            if row is None:
                verdict.lost.append(f"{one.request_id} {given} has no row {one.statuses}")
            elif row.line in verdict.in_back_off and row.state in ("accepted", "retrying"):
                continue
            elif row.state == "delivered":
                if not any(s.taken_at and s.status != 503 for s in case.seen[one.request_id]):
                    verdict.lost.append(f"said to be delivered and never seen: {case.story(one.request_id)}")
            elif row.state not in LISTED or not case.evidence.listed.get(given):
                verdict.lost.append(case.story(one.request_id))
            elif row.state == "dead" and case.evidence.may_die and row.reason.startswith("tried for"):
                continue
            elif one.action == "delete" and one.request_id in case.evidence.replayed and "404" in row.reason:
                continue  # somebody asked for a second delete of what was gone
            elif row.state == "dead" and not one.title.startswith("bad"):
                verdict.lost.append(f"dead for no reason of its own: {case.story(one.request_id)}")


def _order(verdict: Verdict, case: _Case) -> None:
    """In the order of the upstream's clock: nothing is seen before the one ahead of it is done."""
    evidence = case.evidence
    before = {later.request_id: earlier for line in case.lines.values() for earlier, later in pairwise(line)}
    done = {row.request_id for row in evidence.messages if row.state in ("skipped", "superseded")}
    gone = {row.request_id for row in evidence.messages if row.state == "dead"}
    newest: dict[int, int] = defaultdict(int)  # of each line: the latest that was seen
    seen: set[str] = set()
    events = [(s.seen_at, 1, s) for s in evidence.sights] + [
        (s.taken_at, 0, s) for s in evidence.sights if s.taken_at and s.status != 400
    ]
    for _, is_seen, sight in sorted(events, key=lambda event: event[:2]):
        if not is_seen:
            done.add(sight.request_id)
            continue
        if not case.by_request[sight.request_id]:
            verdict.order.append(f"seen and not stored: {sight}")
            continue
        row = case.by_request[sight.request_id][0]
        if sight.request_id not in seen:
            seen.add(sight.request_id)
            earlier = before.get(sight.request_id)
            if earlier is not None and earlier.request_id not in done | gone:
                verdict.order.append(
                    f"{case.story(sight.request_id)} CAME BEFORE {case.story(earlier.request_id)}"
                )
        if sight.request_id in done and sight.request_id not in evidence.replayed:
            _repeat(verdict, case, row, sight, is_late=row.seq < newest[row.line])
        newest[row.line] = max(newest[row.line], row.seq)


def _repeat(verdict: Verdict, case: _Case, row: Any, sight: Sight, *, is_late: bool) -> None:
    # A create of what is there already leaves as a create and then an update: two calls of one message.
    if not row.was_uncertain and row.action in ("create", "upsert") and sight.kind == "update":
        return
    verdict.repeated += 1
    verdict.repeated_late += is_late
    if not row.was_uncertain:
        verdict.repeats.append(case.story(sight.request_id))
    if is_late and not case.may_be_late(row.line, sight.seen_at):
        verdict.late.append(case.story(sight.request_id))


def _states(verdict: Verdict, case: _Case) -> None:
    """What the last delivered one says stands, or what a later one says that died without an answer."""
    last: dict[str, list[Any]] = defaultdict(list)
    for row in case.evidence.messages:
        if row.state in ("delivered", "skipped"):
            last[f"{row.event_id}_{row.user_id}"] = [row]
        elif row.state == "dead" and row.was_uncertain:
            last[f"{row.event_id}_{row.user_id}"].append(row)
    for key, several in last.items():
        may = [None if row.action == "delete" else row.request_id.partition("-")[2] for row in several]
        stands = case.evidence.calendar.get(key, {None: None})
        if wrong := [title for title in stands.values() if title not in may]:
            told = [case.story(row.request_id) for row in several]
            verdict.states.append(f"{key} is {wrong!r} in {stands}, not {may!r}: {told}")


def _take_overs(verdict: Verdict, evidence: Evidence) -> None:
    """How long the calls of each killed worker lay."""
    died = {death.pid: death.at for death in evidence.deaths}
    for seq, several in evidence.attempts.items():
        for attempt in several:
            at = attempt.at.timestamp() - evidence.epoch
            claims = [pid for claimed_at, pid in evidence.claims.get(seq, ()) if claimed_at <= at]
            if attempt.answer == WORKER_LOST and claims and claims[-1] in died:
                killed_at = died[claims[-1]]
                out = sum(max(0.0, min(end, at) - max(begin, killed_at)) for begin, end in evidence.outages)
                verdict.taken_over += 1
                verdict.take_overs.append(round(at - killed_at - out, 2))
