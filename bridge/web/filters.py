"""Which messages are meant: a filter in the query of a list, or in the body of a job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bridge.calendar.event import json_type, yes_no
from bridge.errors import FieldError, InvalidPayload, InvalidValue
from bridge.message import FILTERS, State
from bridge.outbox.reading import MOST_LISTED, Filter
from bridge.routes.incoming import Reader, meant, moment, plain

PAGE = ("limit", "cursor")

_LOST_PLUS = re.compile(r"(:[0-9]{2}(?:\.[0-9]+)?) ([0-9]{2}:?[0-9]{2})$")


def of_list(query: Mapping[str, str]) -> Filter:
    """A blank asks for nothing. Errors: InvalidPayload."""
    reader = Reader()
    known = (*FILTERS, *PAGE)
    reader.refuse_unknown([name for name in query if name not in known], "is no filter", known)
    given = {name: value for name in FILTERS if (value := query.get(name))}
    wanted = _read(reader, given, list(State))
    before = reader.read("cursor", _number, query.get("cursor"))
    limit = reader.read("limit", _number, query.get("limit")) or 50
    reader.check()
    return Filter(**wanted, before=before, limit=min(limit, MOST_LISTED))


def of_job(body: Mapping[str, Any], options: Sequence[str], states: Sequence[State]) -> Filter:
    """At least one filter, and none that is blank: a slip must not mean every message. Errors: InvalidPayload.

    `options`: what else the body may hold. `states`: those of which a job can be.
    """
    reader = Reader()
    known = (*FILTERS, *options)
    reader.refuse_unknown(
        [name for name in body if name not in known], "is no filter and no option of this", known
    )
    given = {}
    for name in FILTERS:
        value = body.get(name)
        if name in body and (value is None or (isinstance(value, str) and not value.strip())):
            reader.refuse(name, "is blank: say which, or leave it out")
        elif name in body:
            given[name] = value
    if not given and not reader.errors:
        told = f'at least one filter is needed: {{"state": "{states[0]}"}} means all that are {states[0]}'
        reader.refuse("state", f"{told}; there are {', '.join(FILTERS)}")
    wanted = _read(reader, given, states)
    reader.check()
    return Filter(**wanted)


def option(name: str, given: object) -> bool:
    """A yes or no of a body. Errors: InvalidPayload."""
    try:
        return False if given is None else yes_no(given)
    except InvalidValue as wrong:
        raise InvalidPayload.of(FieldError(name, str(wrong))) from wrong


def _read(reader: Reader, given: Mapping[str, Any], states: Sequence[State]) -> dict[str, Any]:
    parsers = {"state": lambda value: _state(value, states), "since": _time, "until": _time}
    parsers["was_uncertain"] = yes_no
    return {name: reader.read(name, parsers.get(name, _text), value) for name, value in given.items()}


def _text(given: object) -> str:
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str):
        raise InvalidValue(f"must be text in quotes, not {json_type(given)}")
    return plain(given)


def _state(given: object, states: Sequence[State]) -> State:
    if not isinstance(given, str):
        raise InvalidValue(f"must be text in quotes, not {json_type(given)}")
    if given not in set(State):
        raise InvalidValue(f"is no state; {meant(given, [str(state) for state in states])}")
    if given not in states:
        raise InvalidValue(f"is none of this: there are {', '.join(states)}")
    return State(given)


def _time(given: object) -> datetime:
    # A plus that nobody encoded arrives as a blank.
    return moment(_LOST_PLUS.sub(r"\1+\2", given) if isinstance(given, str) else given)


def _number(given: str | None) -> int | None:
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise InvalidValue("must be a whole number, as an earlier answer gave it")
    return int(given)
