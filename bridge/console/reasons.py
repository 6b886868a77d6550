"""Why a message failed, in a marketer's words, and what to do about it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from bridge.settings.declared import words_for

_MEND = "Mend the template and publish it, then send again."
_ANSWER = "Its own words stand with each attempt. Mend what it says, then send again."
# By how a reason begins. What Braze sent stays as it was: a replay renders that again.
_TO_DO = (
    (
        "unknown template",
        "Publish a template of this name, then send again. A slip in its name is mended in Braze.",
    ),
    ("template suspended", "The template took too long. Make it simpler and publish it, then send again."),
    (
        "missing variable",
        (
            "Braze did not send what the template needs. Give the variable a default, publish, then send again; "
            "and let Braze send it from now on."
        ),
    ),
    (
        "unknown variable",
        (
            "Braze sends what the template does not know. Declare it in the template's first comment and publish, "
            "then send again; or take it out in Braze, for the next ones."
        ),
    ),
    (
        "wrong value",
        (
            "Braze sent a value that does not fit. Let the template take it (as text, or with a default), "
            "publish, then send again; or mend it in Braze, for the next ones."
        ),
    ),
    (
        "no title",
        "Where the variable is blank the title is too. Give it other words for that, publish, then send again.",
    ),
    (
        "too late",
        "It could not leave before its time was up. Sent again it goes into calendars all the same.",
    ),
    ("cancelled by", "Somebody cancelled it. Send it again if it should go after all."),
    ("tried for", "The bridge tried for as long as it may. Send it again once {upstream} answers."),
    ("answered 4", "{upstream} refused it. " + _ANSWER),
    ("ROKT_", "A setting is missing: whoever runs the bridge sets it. Then send again."),
    ("the bridge failed", "This is the bridge's own fault: tell whoever runs it. Then send again."),
)

_TOLD = ("message", "detail", "error_description", "error", "title")
_IN_TEMPLATE = re.compile(r"([A-Za-z0-9_.-]+)\.jinja(?:, line ([0-9]+))?")
_PREFIX = re.compile(
    r"\A[a-z_ ]+: (?:variables\.)?[A-Za-z0-9_.\[\]]+: (?:[A-Za-z0-9_.-]+\.jinja(?:, line [0-9]+)?: )?",
    re.IGNORECASE,
)
_PHRASES = (
    (re.compile(r'\Athe block "([^"]*)" printed nothing'), r"\1 is empty"),
    (re.compile(r'\A"([^"]*)" is required and was not sent'), r"\1 was not sent, and the template needs it"),
    (re.compile(r'\A"([^"]*)" is required and is blank'), r"\1 is blank, and the template needs it"),
    (re.compile(r"; there are [^;]*\Z"), ""),
    (re.compile(r", such as …\Z"), ""),
    (re.compile(r"\Atried for ([^:]*(?::[0-9…]+)*): "), r"given up after \1: "),
    (re.compile(r"\ABRAZE_SYNC is off\Z"), "the bridge is set to tell Braze nothing (BRAZE_SYNC is off)"),
    (re.compile(r"\Atoo late\Z"), "too late: its time was up before it could leave"),
)


@dataclass(frozen=True)
class Spot:
    """Where in a template the fault is."""

    template: str
    line: int | None


def in_words(reason: str, destination: str = "", *, is_refused: bool = False) -> str:
    """A reason or a cause, without what only machines need. `is_refused`: a template refused it."""
    told = _PREFIX.sub("", reason) if is_refused else reason
    for pattern, words in _PHRASES:
        told = pattern.sub(words, told)
    refusal = re.match(r"answered ([45][0-9]{2})", told)
    if refusal:
        told = f"{upstream(destination)} answered {refusal[1]}{told[refusal.end() :]}"
    return told or "no reason is known"


def what_to_do(reason: str, destination: str, *, is_refused: bool) -> str:
    for begin, words in _TO_DO:
        if reason.startswith(begin):
            return words.format(upstream=upstream(destination))
    return _MEND if is_refused else "Mend what it says, then send again."


def said(answer: str) -> str:
    """An upstream's answer in its own words, without the JSON around them."""
    try:
        told = json.loads(answer)
    except ValueError:
        return answer
    words = [told.get(name) for name in _TOLD] if isinstance(told, dict) else []
    return next((one for one in words if isinstance(one, str) and one.strip()), answer)


def spot(reason: str) -> Spot | None:
    found = _IN_TEMPLATE.search(reason)
    return Spot(found[1], int(found[2]) if found[2] else None) if found else None


def upstream(destination: str) -> str:
    return words_for(destination).upstream


def place(destination: str) -> str:
    return words_for(destination).name
