"""Offers of Rokt, for a message that Braze renders and for apps."""

from __future__ import annotations

from bridge.errors import InvalidPayload, MalformedJson, TooLarge
from bridge.offers import PATH, Reason
from bridge.offers.codes import CODES, RequestRefused
from bridge.offers.request import FIELDS, IN_ADDRESS, INTEGRATION_FIELDS
from bridge.web.interface import forms
from bridge.web.interface.common import DRY_RUN, NO_FORM, OFF, TOO_LARGE
from bridge.web.interface.operation import PROBLEM, Answer, Example, Group, Operation, Parameter, Schema, ref
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
    whole,
    yes_no,
)
from bridge.web.offers import PASSED_ON, STATUS, TAG
from bridge.web.server import LARGE

_VALUE: Schema = {"type": ["string", "number", "boolean", "null"]}
_VALUES: Schema = either(mapping(_VALUE), text(pattern=r"^\s*$"), {"type": "null"})
_INTEGRATION: dict[str, Schema] = {
    **dict.fromkeys(INTEGRATION_FIELDS, _VALUE),
    "metadata": {**_VALUES, "description": "Further facts of the device"},
}
_FIELDS: dict[str, Schema] = {
    "pageIdentifier": {
        "type": ["string", "number", "boolean"],
        "minLength": 1,
        "description": "The page of your Rokt account",
    },
    "attributes": {
        **_VALUES,
        "description": "What Rokt is to know of the user. A blank one counts as missing",
    },
    "integration": either(
        object_of(INTEGRATION_FIELDS, _INTEGRATION),
        text(pattern=r"^\s*$"),
        {"type": "null"},
        words="Who asks; what is missing is laid under it",
    ),
    "sessionId": {**_VALUE, "description": "Of Rokt's earlier answer"},
    "transaction_id": {**_VALUE, "description": "Whom an answer is kept for; it does not leave"},
    "user_id": {**_VALUE, "description": "Whom an answer is kept for; it does not leave"},
}
_IN_ADDRESS = object_of(
    IN_ADDRESS,
    {
        "page": text("The page of your Rokt account", minLength=1),
        "user_id": text("Whom an answer is kept for"),
        "transaction_id": text("Whom an answer is kept for"),
    },
)["properties"]
_STRICT_TEXT = or_null(text())
_ROKTS: Schema = {
    "type": "object",
    "description": "As Rokt documents it",
    "properties": {
        "pageIdentifier": text(minLength=1),
        "sessionId": _STRICT_TEXT,
        "attributes": mapping(text()),
        "integration": {
            "type": "object",
            "properties": {
                **dict.fromkeys(INTEGRATION_FIELDS, text(minLength=1)),
                "metadata": either(mapping(text()), {"type": "null"}),
            },
            "required": [name for name in INTEGRATION_FIELDS if name != "metadata"],
            "additionalProperties": True,
        },
    },
    "required": ["pageIdentifier", "attributes", "integration"],
    "additionalProperties": True,
}
_OFFER = dict.fromkeys(
    ("title", "copy", "yes_label", "yes_url", "no_label", "terms_url", "image_url", "advertiser"),
    or_null(text()),
)
_TOLD = Answer(
    200,
    "An offer, or why there is none; with `dry_run` what would leave",
    either(ref("OfferFound"), ref("NoOffer"), ref("DryRun")),
    ("Cache-Control",),
)
_REFUSED = Answer(422, f"{RequestRefused.title}: with Rokt's own codes", ref("ProblemOfOffers"), (), PROBLEM)
_NOT_JSON = Answer(400, f"{MalformedJson.title}, with Rokt's code", ref("ProblemOfOffers"), (), PROBLEM)
_ROKTS_ERROR = ref("RoktRefusal")
_TAG = Parameter(TAG, "header", "Another tag of your Rokt account", text(pattern="^[A-Za-z0-9_-]{1,64}$"))
_ATTRIBUTES = {"email": "ada@example.com", "firstname": "Ada", "country": "US"}
_WHOLE_INTEGRATION = {
    "name": "my app",
    "version": "1.0",
    "framework": "React Native",
    "platform": "iOS",
    "layoutSchemaVersion": "2.1.0",
    "deviceLocale": "en-US",
    "deviceModel": "iPhone 15",
    "deviceType": "Phone",
    "operatingSystem": "iOS",
    "operatingSystemVersion": "17.0",
    "packageName": "com.example.app",
    "packageVersion": "1.0",
}

GROUP = Group(
    "Offers",
    "Rokt's offers. They go through no database, and are answered within a second and a half.",
    (
        Operation(
            "POST",
            "/v1/offers",
            "askOffer",
            "An offer for a message",
            (_TOLD, _NOT_JSON, TOO_LARGE, NO_FORM, _REFUSED, OFF),
            (
                Example(
                    "By the user's attributes",
                    200,
                    {"pageIdentifier": "order_confirmation", "user_id": "u-1", "attributes": _ATTRIBUTES},
                ),
            ),
            more=f"A body has {LARGE // 1024} KiB at most. Parameters of the query are passed over, unless an e-mail "
            "address stands in one.",
            parameters=(DRY_RUN, _TAG),
            body=ref("OfferRequest"),
            needs_database=False,
        ),
        Operation(
            "GET",
            "/v1/offers",
            "askOfferByAddress",
            "The same by an address",
            (_TOLD, _REFUSED, OFF),
            (
                Example("Of a page", 200, query={"page": "order_confirmation", "user_id": "u-1"}),
                Example("Without a page", 422, query={"user_id": "u-1"}),
            ),
            more="Addresses are logged everywhere, so nothing personal may stand in one.",
            parameters=(
                *[
                    Parameter(name, "query", its["description"], its, is_needed=name == "page")
                    for name, its in _IN_ADDRESS.items()
                ],
                DRY_RUN,
                _TAG,
            ),
            needs_database=False,
        ),
        Operation(
            "POST",
            PATH,
            "passOnExperiences",
            "Rokt's own call, for apps",
            (
                Answer(
                    200, "Rokt's answer as it came; with `dry_run` what would leave", anything(), PASSED_ON
                ),
                Answer(
                    400, "Not JSON, or not of the form that Rokt takes; or Rokt's own refusal", _ROKTS_ERROR
                ),
                Answer.of(TooLarge, words=f"{LARGE // 1024} KiB is the most"),
                NO_FORM,
                Answer(422, "What Rokt refuses", _ROKTS_ERROR),
                Answer.of(InvalidPayload),
                OFF,
                Answer(
                    "default", "Another status of Rokt's, with its body as it came", anything(), PASSED_ON
                ),
                Answer(502, "Rokt cannot be reached", _ROKTS_ERROR),
                *(
                    Answer(status, words, _ROKTS_ERROR, headers)
                    for status, words, headers in (
                        (
                            STATUS[Reason.BUSY],
                            "Too many wait for Rokt, or it is left alone for a while",
                            ("Retry-After",),
                        ),
                        (STATUS[Reason.TIMEOUT], "Rokt did not answer in time", ()),
                    )
                ),
            ),
            (
                Example(
                    "As Rokt takes it",
                    200,
                    {
                        "pageIdentifier": "order_confirmation",
                        "attributes": _ATTRIBUTES,
                        "integration": _WHOLE_INTEGRATION,
                    },
                ),
            ),
            more="Rokt's status and body are passed on as they are, so another one may come from there.",
            parameters=(DRY_RUN, _TAG),
            body=ref("RoktExperiencesRequest"),
            needs_database=False,
        ),
    ),
    {
        "OfferRequest": object_of(FIELDS, _FIELDS, needed=("pageIdentifier",), words="Whom an offer is for"),
        "RoktExperiencesRequest": _ROKTS,
        "OfferFound": answer_of(
            {
                "found": yes_no(const=True),
                "offer": answer_of(_OFFER, words="The first offer, flat"),
                "offers": mapping(words="Rokt's whole answer"),
            }
        ),
        "NoOffer": answer_of({"found": yes_no(const=False), "reason": one_of(Reason)}),
        "ProblemOfOffers": answer_of(
            {
                **forms.SCHEMAS["Problem"]["properties"],
                "errors": many(
                    answer_of(
                        {"field": text(), "message": text(), "code": one_of(CODES, "Rokt's")},
                        may_miss=("code",),
                    )
                ),
            }
        ),
        "RoktRefusal": answer_of(
            {
                "title": text(),
                "status": whole(),
                "success": yes_no(),
                "errors": many(answer_of({"code": text(), "message": text()})),
            },
            words="An error in Rokt's own form",
        ),
    },
)
