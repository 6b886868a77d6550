"""How each destination does, in words: what it is called, what holds it up, what is to be done, what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.outbox.forecast import Forecast, Minute, forecast, measured, rate_of
from bridge.outbox.samples import Waiting
from bridge.outbox.states import CLOSED, COMMON, PAUSED, WHOLE, DestinationState
from bridge.settings import Settings, account_key
from bridge.settings.declared import Words, words_for


@dataclass(frozen=True)
class Notice:
    """One thing about a destination. `level`: good, slow or bad. `at`: a time behind the words; `then`: the rest.

    `stops`: why nothing of it leaves meanwhile, to follow "nothing leaves while"; blank: some does. `halves`: it
    leaves at half of what the settings allow.
    """

    level: str
    words: str
    at: datetime | None = None
    then: str = ""
    reason: str = ""
    advice: str = ""
    stops: str = ""
    halves: bool = False


def notices(
    destination: str, known: Sequence[DestinationState], now: datetime, *, is_configured: bool, workers: int
) -> list[Notice]:
    """What holds a destination up, what matters most first; that it is well if nothing does."""
    its = words_for(destination)
    upstream = its.upstream
    found = []
    if not is_configured:
        words = "Not set up any more: what still waits for it stays where it is."
        advice = f"Whoever runs the bridge has to set {its.credential} again."
        found.append(Notice("bad", words, advice=advice, stops="it is not set up"))
    if not workers:
        advice = "Whoever runs the bridge has to start one: python -m bridge worker."
        found.append(Notice("bad", "No worker is running.", advice=advice, stops="no worker is running"))
    by_place = {state.account_code: state for state in known}
    paused = by_place.get(PAUSED)
    if paused and paused.state == CLOSED:
        words, stops = f"{_sentence(paused.reason or 'paused')}, since", "it is paused"
        found.append(Notice("bad", words, paused.since, advice="A publisher may resume it.", stops=stops))
    whole = by_place.get(WHOLE)
    if whole and whole.state == CLOSED:
        found.append(_closed(whole, upstream))
    found += [
        _refused(state, its)
        for place, state in by_place.items()
        if state.state == CLOSED and place not in (PAUSED, WHOLE)
    ]
    if whole and whole.hold_until and whole.hold_until > now:
        words = f"{upstream} asked to wait until"
        found.append(Notice("slow", words, whole.hold_until, stops=f"{upstream} asked to wait"))
    elif whole and whole.halved_until and whole.halved_until > now:
        words = f"Slowed to half: {upstream} said it was too much (429). Until"
        found.append(Notice("slow", words, whole.halved_until, ", if it does not say so again.", halves=True))
    return found or [Notice("good", "Healthy.")]


def outlook(
    settings: Settings,
    destination: str,
    waits: Waiting,
    minutes: Sequence[Minute],
    told: Sequence[Notice],
    now: datetime,
) -> Forecast | None:
    """None: nothing waits, or nothing leaves."""
    if not waits.messages or any(notice.stops for notice in told):
        return None
    limit = limit_of(settings, destination)
    if limit is not None and any(notice.halves for notice in told):
        limit /= 2
    rate = rate_of(limit, measured(minutes))
    return forecast(waits.messages, rate, now, waits.expiring, waits.counted_at)


def limit_of(settings: Settings, destination: str) -> float | None:
    """Messages a second that the settings allow, all credentials together; None: as many as go."""
    setup = settings.destinations.get(destination)
    if setup is None or not setup.rate.is_limited:
        return None
    rate = setup.rate
    if rate.per == "item":
        return float(rate.a_second)
    return float(rate.a_second * setup.carries)


def _closed(state: DestinationState, upstream: str) -> Notice:
    return Notice(
        "bad",
        f"{upstream} does not answer as it should, since",
        state.since,
        ". It is asked again every second at first, then every ten seconds; what waits goes with its first answer.",
        reason=state.reason or "",
        stops=f"{upstream} does not answer",
    )


def _refused(state: DestinationState, its: Words) -> Notice:
    upstream = its.upstream
    if state.account_code == COMMON:
        words, stops = f"{upstream} refuses the credential, since", f"{upstream} refuses the credential"
    else:
        words, stops = f"{upstream} refuses the credential of account {state.account_code}, since", ""
    suffix = ""
    if its.by_account and state.account_code != COMMON:
        suffix = f", with __{account_key(state.account_code)} behind the names if this account has its own"
    return Notice(
        "bad",
        words,
        state.since,
        reason=state.reason or "",
        advice=f"Ask {upstream} for a new one; whoever runs the bridge sets it in {its.credential}{suffix} "
        "and starts the workers again. What waits then goes by itself.",
        stops=stops,
    )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
