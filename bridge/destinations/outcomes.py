"""What an upstream's answer means for a message, the same for every destination."""

from __future__ import annotations

import re

from bridge.errors import AnswerLost, CredentialRefused, UpstreamTrouble
from bridge.message import Delivered, Outcome, Rejected, Retry, Uncertain
from bridge.upstream import Answer

MOST_READ = (
    4_000  # characters of an answer: twice what is kept of it, and looking through 64 KB takes seconds
)
_ASKED_TO_WAIT = (408, 425, 429)
_CREDENTIAL = (401, 403)
_ADDRESS = re.compile(r"[^\s\"'<>@,;:]+@[^\s\"'<>@,;:]+\.[^\s\"'<>@,;:]+")
_CUT_WORD = re.compile(r"[^\s\"'<>,;:]*\Z")
_LONG_TOKEN = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+|\b[\w-]{20,}\.[\w-]{20,}\.[\w-]{10,}")


def of_answer(answer: Answer, account_code: str, told: str = "") -> Outcome:
    """The outcome of an HTTP answer. `told`: the upstream's own words, where its error form has some."""
    status, text, ms = answer.status, redact(answer.text), answer.ms
    if 200 <= status < 300:
        return Delivered(status, text, ms)
    reason = f"answered {status}" + (f": {redact(told)}" if told else "")
    if status in _CREDENTIAL:
        return Retry(reason, status, text, ms, refused_account=account_code)
    if status in _ASKED_TO_WAIT:
        return Retry(reason, status, text, ms, wait=answer.retry_after)
    if 400 <= status < 500:
        return Rejected(reason, status, text, ms)
    return Retry(reason, status, text, ms, wait=answer.retry_after, is_trouble=True)


def of_trouble(trouble: UpstreamTrouble, ms: int, *, refused_account: str = "") -> Outcome:
    """The outcome of a call without an answer. `refused_account`: whose credential it was, "" the common one."""
    if isinstance(trouble, AnswerLost):
        return Uncertain(str(trouble), ms)
    if isinstance(trouble, CredentialRefused):
        return Retry(str(trouble), ms=ms, refused_account=refused_account)
    return Retry(str(trouble), ms=ms, wait=getattr(trouble, "wait", None), is_trouble=True)


def redact(text: str) -> str:
    """An upstream's words without addresses and tokens: vendors echo what they were sent. Of long ones the begin."""
    if len(text) > MOST_READ:
        text = _CUT_WORD.sub("", text[:MOST_READ])  # what is left of an address would not look like one
    return _LONG_TOKEN.sub("[token]", _ADDRESS.sub("[email]", text))
