"""Subscribers: what Rokt's webhook tells of them, what others tell, and what is known."""

from __future__ import annotations

from bridge.errors import Unauthorized
from bridge.ledger.subscribers import STATES
from bridge.routes.incoming import SUBSCRIPTION_ID
from bridge.routes.subscribers import ACTIONS, KEYS
from bridge.subscribers.facts import FACTS, MOST_TAGS, MOST_VALUE, SUFFIX_LENGTH
from bridge.web.interface import common, forms
from bridge.web.interface.common import (
    BODY_REFUSALS,
    DRY_RUN,
    IDEMPOTENCY_KEY,
    LIST_REFUSALS,
    MANY_DONE,
    MANY_TAKEN,
    OFF,
    PREFER,
    WRONG,
)
from bridge.web.interface.operation import Answer, Example, Group, Operation, Schema, ref
from bridge.web.interface.shapes import (
    answer_of,
    either,
    many,
    mapping,
    moment,
    object_of,
    one_of,
    or_null,
    text,
    text_or_number,
    whole,
    yes_no,
)
from bridge.web.lists import MOST
from bridge.web.subscriber_lists import FILTERS, PAGE
from bridge.web.subscriber_lists import MOST as MOST_LISTED

_WORDS = {
    "account_code": "Rokt's code of the account",
    "account_id": "Rokt's id of the account",
    "account_name": "",
    "calendar_code": "",
    "calendar_id": "",
    "calendar_title": "",
    "country_code": "Of the subscription",
    "device_name": "",
    "geo_country": "Where the subscriber was",
    "optIn1": "Whether the first further consent was given",
    "optIn2": "Whether the second one was",
    "source": "Where the subscription was made",
    "subscriber_email": "",
    "subscription_id": "",
    "subscription_method": "Such as WebCal, Google or Microsoft",
    "tags": "The calendar's tags, a list or one of them",
}
_VALUE = {"type": ["string", "integer", "number", "null"]}


def _fact(name: str) -> Schema:
    words = {"description": _WORDS[name]} if _WORDS[name] else {}
    if name in ("optIn1", "optIn2"):
        return common.option(_WORDS[name])
    if name == "tags":
        tags = {"type": "array", "items": _VALUE, "maxItems": MOST_TAGS}
        return {"anyOf": [_VALUE, tags], **words}
    if name == "subscription_id":
        return text("Rokt's id of the subscription", pattern=rf"^{SUBSCRIPTION_ID.pattern}$")
    return {**_VALUE, "maxLength": MOST_VALUE - SUFFIX_LENGTH - 1, **words}


_FIELDS: dict[str, Schema] = {
    "action": one_of(ACTIONS),
    "external_id": or_null({**common.USER_ID, "minLength": 0}),
    "subscriber_id": or_null(
        text_or_number("What Rokt calls the subscriber, if that is not the external_id")
    ),
    "email": or_null(text_or_number("Of the profile, where there is no external_id")),
    "subscription": ref("SubscriptionFacts"),
    "idempotency_key": common.KEY,
    "dispatch_id": common.DISPATCH_ID,
}
_SUBSCRIBER = {
    "subscription_id": text(),
    "user_id": or_null(text("What Rokt calls the subscriber")),
    "email": or_null(text()),
    "identifier": or_null(text("The profile in Braze, such as `external_id:u-1`")),
    "is_active": yes_no(),
    "facts": mapping(words="What is known of the subscription"),
    "suffix": text("How its values end in Braze's arrays"),
    "data_points_sent": whole("That Braze counted"),
    "data_points_saved": whole("That sending only what changed has spared"),
    "updated_at": moment(),
}
_COUNTS = {
    **{state: whole() for state in STATES},
    "data_points_sent": whole("Of all"),
    "data_points_saved": whole("Of all"),
}
_FILTER_WORDS = {
    "user_id": "Exactly this",
    "subscription_id": "Exactly this",
    "state": "`unidentified`: no profile of Braze is known for it",
}
_FILTERS = object_of(
    (*FILTERS, *PAGE),
    {
        **{name: text(words) for name, words in _FILTER_WORDS.items() if name != "state"},
        "state": one_of((*STATES, ""), _FILTER_WORDS["state"]),
        "limit": whole(f"50 if not given; {MOST_LISTED} at most are given", minimum=1, maximum=999_999_999),
        "cursor": text("`next` of an earlier answer"),
    },
)["properties"]
_FACTS = {
    "subscription_id": common.SUBSCRIPTION_ID,
    "account_code": "brazetest",
    "calendar_code": "test-calendar-1",
    "subscription_method": "Google",
    "tags": ["Food", "Sport"],
}

GROUP = Group(
    "Subscribers",
    "Who has subscribed to which calendar. What is told here is kept, and brought into Braze.",
    (
        Operation(
            "POST",
            "/v1/rokt/webhooks/{secret}",
            "takeRoktWebhook",
            "Rokt Calendar's webhook",
            (
                Answer(200, "Kept", ref("WebhookTaken")),
                Answer.of(
                    Unauthorized, words="the last part of the path is not as `ROKT_WEBHOOK_SECRET` says"
                ),
                *BODY_REFUSALS,
                OFF,
            ),
            (
                Example(
                    "Somebody subscribes",
                    200,
                    {
                        "eventId": "5b1c5c0e-5d0c-4a55-8f2b-52a0b9a8f6c1",
                        "eventType": "Subscribe",
                        "eventDetails": {
                            "accountCode": "brazetest",
                            "subscription": {
                                "calendarSubscriptionId": common.SUBSCRIPTION_ID,
                                "calendarCode": "test-calendar-1",
                                "subscriptionMethod": "Google",
                                "subscriberId": "u-1",
                            },
                        },
                    },
                ),
            ),
            more="Its path is its key. Every JSON object is kept, whatever it says; a comma before a closing bracket "
            "is passed over.",
            parameters=(
                common.path(
                    "secret", "One of `ROKT_WEBHOOK_SECRET`", "local-webhook-secret", text(minLength=1)
                ),
            ),
            body=ref("RoktWebhook"),
        ),
        Operation(
            "POST",
            "/v1/subscribers",
            "tellSubscribers",
            "The same facts from any other source",
            (
                MANY_TAKEN,
                MANY_DONE,
                *LIST_REFUSALS,
            ),
            (
                Example(
                    "Somebody subscribed",
                    202,
                    {"action": "subscribe", "external_id": "u-3", "subscription": _FACTS},
                ),
                Example(
                    "Many at once",
                    202,
                    [
                        {
                            "action": "update",
                            "external_id": "u-3",
                            "subscription": {**_FACTS, "tags": ["Food"]},
                        },
                        {"action": "unsubscribe", "external_id": "u-3", "subscription": _FACTS},
                    ],
                ),
            ),
            parameters=(DRY_RUN, IDEMPOTENCY_KEY, PREFER),
            body=either(ref("SubscriberChange"), many(ref("SubscriberChange"), minItems=1, maxItems=MOST)),
        ),
        Operation(
            "GET",
            "/v1/subscribers",
            "listSubscribers",
            "What is known of the subscribers",
            (Answer(200, "The subscriptions, and where the next page begins", ref("Subscribers")), WRONG),
            (
                Example("Of a user", 200, query={"user_id": "u-1"}),
                Example("No such state", 422, query={"state": "gone"}),
            ),
            parameters=common.query(_FILTERS),
        ),
        Operation(
            "GET",
            "/v1/subscribers/counts",
            "countSubscribers",
            "How many there are",
            (Answer(200, "By state, and Braze's data points", ref("SubscriberCounts")),),
            (Example("All", 200),),
        ),
    ),
    {
        "SubscriberChange": object_of(
            KEYS, _FIELDS, needed=("action", "subscription"), words="A change of one subscription"
        ),
        "SubscriptionFacts": object_of(
            FACTS,
            {name: _fact(name) for name in FACTS},
            needed=("subscription_id",),
            words="What is known of a subscription",
        ),
        "RoktWebhook": mapping(
            words="As Rokt Calendar sends it; its names are found however they are written"
        ),
        "WebhookTaken": answer_of(
            {
                "id": text("The message's id"),
                "state": forms.STATES,
                "request_id": text(),
                "is_repeat": yes_no("The same `eventId` came before"),
            },
            may_miss=("is_repeat",),
        ),
        "Subscribers": answer_of(
            {
                "subscribers": many(answer_of(_SUBSCRIBER)),
                "next": or_null(text("The `cursor` of the next page")),
            }
        ),
        "SubscriberCounts": answer_of(_COUNTS),
    },
)
