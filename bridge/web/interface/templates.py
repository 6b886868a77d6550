"""Templates: drafts, previews, publication, the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from bridge.calendar.admission import MOST_NOTE, NAME
from bridge.calendar.engine.declarations import Variable
from bridge.calendar.previews import Fault
from bridge.calendar.versions import Draft, Entry, NotPublished, Past
from bridge.errors import Conflict, InvalidPayload
from bridge.web.interface import common, forms
from bridge.web.interface.common import BODY_REFUSALS, UNREADABLE, WRONG, not_found
from bridge.web.interface.operation import Answer, Example, Group, Operation, Parameter, Schema, ref
from bridge.web.interface.shapes import (
    answer_of,
    anything,
    many,
    mapping,
    moment,
    object_of,
    or_null,
    text,
    whole,
    yes_no,
)
from bridge.web.templates import DRAFT, PREVIEW, PUBLICATION, ROLLBACK

_VERSION = or_null(whole(minimum=1, maximum=2**31 - 1))
_SOURCE = text("The template's text")
_ANY_VERSION = or_null(whole("Null where nothing is published"))


def _told(kind: type, told: Mapping[str, Schema]) -> dict[str, Schema]:
    """What is answered of a value that the store keeps: all its fields."""
    return dict(object_of((one.name for one in fields(kind)), told)["properties"])


_DRAFT = _told(
    Draft,
    {
        "name": text(),
        "source": _SOURCE,
        "revision": whole("Sent back with a change, so that nothing is overwritten unseen"),
        "based_on": or_null(whole("The version that was published when it was begun")),
        "edited_by": text(),
        "edited_at": moment(),
        "origin": text("file, api or console"),
    },
)
_PAST = _told(
    Past,
    {
        "name": text(),
        "version": whole(),
        "origin": text("file, api or console"),
        "made_by": text(),
        "made_at": moment(),
        "published_at": or_null(moment("The last time; null for a file that was never published")),
        "is_published": yes_no(),
        "is_suspended": yes_no("It took too long, and is not rendered any more"),
        "note": text(),
        "published_by": text(),
    },
)
_ENTRY = _told(
    Entry,
    {
        "name": text(),
        "is_piece": yes_no("A shared piece, that other templates use"),
        "purpose": text(),
        "version": _ANY_VERSION,
        "published_at": or_null(moment()),
        "is_suspended": yes_no(),
        "draft": or_null(answer_of({k: v for k, v in _DRAFT.items() if k not in ("name", "source")})),
        "last_by": text(),
        "last_at": moment(),
        "file_version": or_null(whole("A file's version that waits as a draft stands")),
    },
)
_FAULT: dict[str, Schema] = {
    "message": text("What is wrong"),
    **{
        name: its
        for name, its in _told(
            Fault,
            {
                "template": text("The file, which may be a shared piece"),
                "line": or_null(whole()),
                "field": text("The block"),
                "cause": text(),
                "words": text(),
                "start": or_null(whole("The column from 0, where it can be told")),
                "end": or_null(whole()),
            },
        ).items()
        if name != "words"
    },
}
_VARIABLE = _told(
    Variable,
    {
        "name": text(),
        "type": text(),
        "required": yes_no(),
        "default": anything(),
        "choices": many(text()),
        "example": anything(),
        "note": text(),
        "is_declared": yes_no(),
        "template": text(),
        "line": or_null(whole()),
    },
)
_FAULTS = many(ref("Fault"), "For which it would not be published")
_SHAPE = {"variables": many(ref("Variable")), "pieces": many(text()), "faults": _FAULTS}
_PUBLISHED = answer_of(
    {
        "version": whole(),
        "published_at": or_null(moment()),
        "is_suspended": yes_no(),
        "source": _SOURCE,
        **_SHAPE,
    }
)
_NAME = common.path("name", "The template's name; one of a shared piece begins with `_`", "store_opening")
_STRICT_NAME = Parameter(
    "name", "path", _NAME.words, text(pattern=f"^{NAME.pattern}$"), is_needed=True, sample="store_opening"
)
_UNKNOWN = not_found("with the names that are nearest")
_CONFLICT = Answer.of(Conflict, "ProblemOfConflict", "nothing was overwritten; `draft` is what stands")
_NOT_PUBLISHED = Answer.of(
    NotPublished,
    "ProblemOfPublication",
    f"`faults` says why. Or: {InvalidPayload.title}: `errors` names each field",
)
_OPENING = """\
{# A store opens.

city required e.g. Rome #}
{% extends "_brand" %}
{% block event_id %}opening_{{ city }}{% endblock %}
{% block title %}We open in {{ city }}{% endblock %}
{% block start %}2027-12-03T09:00{% endblock %}
"""

GROUP = Group(
    "Templates",
    "What makes events of what Braze sends: drafted, tried, published, and taken back.",
    (
        Operation(
            "PUT",
            "/v1/templates/{name}",
            "saveDraft",
            "Save a draft",
            (Answer(200, "The draft as it stands now", ref("SavedDraft")), _CONFLICT, *BODY_REFUSALS),
            (Example("A new one", 200, {"source": _OPENING}),),
            more="A name that does not exist begins a new template.",
            parameters=(_STRICT_NAME,),
            body=ref("DraftRequest"),
        ),
        Operation(
            "GET",
            "/v1/templates",
            "listTemplates",
            "The templates, without their texts",
            (Answer(200, "All", ref("Templates")),),
            (Example("All", 200),),
        ),
        Operation(
            "GET",
            "/v1/templates/{name}",
            "showTemplate",
            "One, with its texts",
            (Answer(200, "What is published, and what is drafted", ref("WholeTemplate")), _UNKNOWN),
            (
                Example("By its name", 200, path={"name": "flash_sale"}),
                Example("A slip", 404, path={"name": "flash_sail"}),
            ),
            parameters=(_NAME,),
        ),
        Operation(
            "POST",
            "/v1/templates/{name}/preview",
            "previewTemplate",
            "What it makes, without keeping anything",
            (Answer(200, "The event, and what would leave", ref("Preview")), _UNKNOWN, *BODY_REFUSALS),
            (
                Example("With its examples", 200, {}),
                Example("With values", 200, {"variables": {"city": "Bari"}}),
            ),
            more="Of `source` or `version`, else of the draft, else of what is published; with `variables`, else "
            "the template's examples.",
            parameters=(_NAME,),
            body=ref("PreviewRequest"),
            body_may_miss=True,
        ),
        Operation(
            "POST",
            "/v1/templates/{name}/publish",
            "publishTemplate",
            "Publish the draft",
            (Answer(200, "The version", ref("Published")), _UNKNOWN, _CONFLICT, *UNREADABLE, _NOT_PUBLISHED),
            (Example("With a note", 200, {"note": "first"}),),
            parameters=(_NAME,),
            body=ref("PublicationRequest"),
            body_may_miss=True,
        ),
        Operation(
            "POST",
            "/v1/templates/{name}/rollback",
            "rollBackTemplate",
            "Publish an earlier version again",
            (Answer(200, "The version", ref("Published")), _UNKNOWN, _CONFLICT, *UNREADABLE, _NOT_PUBLISHED),
            (Example("The first one", 200, {"version": 1}, path={"name": "flash_sale"}),),
            parameters=(_NAME,),
            body=ref("RollbackRequest"),
        ),
        Operation(
            "DELETE",
            "/v1/templates/{name}/draft",
            "discardDraft",
            "Discard the draft that you saw",
            (Answer(200, "It is gone", ref("Discarded")), _CONFLICT, WRONG),
            (Example("None stands any more", 409, query={"revision": "1"}),),
            parameters=(
                _NAME,
                Parameter(
                    "revision",
                    "query",
                    "The draft's own",
                    text(pattern="^[0-9]{1,9}$"),
                    is_needed=True,
                    sample="3",
                ),
            ),
        ),
        Operation(
            "GET",
            "/v1/templates/{name}/versions",
            "listVersions",
            "Its versions, the newest first",
            (Answer(200, "The history", ref("Versions")), _UNKNOWN),
            (Example("By its name", 200),),
            parameters=(_NAME,),
        ),
        Operation(
            "GET",
            "/v1/templates/{name}/versions/{version}",
            "showVersion",
            "One version, with its text",
            (Answer(200, "The version", ref("WholeVersion")), _UNKNOWN),
            (
                Example("The first one", 200),
                Example("None", 404, path={"name": "flash_sale", "version": "1000"}),
            ),
            parameters=(
                _NAME,
                common.path("version", "Its number", "1", whole(minimum=0, maximum=2**31 - 1)),
            ),
        ),
    ),
    {
        "DraftRequest": object_of(
            DRAFT,
            {
                "source": _SOURCE,
                "revision": {**_VERSION, "description": "Of the draft that you saw, if one stood"},
            },
            needed=("source",),
        ),
        "PreviewRequest": object_of(
            PREVIEW,
            {
                "source": or_null(text("A text to look at")),
                "variables": or_null(mapping(words="Values for its variables")),
                "version": {**_VERSION, "description": "A version to look at"},
            },
        ),
        "PublicationRequest": object_of(
            PUBLICATION,
            {
                "revision": {**_VERSION, "description": "Of the draft that is meant"},
                "note": or_null(text("Why", maxLength=MOST_NOTE)),
                "over": {
                    **_VERSION,
                    "description": "The version that was published since, and that you have seen",
                },
            },
        ),
        "RollbackRequest": object_of(
            ROLLBACK,
            {"version": whole("Which", minimum=1, maximum=2**31 - 1)},
            needed=ROLLBACK,
        ),
        "SavedDraft": answer_of(
            {**_DRAFT, "faults": _FAULTS, "warnings": many(text()), "request_id": text()},
            may_miss=("warnings",),
        ),
        "Templates": answer_of({"templates": many(answer_of(_ENTRY))}),
        "WholeTemplate": answer_of(
            _ENTRY | {"published": or_null(_PUBLISHED), "draft": or_null(answer_of({**_DRAFT, **_SHAPE}))}
        ),
        "Preview": answer_of(
            {
                "name": text(),
                "of": text("source, version, draft or published"),
                "version": _ANY_VERSION,
                "variables": mapping(words="The values that it was rendered with"),
                "fields": or_null(mapping(text(), "As the blocks printed them")),
                "skip": or_null(text("Why nothing would be sent")),
                "event": or_null(mapping(words="What becomes of it, for people")),
                "requests": many(ref("Call"), "What would leave for an example's user"),
                "faults": many(ref("Fault")),
                "ms": {"type": "number", "description": "How long it took"},
                "request_id": text(),
            },
            may_miss=("ms",),
        ),
        "Published": answer_of({"name": text(), "version": whole(), "request_id": text()}),
        "Discarded": answer_of({"name": text(), "draft": {"type": "null"}, "request_id": text()}),
        "Versions": answer_of({"versions": many(answer_of(_PAST))}),
        "WholeVersion": answer_of({**_PAST, "source": _SOURCE}),
        "Fault": answer_of(
            _FAULT, may_miss=("start", "end"), words="A mistake in a template, with its place"
        ),
        "Variable": answer_of(_VARIABLE),
        "ProblemOfConflict": answer_of(
            {
                **forms.SCHEMAS["Problem"]["properties"],
                "draft": or_null(answer_of(_DRAFT)),
                "version": or_null(whole("What is published now")),
            },
            may_miss=("draft", "version"),
        ),
        "ProblemOfPublication": answer_of(
            {**forms.SCHEMAS["Problem"]["properties"], "faults": many(ref("Fault"))}, may_miss=("faults",)
        ),
    },
)
