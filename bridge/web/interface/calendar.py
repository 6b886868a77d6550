"""Calendar events: in the bridge's own form, and in Rokt's under Rokt's paths."""

from __future__ import annotations

from typing import Any

from bridge.calendar.event import FIELDS, MOST_NOTIFY_BEFORE, MOST_TEXT, NO, YES
from bridge.calendar.identifiers import MOST_EVENT_ID
from bridge.errors import InvalidPayload, TemplateRefused
from bridge.routes.calendar_events import ACTIONS, KEYS
from bridge.routes.incoming import ACCOUNT_CODE, MOST_IDS, MOST_USER_ID
from bridge.routes.rokt_dropin import IGNORED, NAMES, OUTER
from bridge.web.interface import common, forms
from bridge.web.interface.common import DONE, DRY_RUN, IDEMPOTENCY_KEY, OFF, PREFER, TAKEN, UNREADABLE
from bridge.web.interface.operation import Answer, Example, Group, Operation, Schema, ref
from bridge.web.interface.shapes import (
    answer_of,
    anything,
    either,
    many,
    mapping,
    object_of,
    one_of,
    or_null,
    text,
    text_or_number,
)


def _time(words: str) -> Schema:
    return or_null(common.time_of(words))


def _listed(words: str, example: str, **more: Any) -> Schema:
    """As Braze holds its arrays, or as Liquid prints one."""
    items = {"type": ["string", "null"]}
    shown = {"description": words, "examples": [[example]]}
    return {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": items, **more}], **shown}


_NOTIFY_BEFORE = either(
    {"type": ["integer", "null"], "minimum": 0, "maximum": MOST_NOTIFY_BEFORE},
    text(pattern=r"^\s*([0-9]{1,6}|[Nn][Oo][Nn][Ee])?\s*$"),
    words='Minutes before the start at which the calendar reminds; "none" for no reminder; 15 if not given',
    examples=[60],
)
_ALL_DAY: Schema = {
    "description": "Whether it takes the whole day",
    "enum": [True, False, *YES, *NO, 1, 0, "", None],
}
EVENT_ID = text_or_number(
    "Your own id of the event", minLength=1, maxLength=MOST_EVENT_ID, examples=["opening_rome"]
)
_FIELDS: dict[str, Schema] = {
    "title": or_null(text("Needed for a create", maxLength=MOST_TEXT, examples=["We open in Rome"])),
    "description": or_null(text("Blank if not given", maxLength=MOST_TEXT)),
    "location": or_null(text("Blank if not given", maxLength=MOST_TEXT)),
    "start": _time("Needed for a create. With an offset an instant, without one a wall time in `timezone`"),
    "end": _time("An hour after the start if not given"),
    "timezone": or_null(
        text(
            "Needed for a create. A Windows or an IANA name, as `GET /v1/timezones` lists them",
            examples=["UTC"],
        )
    ),
    "notify_before": _NOTIFY_BEFORE,
    "all_day": _ALL_DAY,
    "visible_from": _time("From when on the event is shown"),
}
_KEYS: dict[str, Schema] = {
    "template": or_null(text("The name of a published template", examples=["flash_sale"])),
    "action": or_null(one_of(ACTIONS, "`create` if not given", examples=["upsert"])),
    "user_id": common.USER_ID,
    "account_code": _listed(
        "As Braze holds `rokt:account_code`: an array, or a text joined by commas",
        f"brazetest/{common.SUFFIX}",
    ),
    "subscription_ids": _listed(
        "As Braze holds `rokt:subscription_id`. Without it the user's known subscriptions are meant",
        common.SUBSCRIPTION_ID,
        maxItems=MOST_IDS,
    ),
    "calendar_code": _listed(
        "As Braze holds `rokt:calendar_code`: only subscriptions to these calendars", "test-calendar-1"
    ),
    "variables": either(mapping(), {"type": "null"}, words="Values for the template's variables"),
    "event": ref("EventFields"),
    "as_of": {
        "type": ["number", "string", "null"],
        "description": "A time, or a number that grows: what is older than the newest one accepted is superseded",
    },
    "expires": or_null(text("A time: what has not left by then is dead")),
    "idempotency_key": common.KEY,
    "dispatch_id": common.DISPATCH_ID,
}


def _chosen(*without: str) -> dict[str, Schema]:
    return {name: its for name, its in _KEYS.items() if name not in without}


object_of(KEYS, _KEYS)  # no key is missing, and none is too many
_ROKTS: dict[str, Schema] = {
    "eventId": text("Ends in `_` and the user's id", minLength=1, maxLength=MOST_EVENT_ID + MOST_USER_ID),
    "title": _FIELDS["title"],
    "description": _FIELDS["description"],
    "location": _FIELDS["location"],
    "start": _FIELDS["start"],
    "end": _FIELDS["end"],
    "timezone": _FIELDS["timezone"],
    "notifyBefore": _NOTIFY_BEFORE,
    "allDayEvent": _ALL_DAY,
    "visibleFromDateTimeUtc": _time("In UTC, whether it says so or not"),
}
_IGNORED = dict.fromkeys(IGNORED, anything("Passed over"))
_OUTER: dict[str, Schema] = {
    "event": ref("RoktEvent"),
    "subscriptionIds": _listed("The subscriptions that it is for", common.SUBSCRIPTION_ID, maxItems=MOST_IDS),
}

_SCHEMAS: dict[str, Schema] = {
    "EventFields": object_of(
        ("event_id", *FIELDS),
        {"event_id": EVENT_ID, **_FIELDS},
        needed=("event_id",),
        words="The fields of an event",
    ),
    "EventByTemplate": {
        "type": "object",
        "description": "An event that a template makes. What is no field of this is a variable of the template",
        "properties": _chosen("event"),
        "required": ["template", "user_id"],
        "additionalProperties": True,
    },
    "EventByFields": object_of(
        [name for name in KEYS if name not in ("template", "variables")],
        _chosen("template", "variables"),
        needed=("user_id", "event"),
        words="An event by its fields",
    ),
    "FlatEvent": object_of(
        [name for name in (*KEYS, "event_id", *FIELDS) if name not in ("template", "variables", "event")],
        _chosen("template", "variables", "event") | {"event_id": EVENT_ID, **_FIELDS},
        needed=("user_id", "event_id"),
        words="An event by its fields, which stand beside the rest, as Braze's key-value pairs do",
    ),
    "RoktEvent": object_of(
        [*NAMES, *IGNORED],
        _ROKTS | _IGNORED,
        needed=("eventId",),
        words="The fields of an event, by Rokt's names",
    ),
    "RoktEventRequest": object_of([*OUTER, *IGNORED], _OUTER | _IGNORED, needed=("event",)),
    "FlatRoktEvent": object_of(
        [*NAMES, *IGNORED, "subscriptionIds"],
        _ROKTS | _IGNORED | {"subscriptionIds": _OUTER["subscriptionIds"]},
        needed=("eventId",),
        words="An update without the wrapping `event`",
    ),
    "ProblemOfTemplate": answer_of(
        {
            **forms.SCHEMAS["Problem"]["properties"],
            "id": text("The dead message that keeps the request, to be replayed"),
        },
        may_miss=("id",),
        words="An error; `id` where the request was kept",
    ),
}

_REFUSED = Answer.of(
    TemplateRefused,
    "ProblemOfTemplate",
    "the request is kept as dead, and `id` is the message to replay. Or: "
    f"{InvalidPayload.title}: nothing of it is kept; `errors` names each field",
)
_REFUSALS = (*UNREADABLE, _REFUSED, OFF)
_PARAMETERS = (DRY_RUN, IDEMPOTENCY_KEY, PREFER)
_ACCOUNT = common.path(
    "accountCode",
    "As Braze holds `rokt:account_code`, with or without the suffix",
    "brazetest",
    text(pattern=rf"^{ACCOUNT_CODE.pattern}$"),
)
_EVENT = {
    "title": "We open in Rome",
    "start": "2027-12-03T09:00",
    "timezone": "W. Europe Standard Time",
}
_WHOM = {
    "user_id": "u-1",
    "account_code": [f"brazetest/{common.SUFFIX}"],
    "subscription_ids": [common.SUBSCRIPTION_ID],
}
_SALE = {"sale_id": "winter27", "starts": "2027-12-03T09:00", "discount": "50"}

GROUP = Group(
    "Calendar events",
    "An event in the calendars of a user's subscriptions: made, changed and taken away.",
    (
        Operation(
            "POST",
            "/v1/calendar/events",
            "sendEvent",
            "Create, update, upsert or delete an event",
            (TAKEN, DONE, *_REFUSALS),
            (
                Example(
                    "By a template",
                    202,
                    {"template": "flash_sale", "action": "upsert", **_WHOM, "variables": _SALE},
                ),
                Example("By its fields", 202, {**_WHOM, "event": {"event_id": "opening_rome", **_EVENT}}),
                Example(
                    "What would leave",
                    200,
                    {**_WHOM, "event_id": "opening_bari", **_EVENT},
                    query={"dry_run": "1"},
                ),
                Example(
                    "Taken away",
                    202,
                    {
                        "user_id": "u-1",
                        "action": "delete",
                        "account_code": "brazetest",
                        "event_id": "opening_rome",
                    },
                ),
            ),
            more="Whether an upsert creates or updates is decided when it leaves, by what Rokt has taken so far. "
            "Rokt's `eventId` is `{event_id}_{user_id}`.",
            parameters=_PARAMETERS,
            body=either(ref("EventByTemplate"), ref("EventByFields"), ref("FlatEvent")),
        ),
        Operation(
            "POST",
            "/v1/subscriptionevent/{accountCode}",
            "createRoktEvent",
            "Rokt's own create",
            (TAKEN, DONE, *_REFUSALS),
            (
                Example(
                    "As Braze's template for Rokt sends it",
                    202,
                    {
                        "event": {"eventId": "Event_0001_u-2", **_EVENT, "notifyBefore": "15"},
                        "subscriptionIds": [common.SUBSCRIPTION_ID],
                    },
                ),
            ),
            more="A Braze campaign made for Rokt moves here by changing its host.",
            parameters=(_ACCOUNT, *_PARAMETERS),
            body=ref("RoktEventRequest"),
        ),
        Operation(
            "POST",
            "/v1/subscriptionevent/{accountCode}/update",
            "updateRoktEvent",
            "Rokt's own update",
            (TAKEN, DONE, *_REFUSALS),
            (
                Example(
                    "A new title",
                    202,
                    {"event": {"eventId": "Event_0001_u-2", "title": "We open in Rome at last"}},
                ),
            ),
            more="With the wrapping `event` or without. What is left out stays as it was last sent.",
            parameters=(_ACCOUNT, *_PARAMETERS),
            body=either(ref("RoktEventRequest"), ref("FlatRoktEvent")),
        ),
        Operation(
            "DELETE",
            "/v1/subscriptionevent/{accountCode}/{eventId}",
            "deleteRoktEvent",
            "Rokt's own delete",
            (TAKEN, DONE, common.WRONG, OFF),
            (Example("Taken away", 202),),
            parameters=(
                _ACCOUNT,
                common.path(
                    "eventId", "Rokt's id of the event: ends in `_` and the user's id", "Event_0001_u-2"
                ),
                *_PARAMETERS,
            ),
        ),
        Operation(
            "GET",
            "/v1/timezones",
            "listTimezones",
            "The zones that Rokt knows",
            (Answer(200, "The Windows names, with the IANA names that leave as them", ref("Timezones")),),
            (Example("All", 200),),
            needs_database=False,
        ),
    ),
    _SCHEMAS
    | {
        "Timezones": answer_of(
            {"timezones": many(answer_of({"windows": text(), "iana": many(text())}))},
        )
    },
)
