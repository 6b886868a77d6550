"""Conversions: in the bridge's own form, as Rokt's Event API takes them, and for Rokt's older API."""

from __future__ import annotations

from bridge.conversions.api_form import MOST_ID, MOST_TYPE
from bridge.conversions.api_form import MOST_VALUE as MOST_PAIR
from bridge.conversions.batches import MOST_USER_ATTRIBUTES, MOST_VALUE
from bridge.conversions.calls import MOST_BATCHES
from bridge.routes import api_events, api_pairs, conversions, event_dropin
from bridge.routes.api_events import ACCOUNT_ID, LIST, NEEDED, ROKTS, VERSIONS
from bridge.routes.conversion_fields import EPOCH
from bridge.routes.incoming import MOST_USER_ID
from bridge.web.conversions import KEYS_OF_MANY
from bridge.web.interface import common, forms
from bridge.web.interface.common import (
    DRY_RUN,
    IDEMPOTENCY_KEY,
    LIST_REFUSALS,
    MANY_DONE,
    MANY_TAKEN,
    PREFER,
)
from bridge.web.interface.operation import PROBLEM, Answer, Example, Group, Operation, Schema, ref
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
    whole,
)
from bridge.web.lists import MOST

A_TIME = "2026-11-01T00:00:00Z"  # in examples; in the document it is of this month, as Rokt takes no old ones


def _when(words: str) -> Schema:
    """As Liquid writes a time: in ISO 8601, or in seconds or milliseconds since 1970."""
    return either(or_null(common.time_of("", EPOCH)), whole(minimum=10**8, maximum=10**13), words=words)


_TEXT: Schema = {"type": ["string", "number", "null"], "maxLength": MOST_VALUE}
_NUMBER: Schema = {"type": ["number", "string", "null"]}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"], "maxLength": MOST_VALUE}
_FURTHER = either(mapping(_SCALAR), text(pattern=r"^\s*$"), {"type": "null"})
_WORDS = {
    "first_name": "",
    "last_name": "",
    "mobile": "",
    "ip_address": "",
    "currency": "Such as USD",
    "conversion_type": "Such as purchase",
    "product_name": "",
    "sku": "Left out where `quantity` is more than 1, as Rokt asks",
    "payment_type": "",
    "transaction_id": "Of the order",
    "confirmation_ref": "By which Rokt tells one conversion from another",
}
_FIELDS: dict[str, Schema] = {
    "email": or_null(
        text("Needed, or `email_sha256`. An address, or the SHA-256 of one", examples=["ada@example.com"])
    ),
    "email_sha256": or_null(text("The SHA-256 of the address, in hex")),
    "hash": common.option("`true`: the address is hashed before it is kept or leaves"),
    "user_id": {**_TEXT, "description": "Braze's external_id", "maxLength": MOST_USER_ID},
    "click_id": {**_TEXT, "description": "Rokt's own id of the click that led to it"},
    **{name: {**_TEXT, **({"description": words} if words else {})} for name, words in _WORDS.items()},
    "amount": {**_NUMBER, "description": "Also as text: 129.95", "examples": ["129.95"]},
    "quantity": {**_NUMBER, "description": "A whole number of at least 1"},
    "margin": _NUMBER,
    "event_time": _when("Now if not given. Not older than 18 months"),
    "user_attributes": {
        **_FURTHER,
        "description": f"Further facts of the user, {MOST_USER_ATTRIBUTES} with those of the bridge at most",
    },
    "attributes": {**_FURTHER, "description": "Further facts of the conversion"},
    "idempotency_key": common.KEY,
    "dispatch_id": common.DISPATCH_ID,
}
_PAIR: Schema = {"type": ["string", "number", "boolean", "null"], "maxLength": MOST_PAIR}
_PAIRS = either(
    mapping(_PAIR),
    many(object_of(api_pairs.KEYS, {"name": text(), "value": _PAIR}, needed=("name",))),
    text(pattern=r"^\s*$"),
    {"type": "null"},
    words="Names and values, as an object or as Rokt's own list",
)
_VERSION: Schema = {
    "type": ["string", "null"],
    "enum": [*VERSIONS, "", None],
    "description": "Of Rokt's older API",
}
_OWN: dict[str, Schema] = {
    "event_id": or_null(text_or_number("A UUID if not given; the same again is a repeat", maxLength=MOST_ID)),
    "event_type": or_null(text("`conversion` if not given", maxLength=MOST_TYPE)),
    "version": _VERSION,
    "object_data": _PAIRS,
    "meta_data": _PAIRS,
}
_ROKTS: dict[str, Schema] = {
    "clientEventId": text("The same again is a repeat", minLength=1, maxLength=MOST_ID),
    "eventType": text(minLength=1, maxLength=MOST_TYPE),
    "eventTime": _when("Not older than 18 months"),
    "objectData": _PAIRS,
    "metaData": _PAIRS,
}
_BATCH: dict[str, Schema] = {
    **dict.fromkeys(event_dropin.KEYS, anything("Passed on as it is")),
    "environment": one_of(event_dropin.ENVIRONMENTS),
    "user_identities": mapping(
        words="Needed: the user's `email`, or its hash as `other`; `customerid`, and the click's id as `other2`"
    ),
    "user_attributes": either(mapping(_SCALAR), {"type": "null"}, words="Facts of the user"),
    "events": many(ref("EventApiEvent"), minItems=1),
    "timestamp_unixtime_ms": anything("Passed over: mParticle writes it itself"),
}
_CONVERSION = {
    "email": "ada@example.com",
    "user_id": "u-1",
    "conversion_type": "purchase",
    "amount": "129.95",
    "currency": "USD",
    "transaction_id": "T-1",
    "confirmation_ref": "C-1",
}
_BATCH_SENT = {
    "environment": "development",
    "user_identities": {"email": "ada@example.com"},
    "events": [
        {
            "event_type": "custom_event",
            "data": {
                "event_name": "conversion",
                "custom_attributes": {"amount": 129.95, "confirmationref": "C-3"},
            },
        }
    ],
}
_ROKTS_SENT = {
    ACCOUNT_ID: "sandbox",
    LIST: [
        {
            "clientEventId": "1f6b0c5e-4a53-4b5c-8d1d-6f5e0c1b2a3d",
            "eventType": "conversion",
            "eventTime": A_TIME,
            "objectData": [
                {"name": "email", "value": "ada@example.com"},
                {"name": "amount", "value": "129.95"},
            ],
        }
    ],
}
_DATA = "What Rokt would say of the events that it does not take"
_OF_ROKTS_OWN = (
    Answer(202, MANY_TAKEN.words, either(ref("Accepted"), ref("Results"), ref("RoktResults"))),
    Answer(200, MANY_DONE.words, either(*MANY_DONE.schema["anyOf"], ref("RoktResults"), ref("RoktDryRun"))),  # type: ignore[index]
)


def _with_data(answer: Answer) -> Answer:
    """As it is answered where Rokt's own body came, too."""
    assert answer.schema is not None
    return Answer(answer.status, answer.words, ref("ProblemOfRokts"), answer.headers, PROBLEM)


def _dropin(path: str, name: str, words: str, body: Schema, example: Example) -> Operation:
    return Operation(
        "POST",
        path,
        name,
        words,
        (
            Answer(
                202,
                "Stored, and on its way: no body, or for Rokt's own body of its older API the verdicts",
                ref("RoktResults"),
            ),
            Answer(
                200,
                "With `dry_run`, or for a test send: what would leave",
                either(ref("DryRun"), ref("RoktDryRun"), ref("RoktResults")),
            ),
            Answer(400, "All that the caller must mend, as mParticle says it", ref("EventApiRefusal")),
            *[_with_data(one) for one in LIST_REFUSALS],
        ),
        (example,),
        more=f"Rokt's Event API under its own path. A body with `{ACCOUNT_ID}` is one of Rokt's older API, in "
        "its second version, and is answered as such.",
        parameters=(DRY_RUN, IDEMPOTENCY_KEY),
        body=body,
    )


GROUP = Group(
    "Conversions",
    "A purchase, a sign-up, whatever Rokt is to attribute to its campaigns.",
    (
        Operation(
            "POST",
            "/v1/conversions",
            "sendConversions",
            "A conversion, or many",
            (MANY_TAKEN, MANY_DONE, *LIST_REFUSALS),
            (
                Example("One", 202, _CONVERSION),
                Example("What would leave", 200, {**_CONVERSION, "hash": True}, query={"dry_run": "1"}),
                Example(
                    "Many at once",
                    202,
                    {
                        "conversions": [
                            {"email": "ada@example.com", "confirmation_ref": "C-2"},
                            {"email": "nobody"},
                        ]
                    },
                ),
            ),
            parameters=(DRY_RUN, IDEMPOTENCY_KEY, PREFER),
            body=either(
                ref("Conversion"), ref("Conversions"), many(ref("Conversion"), minItems=1, maxItems=MOST)
            ),
        ),
        _dropin(
            "/v2/events",
            "sendEventApiBatch",
            "A batch of Rokt's Event API",
            either(ref("EventApiBatch"), ref("RoktApiEvents")),
            Example("As Rokt's guide prints it", 202, _BATCH_SENT),
        ),
        _dropin(
            "/v2/bulkevents",
            "sendEventApiBatches",
            "Batches of Rokt's Event API",
            either(many(ref("EventApiBatch"), minItems=1, maxItems=MOST_BATCHES), ref("RoktApiEvents")),
            Example("One user", 202, [{**_BATCH_SENT, "user_identities": {"email": "bob@example.com"}}]),
        ),
        Operation(
            "POST",
            "/v1/events",
            "sendApiEvents",
            "Events of Rokt's older API",
            (*_OF_ROKTS_OWN, *[_with_data(one) for one in LIST_REFUSALS]),
            (
                Example("One", 202, {"event_id": "8c1d8f8e-2f47-4c8e-9a52-64d6a8b4f9b0", **_CONVERSION}),
                Example("Rokt's own body", 202, _ROKTS_SENT),
            ),
            more=f"Version 2 if none is named; of a list version 1. A body with `{ACCOUNT_ID}` is Rokt's own, of its "
            "first version, and is answered in Rokt's form too.",
            parameters=(DRY_RUN, IDEMPOTENCY_KEY, PREFER),
            body=either(
                ref("ApiEvent"),
                ref("ApiEvents"),
                many(ref("ApiEvent"), minItems=1, maxItems=MOST),
                ref("RoktApiEvents"),
            ),
        ),
    ),
    {
        "Conversion": object_of(
            conversions.KEYS, _FIELDS, words="A conversion, by its address or the hash of it"
        ),
        "Conversions": object_of(
            KEYS_OF_MANY,
            {
                "conversions": many(ref("Conversion"), minItems=1, maxItems=MOST),
                "idempotency_key": common.KEY,
            },
            needed=("conversions",),
        ),
        "ApiEvent": object_of(
            api_events.KEYS, _FIELDS | _OWN, words="An event, or a conversion by its fields"
        ),
        "ApiEvents": object_of(
            api_events.KEYS_OF_MANY,
            {
                LIST: many(ref("ApiEvent"), minItems=1, maxItems=MOST),
                "version": _VERSION,
                "idempotency_key": common.KEY,
            },
            needed=(LIST,),
        ),
        "RoktApiEvents": object_of(
            api_events.KEYS_OF_ROKTS,
            {
                ACCOUNT_ID: text("As `ROKT_ACCOUNT_ID` has it", minLength=1),
                LIST: many(object_of(ROKTS, _ROKTS, needed=NEEDED), minItems=1, maxItems=MOST),
            },
            needed=(ACCOUNT_ID, LIST),
            words="The body of Rokt's older API",
        ),
        "EventApiBatch": object_of(
            event_dropin.KEYS,
            _BATCH,
            needed=("environment", "user_identities", "events"),
            words="One user's batch of Rokt's Event API",
        ),
        "EventApiEvent": {
            "type": "object",
            "properties": {
                "event_type": one_of(("custom_event",)),
                "data": {
                    "type": "object",
                    "properties": {
                        "event_name": one_of(("conversion",)),
                        "custom_event_type": text(minLength=1),
                        "source_message_id": text(minLength=1),
                        "timestamp_unixtime_ms": whole(
                            "Milliseconds since 1970", minimum=event_dropin.FIRST_YEAR
                        ),
                        "custom_attributes": mapping(_SCALAR),
                    },
                    "required": ["event_name"],
                    "additionalProperties": True,
                },
            },
            "required": ["event_type", "data"],
            "additionalProperties": True,
            "description": "A conversion. Its values stay as they are",
        },
        "EventApiRefusal": answer_of({"errors": many(answer_of({"code": text(), "message": text()}))}),
        "RoktResults": answer_of(
            {"results": many(ref("Result")), "request_id": text(), "data": ref("Unprocessed")},
            words="The verdicts, in the bridge's form and in Rokt's",
        ),
        "RoktDryRun": answer_of(
            {**forms.SCHEMAS["DryRun"]["properties"], "data": ref("Unprocessed")},
            may_miss=("reason", "warnings", "results"),
        ),
        "Unprocessed": answer_of(
            {
                "unprocessedRecords": many(
                    answer_of({"error": answer_of({"code": text(), "message": text()}), "record": anything()})
                )
            },
            words=_DATA,
        ),
        "ProblemOfRokts": answer_of(
            {
                **forms.SCHEMAS["ProblemOfList"]["properties"],
                "data": either(
                    answer_of({"code": text(), "message": text()}), ref("Unprocessed"), words=_DATA
                ),
            },
            may_miss=("results", "data"),
            words="An error; `data` where Rokt's own body came",
        ),
    },
)
