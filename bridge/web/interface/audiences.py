"""Custom audiences: people put on a list of Rokt's, or taken off it."""

from __future__ import annotations

from bridge.audiences.change import ACTIONS, DEFAULT_LIST
from bridge.routes.audiences import FIELDS, KEYS, KEYS_OF_MANY, MOST_NAME, YES_NO
from bridge.web.interface import common
from bridge.web.interface.common import (
    DRY_RUN,
    IDEMPOTENCY_KEY,
    LIST_REFUSALS,
    MANY_DONE,
    MANY_TAKEN,
    PREFER,
)
from bridge.web.interface.operation import Example, Group, Operation, Parameter, Schema, ref
from bridge.web.interface.shapes import either, many, object_of, one_of, or_null, text
from bridge.web.lists import MOST

_SEVERAL: Schema = {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"type": "string"}}]}
_LIST = or_null(text(f"If the path names none; {DEFAULT_LIST} if nobody does", maxLength=MOST_NAME))
_FIELDS: dict[str, Schema] = {
    "action": one_of(ACTIONS),
    "list": _LIST,
    "email": or_null(text("An address, or the SHA-256 of one")),
    "emails": {**_SEVERAL, "description": "Several, as a list or with commas between"},
    "sha256": or_null(text("A SHA-256, in hex")),
    "sha256s": {**_SEVERAL, "description": "Several, as a list or with commas between"},
    "hash": {
        "enum": [True, False, *YES_NO, None],
        "description": "`true`: addresses are hashed before they are kept or leave",
    },
    "idempotency_key": common.KEY,
    "dispatch_id": common.DISPATCH_ID,
}
_UPDATE = {"action": "include", "emails": ["ada@example.com", "bob@example.com"], "hash": True}


def _operation(path: str, name: str, words: str, parameters: tuple[Parameter, ...]) -> Operation:
    return Operation(
        "POST",
        path,
        name,
        words,
        (MANY_TAKEN, MANY_DONE, *LIST_REFUSALS),
        (
            Example("Two people, hashed here", 202, _UPDATE),
            Example(
                "Many at once",
                202,
                {
                    "updates": [
                        {"action": "exclude", "email": "ada@example.com"},
                        {"action": "include", "email": "nobody"},
                    ]
                },
            ),
        ),
        more=f"Exactly one of {', '.join(f'`{name}`' for name in FIELDS)}. A message is made for each 100 people.",
        parameters=(*parameters, DRY_RUN, IDEMPOTENCY_KEY, PREFER),
        body=either(
            ref("AudienceUpdate"),
            ref("AudienceUpdates"),
            many(ref("AudienceUpdate"), minItems=1, maxItems=MOST),
        ),
    )


GROUP = Group(
    "Custom audiences",
    "Lists of people at Rokt: to show them an advertiser's offers, or to keep offers from them.",
    (
        _operation("/v1/audiences", "updateAudiences", "Put people on a list, or take them off it", ()),
        _operation(
            "/v1/audiences/{list}",
            "updateAudience",
            "The same, with the list in the path",
            (
                common.path(
                    "list", "The name of the list", "Gold members", text(minLength=1, maxLength=MOST_NAME)
                ),
            ),
        ),
    ),
    {
        "AudienceUpdate": object_of(KEYS, _FIELDS, needed=("action",), words="A change of one list"),
        "AudienceUpdates": object_of(
            KEYS_OF_MANY,
            {
                "updates": many(ref("AudienceUpdate"), minItems=1, maxItems=MOST),
                "list": _LIST,
                "idempotency_key": common.KEY,
                "dispatch_id": common.DISPATCH_ID,
            },
            needed=("updates",),
        ),
    },
)
