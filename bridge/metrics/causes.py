"""Why messages go again and why they died, in the few words that a label may say. Reasons themselves are endless."""

from __future__ import annotations

from bridge.message import Divided, Outcome, Retry, Uncertain

CREDENTIAL, TOO_MANY, ASKED_TO_WAIT = "credential", "too_many", "asked_to_wait"
SERVER_ERROR, NETWORK, ANSWER_LOST, DIVIDED = "server_error", "network", "answer_lost", "divided"
OTHER = "other"
OF_RETRIES = (CREDENTIAL, TOO_MANY, ASKED_TO_WAIT, SERVER_ERROR, NETWORK, ANSWER_LOST, DIVIDED, OTHER)

# Of the dead: a cause, and how its reasons begin. What a template refused is known otherwise.
TEMPLATE = "template"
BEGINNINGS = (
    ("too_late", ("too late",)),
    ("cancelled", ("cancelled by",)),
    ("tried_out", ("tried for",)),
    ("refused", ("answered 4", "Rokt refused", "Braze refused", "Rokt did not process")),
    ("setting", ("ROKT_",)),
    ("bridge", ("the bridge failed",)),
)
OF_DEAD = (TEMPLATE, *(cause for cause, _ in BEGINNINGS), OTHER)


def of_retry(outcome: Outcome) -> str | None:
    """None: it does not go again because of this, or only to do the rest of what it does."""
    match outcome:
        case Retry(refused_account=str()):
            return CREDENTIAL
        case Retry(status=429):
            return TOO_MANY
        case Retry(status=408 | 425):
            return ASKED_TO_WAIT
        case Retry(status=int(status)):
            return SERVER_ERROR if status >= 500 else OTHER
        case Retry():
            return NETWORK if outcome.is_trouble else OTHER
        case Uncertain():
            return ANSWER_LOST
        case Divided():
            return DIVIDED
    return None
