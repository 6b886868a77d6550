"""What an upstream's answer means for a message, the same for every destination."""

from __future__ import annotations

import re
from base64 import b64encode

from bridge.errors import AnswerLost, CredentialRefused, UpstreamTrouble
from bridge.message import AT_MOST, Delivered, Divided, Outcome, Rejected, Retry, Uncertain
from bridge.upstream import Answer

MOST_READ = 4_000  # characters: twice what is kept of an answer; to look through 64 KB takes seconds
_ASKED_TO_WAIT = (408, 425, 429)
_CREDENTIAL = (401, 403)
_NO_SUCH_ADDRESS = (404, 405)
_ADDRESS = re.compile(r"[^\s\"'<>@,;:]+@[^\s\"'<>@,;:]+\.[^\s\"'<>@,;:]+")
_CUT_WORD = re.compile(r"[^\s\"'<>,;:]*\Z")
_LONG_TOKEN = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+|\b[\w-]{20,}\.[\w-]{20,}\.[\w-]{10,}")


def of_answer(answer: Answer, account_code: str, told: str = "", *, has_one_address: bool = False) -> Outcome:
    """The outcome of an HTTP answer. `told`: the upstream's own words, where its error form has some.

    `has_one_address`: every call goes to it, so that there is none is the fault of a setting and of no message:
    they wait, as for a credential, until somebody mends that.
    """
    status, text, ms = answer.status, redact(answer.text), answer.ms
    if 200 <= status < 300:
        return Delivered(status, text, ms)
    reason = f"answered {status}" + (f": {redact(told)}" if told else "")
    if status in _CREDENTIAL or (has_one_address and status in _NO_SUCH_ADDRESS):
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


def halved(outcome: Outcome, messages: int) -> Outcome:
    """Of a call that was refused whole, and did nothing: the fault may be one message's."""
    if not isinstance(outcome, Rejected) or messages == 1:
        return outcome
    progress = {AT_MOST: messages // 2}
    return Divided(outcome.reason, outcome.status, outcome.answer, outcome.ms, progress)


def pattern_of(user: str, secret: str) -> re.Pattern[str]:
    """What in an upstream's words is a credential of ours, by itself or as HTTP Basic sends it."""
    told = (b64encode(f"{user}:{secret}".encode()).decode(), secret)
    return re.compile("|".join(map(re.escape, told)), re.IGNORECASE)


def redact(text: str) -> str:
    """An upstream's words without addresses and tokens: vendors echo what they were sent. Of long ones the begin."""
    return _LONG_TOKEN.sub("[token]", _ADDRESS.sub("[email]", begin_of(text)))


def begin_of(text: str) -> str:
    """As much as is worth a look, up to a whole word: half of an address does not look like one."""
    return text if len(text) <= MOST_READ else _CUT_WORD.sub("", text[:MOST_READ])
