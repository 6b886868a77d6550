"""Holds what the callers were told against what the upstream saw and what the database lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from bridge.database import Database, clock
from bridge.outbox.tables import attempts, calls, messages, waiting

from chaos.driver import Driver
from chaos.upstream import Sight, Upstream

MANY_TRIES = 6  # of a message, by which its back-off alone may outlast the quiet at the end
LISTED = ("dead", "superseded", "skipped")


@dataclass
class Verdict:
    lost: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    repeats: list[str] = field(default_factory=list)  # of messages that were not marked uncertain
    left: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    repeated: int = 0
    uncertain: int = 0
    in_back_off: dict[int, int] = field(default_factory=dict)  # line, seconds that its head has to wait yet
    counts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    worst_after_kill: float = 0.0

    @property
    def violations(self) -> list[str]:
        named = {"lost": self.lost, "order": self.order, "repeat": self.repeats}
        named |= {"left": self.left, "state": self.states}
        return [f"{name}: {one}" for name, several in named.items() for one in several]


def judge(
    driver: Driver,
    upstream: Upstream,
    database: Database,
    kills: Sequence[tuple[float, str]],
    *,
    may_die: bool,
) -> Verdict:
    verdict, sent = Verdict(), driver.sent
    with database.read() as connection:
        rows = connection.execute(sa.select(messages).order_by(messages.c.seq)).all()
        left = connection.execute(sa.select(waiting)).all()
        tries = {row.seq: row.tries for row in rows}
        now = clock(connection)
        in_back_off = {
            row.line: (row.due_at - now).total_seconds()
            for row in left
            if row.is_head and not row.call_id and row.due_at > now and tries[row.seq] >= MANY_TRIES
        }
        verdict.in_back_off = {line: round(seconds) for line, seconds in in_back_off.items()}
        verdict.left += [f"waiting {row}" for row in left if row.line not in in_back_off]
        verdict.left += [f"call {row}" for row in connection.execute(sa.select(calls))]
        told = defaultdict(list)
        for row in connection.execute(sa.select(attempts).order_by(attempts.c.id)):
            told[row.seq].append(f"{row.at:%H:%M:%S.%f} {row.status} {row.answer[:60]}")
    with upstream.lock:
        sights = list(upstream.sights)
    by_id = {row.id: row for row in rows}
    by_request: dict[str, list[Any]] = defaultdict(list)
    seen: dict[str, list[Sight]] = defaultdict(list)
    for row in rows:
        by_request[row.request_id].append(row)
        verdict.counts[row.state] = verdict.counts.get(row.state, 0) + 1
        if row.state != "delivered":
            reason = f"{row.state}: {row.reason}"
            verdict.reasons[reason] = verdict.reasons.get(reason, 0) + 1
    for sight in sights:
        seen[sight.request_id].append(sight)
    verdict.uncertain = sum(row.was_uncertain for row in rows)

    def story(request_id: str) -> str:
        row = by_request[request_id][0] if by_request[request_id] else None
        kept = (
            f"seq {row.seq} {row.state} reason={row.reason} uncertain={row.was_uncertain} tries={row.tries} "
            f"received={row.received_at:%H:%M:%S.%f} attempts={told[row.seq]}"
            if row
            else "no row"
        )
        saw = [f"{s.kind} {s.fault} {s.seen_at:.2f} taken={s.taken_at} {s.status}" for s in seen[request_id]]
        return f"{request_id}: {kept}; seen {saw}"

    _lost(verdict, sent, by_id, by_request, seen, story, may_die, driver.replayed)
    _order(verdict, rows, sights, by_request, story, driver.replayed)
    _states(verdict, rows, upstream, story)
    taken_at = {one.request_id: one.taken_at for one in sent}
    for request_id, several in seen.items():
        done = [s.taken_at for s in several if s.taken_at is not None]
        asked = taken_at.get(request_id)
        for killed_at, _ in kills:
            if done and asked and asked <= killed_at < done[0]:
                verdict.worst_after_kill = max(verdict.worst_after_kill, done[0] - killed_at)
    return verdict


def _lost(
    verdict: Verdict,
    sent: Any,
    by_id: Any,
    by_request: Any,
    seen: Any,
    story: Any,
    may_die: bool,
    replayed: set[str],
) -> None:
    for one in sent:
        if one.refusal:
            verdict.lost.append(f"{one.request_id} was refused: {one.refusal} {one.statuses}")
        if one.taken_at is None:
            continue
        if len(set(one.ids)) > 1 or len(by_request[one.request_id]) > 1:
            verdict.lost.append(f"{one.request_id} is there twice: {one.ids} {one.statuses}")
        for given in one.ids:
            row = by_id.get(given)
            if row is not None and row.line in verdict.in_back_off and row.state in ("accepted", "retrying"):
                continue
            if row is None:
                verdict.lost.append(f"{one.request_id} {given} has no row {one.statuses}")
            elif row.state == "delivered":
                if not any(s.taken_at and s.status != 503 for s in seen[one.request_id]):
                    verdict.lost.append(f"said to be delivered and never seen: {story(one.request_id)}")
            elif row.state not in LISTED or not row.reason:
                verdict.lost.append(story(one.request_id))
            elif row.state == "dead" and may_die and row.reason.startswith("tried for"):
                continue
            elif one.action == "delete" and one.request_id in replayed and row.reason == "answered 404":
                continue  # somebody asked for a second delete of what was gone
            elif row.state == "dead" and not one.title.startswith("bad"):
                verdict.lost.append(f"dead for no reason of its own: {story(one.request_id)}")


def _order(
    verdict: Verdict, rows: Any, sights: Sequence[Sight], by_request: Any, story: Any, replayed: set[str]
) -> None:
    line: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        line[row.line].append(row)
    before: dict[str, Any] = {}
    for several in line.values():
        for earlier, later in pairwise(several):
            before[later.request_id] = earlier
    done: set[str] = {r.request_id for r in rows if r.state in ("skipped", "superseded")}
    gone = {r.request_id for r in rows if r.state == "dead"}
    first: set[str] = set()
    events = [(s.seen_at, 1, s) for s in sights] + [
        (s.taken_at, 0, s) for s in sights if s.taken_at and s.status != 400
    ]
    for _, is_seen, sight in sorted(events, key=lambda event: event[:2]):
        if not is_seen:
            done.add(sight.request_id)
            continue
        row = by_request[sight.request_id][0] if by_request[sight.request_id] else None
        if row is None:
            verdict.order.append(f"seen and not stored: {sight}")
            continue
        if sight.request_id not in first:
            first.add(sight.request_id)
            earlier = before.get(sight.request_id)
            if earlier is not None and earlier.request_id not in done | gone:
                verdict.order.append(f"{story(sight.request_id)} CAME BEFORE {story(earlier.request_id)}")
        if sight.request_id in done:
            verdict.repeated += 1
            if (
                row.request_id not in replayed
                and not row.was_uncertain
                and not (row.action in ("create", "upsert") and sight.kind == "update")
            ):
                verdict.repeats.append(story(sight.request_id))


def _states(verdict: Verdict, rows: Any, upstream: Upstream, story: Any) -> None:
    """What the last delivered one says stands, or what a later one says that died without an answer."""
    last: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        if row.state in ("delivered", "skipped"):
            last[f"{row.event_id}_{row.user_id}"] = [row]
        elif row.state == "dead" and row.was_uncertain:
            last[f"{row.event_id}_{row.user_id}"].append(row)
    for key, several in last.items():
        may = [None if row.action == "delete" else row.request_id.partition("-")[2] for row in several]
        stands = upstream.calendar.get(key, {None: None})
        if wrong := [title for title in stands.values() if title not in may]:
            told = [story(row.request_id) for row in several]
            verdict.states.append(f"{key} is {wrong!r} in {stands}, not {may!r}: {told}")
