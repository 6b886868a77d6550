"""Both engines on the same users: what Braze's Liquid would have sent, and what the template makes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from liquid.template import BoundTemplate

from bridge.calendar.engine import Template, TemplateFault
from bridge.calendar.liquid.dialect import Aborted, as_braze, render
from bridge.calendar.liquid.results import Compared, LiquidFault
from bridge.calendar.liquid.samples import Sample
from bridge.calendar.zones import find_zone, parse_time
from bridge.errors import InvalidValue

_BLOCKS = {
    "eventId": "event_id",
    "notifyBefore": "notify_before",
    "allDayEvent": "all_day",
    "visibleFromDateTimeUtc": "visible_from",
}
_TIMES = ("start", "end", "visible_from")
_YES_NO = {"true": "yes", "false": "no", "True": "yes", "False": "no"}


def compare(liquid: BoundTemplate, template: Template, users: list[Sample]) -> list[Compared]:
    """Every user through both engines."""
    now = datetime.now(UTC).replace(microsecond=0)
    liquid = as_braze(liquid)
    return [_compared(liquid, template, user, now) for user in users]


def _compared(liquid: BoundTemplate, template: Template, user: Sample, now: datetime) -> Compared:
    theirs, trouble = _by_liquid(liquid, user, now)
    ours, refusal = _by_template(template, user, now)
    differences = [words for words in (trouble, refusal) if words]
    if not differences:
        differences = _differences(theirs, ours)
    return Compared(user.name, user.sent, theirs, ours, differences)


def _by_liquid(liquid: BoundTemplate, user: Sample, now: datetime) -> tuple[dict[str, str], str]:
    """(the event's fields, what is wrong with Braze's body for this user)."""
    try:
        text = render(liquid, user.braze, now)
    except Aborted as aborted:
        return {"skip": aborted.reason}, ""
    except LiquidFault as fault:
        return {}, f"Braze cannot work its body out: {fault.words}"
    try:
        body = json.loads(_mended(text), strict=False)
    except ValueError:
        return (
            {},
            "Braze's body is no JSON for this user, as json_escape is missing: only the template sends an event",
        )
    event = body.get("event", body) if isinstance(body, dict) else {}
    if not isinstance(event, dict):
        return {}, "Braze's body has no event for this user"
    return {_BLOCKS.get(str(key), str(key)): _plain(str(key), value) for key, value in event.items()}, ""


def _mended(text: str) -> str:
    """JSON with the slips that the import mends too."""
    with suppress(ValueError):
        json.loads(text, strict=False)
        return text
    text = re.sub(r",(\s*[}\]])", r"\1", text).rstrip()
    for _ in range(3):
        with suppress(ValueError):
            json.loads(text, strict=False)
            return text
        text += "}"
    return text


def _plain(key: str, value: Any) -> str:
    text = "" if value is None else str(value)
    if key == "eventId":
        return text.removesuffix("_u-1")
    return _YES_NO.get(text, text) if key == "allDayEvent" else text


def _by_template(template: Template, user: Sample, now: datetime) -> tuple[dict[str, str], str]:
    try:
        rendered = template.render(user.sent, now)
    except TemplateFault as fault:
        return {}, f"the template refuses this user: {fault.words}"
    return ({"skip": rendered.skip} if rendered.skip is not None else dict(rendered.fields)), ""


def _differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    if "skip" in theirs or "skip" in ours:
        if "skip" in theirs and "skip" in ours:
            return (
                [] if _same(theirs["skip"], ours["skip"]) else [_words("skip", theirs["skip"], ours["skip"])]
            )
        stops = "Braze stops" if "skip" in theirs else "the template stops"
        reason = theirs.get("skip") or ours.get("skip")
        return [f"{stops} this message ({reason}), and the other sends it"]
    zone = ours.get("timezone", "")
    found = []
    for name in dict.fromkeys([*theirs, *ours]):
        if name in ("subscriptionIds",) or (name not in ours and name not in _KNOWN):
            continue
        their, our = theirs.get(name, ""), ours.get(name, "")
        if not (_same_time(their, our, zone) if name in _TIMES else _same(their, our)):
            found.append(_words(name, their, our))
    return found


_KNOWN = frozenset(
    (
        *("event_id", "title", "description", "location", "start", "end", "timezone"),
        *("notify_before", "all_day", "visible_from"),
    )
)


def _same(their: str, our: str) -> bool:
    """White space at the ends, how much of it, and how links write it are no differences."""
    return _evened(their) == _evened(our) or _evened(unquote_plus(their)) == _evened(unquote_plus(our))


def _evened(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


def _same_time(their: str, our: str, zone_name: str) -> bool:
    if _same(their, our):
        return True
    try:
        zone = find_zone(zone_name)
        return parse_time(their, zone) == parse_time(our, zone)
    except InvalidValue:
        return False


def _words(name: str, their: str, our: str) -> str:
    if not their.strip():
        return f"{name}: Braze sends nothing, the template {_quoted(our)}"
    if not our.strip():
        return f"{name}: Braze sends {_quoted(their)}, the template nothing"
    return f"{name}: Braze sends {_quoted(their)}, the template {_quoted(our)}"


def _quoted(text: str) -> str:
    plain = " ".join(text.split())
    return f'"{plain[:120]}{"…" if len(plain) > 120 else ""}"'
