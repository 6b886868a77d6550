"""objectData and metaData of Rokt's older API: names and values, as an object or as Rokt's own list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.calendar.event import json_type
from bridge.conversions.api_form import Pair, checked_name, checked_value
from bridge.errors import InvalidValue
from bridge.routes.conversion_fields import scalar
from bridge.routes.incoming import MOST_NAMED, Reader, name_shown

KEYS = ("name", "value")  # of one in a list


def read_pairs(reader: Reader, field: str, given: object) -> list[Pair]:
    """Names and values of an object, or of a list of {"name", "value"} as Rokt has it; blanks are left out."""
    found: dict[str, str] = {}
    wrong = 0
    for place, name, value in _given_pairs(reader, field, given):
        try:
            if not isinstance(name, str):
                raise InvalidValue(f"a name must be text in quotes, not {json_type(name)}")
            its_name, its_value = checked_name(name), _value(value)
            if its_name in found:
                raise InvalidValue("is there twice")
        except InvalidValue as refusal:
            wrong += 1
            if wrong <= MOST_NAMED:
                reader.refuse(place, str(refusal))
            continue
        if its_value.strip():
            found[its_name] = its_value
    return list(found.items())


def _given_pairs(reader: Reader, field: str, given: object) -> Sequence[tuple[str, object, object]]:
    """With the place of each, for people."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return []
    if isinstance(given, Mapping):
        return [(f"{field}.{name_shown(name)}", name, value) for name, value in given.items()]
    if isinstance(given, list):
        for number, one in enumerate(given):
            if not isinstance(one, Mapping) or one.keys() - set(KEYS):
                reader.refuse(f"{field}[{number}]", 'must be {"name": …, "value": …} and nothing else')
                return []
        return [(f"{field}[{number}]", one.get("name"), one.get("value")) for number, one in enumerate(given)]
    reader.refuse(field, f'must be an object or a list of {{"name", "value"}}, not {json_type(given)}')
    return []


def _value(given: object) -> str:
    """A text as it is; "" for a missing one. Errors: InvalidValue."""
    value = (given or "") if given is None or isinstance(given, str) else scalar(given)
    return "" if value is None else checked_value(value)
