"""What has to leave for a calendar message, from what Rokt is known to hold. Pure: a dry run asks the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote

from bridge.calendar.event import CalendarEvent
from bridge.ledger.events import Standing
from bridge.message import Json

Kind = Literal["create", "update", "delete", "delete_one"]
TEST_TITLE = "[TEST] "


@dataclass(frozen=True)
class CalendarRequest:
    """What a calendar message asks for. `event`: the given fields; `is_whole`: nothing comes from the last state."""

    action: str
    account_code: str
    rokt_event_id: str
    subscription_ids: tuple[str, ...]
    event: Json
    is_whole: bool = False
    is_test: bool = False

    def stored(self) -> dict[str, Any]:
        return {
            "rokt_event_id": self.rokt_event_id,
            "subscription_ids": list(self.subscription_ids),
            "event": dict(self.event),
            "is_whole": self.is_whole,
        }

    @classmethod
    def read(cls, action: str, account_code: str, stored: Json, *, is_test: bool) -> CalendarRequest:
        ids = tuple(stored["subscription_ids"])
        return cls(
            action, account_code, stored["rokt_event_id"], ids, stored["event"], stored["is_whole"], is_test
        )


@dataclass(frozen=True)
class Step:
    """One call. `subscription_ids`: whom it reaches by name. `goes_on`: another call follows if this is taken."""

    kind: Kind
    method: str
    path: str
    body: dict[str, Any] | None
    content: dict[str, Any] | None = None
    subscription_ids: tuple[str, ...] = ()
    goes_on: bool = False


def next_step(request: CalendarRequest, standing: Standing, progress: Json, update_body: str) -> Step | None:
    """The next call, or None when Rokt already holds exactly this.

    `progress`: what earlier calls of this message achieved: `deleted` (subscription ids), `ask_update` (a create
    of unknown outcome was refused when repeated, so an update decides). Errors: InvalidPayload when a partial
    update has nothing to stand on.
    """
    if request.action == "delete":
        return _delete(request, progress)
    base = None if request.is_whole else standing.content or (standing.unsent or {}).get("event")
    event = CalendarEvent.of(request.event, base)
    if request.is_test:
        return _create(request, replace(event, title=TEST_TITLE + event.title), request.subscription_ids)
    to_create = _to_create(request, standing)
    if to_create and not progress.get("ask_update"):
        step = _create(request, event, to_create)
        is_changed = standing.is_known and (standing.content != event.content() or not standing.is_certain)
        return replace(step, goes_on=bool(standing.holders) and is_changed)
    is_same = standing.content == event.content() and standing.is_certain
    if is_same and request.action != "update" and not progress.get("ask_update"):
        return None
    # Where an update decides whether the create worked, it stands for the create and its ids.
    return replace(_update(request, event, update_body), subscription_ids=to_create)


def first_step(request: CalendarRequest) -> Step:
    """The create of an event that Rokt does not hold yet. Errors: InvalidPayload."""
    event = CalendarEvent.of(request.event)
    return _create(request, event, request.subscription_ids)


def steps(request: CalendarRequest, standing: Standing, update_body: str) -> list[Step]:
    """All calls that would leave now if Rokt took each of them."""
    planned: list[Step] = []
    progress: dict[str, Any] = {}
    while step := next_step(request, standing, progress, update_body):
        planned.append(step)
        standing = after(step, request, standing) or Standing()
        progress = progressed(step, progress)
        if not step.goes_on:
            break
    return planned


def after(step: Step, request: CalendarRequest, standing: Standing) -> Standing | None:
    """The standing once Rokt has taken a step; None: the event is gone."""
    if step.kind == "delete":
        return None
    if step.kind == "delete_one":
        left = standing.holders - set(step.subscription_ids)
        return replace(standing, holders=left) if left or not standing.holders else None
    holders = standing.holders | set(step.subscription_ids)
    if step.kind == "create" and step.goes_on:
        return replace(standing, holders=holders)  # those who held it before still have the old state
    return Standing(step.content, True, holders, None)


def progressed(step: Step, progress: Json) -> dict[str, Any]:
    """What the next call must know once a step was taken."""
    if step.kind != "delete_one":
        return dict(progress)
    return {**progress, "deleted": [*progress.get("deleted", ()), *step.subscription_ids]}


def _to_create(request: CalendarRequest, standing: Standing) -> tuple[str, ...]:
    unsent = tuple((standing.unsent or {}).get("subscription_ids", ()))
    if request.action == "update":
        # An update never widens an event's audience; but where the create died here, it is the create.
        return (
            () if standing.is_known or not unsent else tuple(dict.fromkeys(unsent + request.subscription_ids))
        )
    wanted = request.subscription_ids
    if request.action == "upsert" and not standing.is_known:
        wanted = tuple(dict.fromkeys(unsent + wanted))
    return tuple(one for one in wanted if one not in standing.holders)


def _create(request: CalendarRequest, event: CalendarEvent, ids: tuple[str, ...]) -> Step:
    body = {"event": event.rokt(request.rokt_event_id), "subscriptionIds": list(ids)}
    return Step(
        "create", "POST", _path("v1", "subscriptionevent", request.account_code), body, event.content(), ids
    )


def _update(request: CalendarRequest, event: CalendarEvent, update_body: str) -> Step:
    # Braze's page wraps the update in {"event": …}, Rokt's own reference shows it flat; neither explains.
    rokt = event.rokt(request.rokt_event_id)
    body = rokt if update_body == "flat" else {"event": rokt}
    path = _path("v1", "subscriptionevent", request.account_code, "update")
    return Step("update", "POST", path, body, event.content())


def _delete(request: CalendarRequest, progress: Json) -> Step | None:
    account, event_id = request.account_code, request.rokt_event_id
    if not request.subscription_ids:
        if progress.get("deleted"):
            return None
        return Step("delete", "DELETE", _path("v1", "subscriptionevent", account, event_id), None)
    left = [one for one in request.subscription_ids if one not in progress.get("deleted", ())]
    if not left:
        return None
    path = _path("v2", "subscription", account, left[0], "subscriptionevent", event_id)
    return Step("delete_one", "DELETE", path, None, None, (left[0],), goes_on=len(left) > 1)


def _path(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)
