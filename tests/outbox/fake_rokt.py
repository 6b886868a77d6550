"""A Rokt Calendar without a network: it does what it is told with each call, and remembers what arrived."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bridge.errors import AnswerLost, NotBegun
from bridge.upstream import Answer


class Fate(StrEnum):
    TAKEN = "taken"
    REFUSED = "refused"
    BUSY = "busy"
    ASKED_TO_WAIT = "asked to wait"
    NO_CREDENTIAL = "no credential"
    NOT_BEGUN = "not begun"
    LOST_BEFORE = "lost before it was done"
    LOST_AFTER = "lost after it was done"


ANSWERS = {
    Fate.REFUSED: (400, {}),
    Fate.BUSY: (503, {}),
    Fate.ASKED_TO_WAIT: (429, {"Retry-After": "30"}),
    Fate.NO_CREDENTIAL: (401, {}),
}


@dataclass(frozen=True)
class Effect:
    """What one call did. `is_late`: it had been taken over before."""

    message_id: str
    call: str
    is_late: bool


@dataclass
class FakeRokt:
    """`is_strict`: to create what stands, and to delete what does not, is refused, of which Rokt's pages say
    nothing. `calendars`: by account and event the title at each holder."""

    is_strict: bool = False
    fate: Fate = Fate.TAKEN
    message_id: str = ""
    is_late: bool = False
    arrived: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    calendars: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def send(self, method: str, path: str, body: Any = None, **_how: Any) -> Answer:
        if self.fate == Fate.NOT_BEGUN:
            raise NotBegun("no connection")
        if self.fate == Fate.LOST_BEFORE:
            raise AnswerLost("no answer")
        self.arrived.append(self.message_id)
        if self.fate in ANSWERS:
            status, with_headers = ANSWERS[self.fate]
            return Answer(status, with_headers, "", 1)
        status = self._do(method, path, body)
        if status == 202:
            self.effects.append(Effect(self.message_id, f"{method} {path}", self.is_late))
        if self.fate == Fate.LOST_AFTER:
            raise AnswerLost("no answer")
        return Answer(status, {}, "", 1)

    def close(self) -> None: ...

    def _do(self, method: str, path: str, body: Any) -> int:
        _, _, _, account, last = [*path.split("/"), ""][:5]
        event = (body or {}).get("event", {})
        place = (account, event.get("eventId", last))
        holders = self.calendars.get(place, {})
        if method == "POST" and last == "update":
            if not holders:  # taken without effect, nobody could learn whether an uncertain create had worked
                return 404
            holders.update(dict.fromkeys(holders, event["title"]))
        elif method == "POST":
            if self.is_strict and holders.keys() & set(body["subscriptionIds"]):
                return 409
            self.calendars[place] = {**holders, **dict.fromkeys(body["subscriptionIds"], event["title"])}
        elif self.calendars.pop(place, None) is None and self.is_strict:
            return 404
        return 202
