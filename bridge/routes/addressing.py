"""Whom a calendar call is for: subscriptions by account, from what it gives and from what the ledgers know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.errors import FieldError, InvalidPayload
from bridge.routes.calendar_events import CalendarCall
from bridge.routes.incoming import ACCOUNT_CODE, MOST_IDS, SUBSCRIPTION_ID
from bridge.subscribers.addressee import Addressee

Groups = Mapping[str, tuple[str, ...]]  # by account; no subscription: whoever holds the event there

NO_ACCOUNT = "is blank: this user has no rokt:account_code"
UNSUBSCRIBED = "unsubscribed: no active subscription is left"


@dataclass(frozen=True)
class Known:
    """What the ledgers answer. `subscriptions`: of the ids given those that are known; where none is given, the
    user's. `standing_in`: the accounts in which the event stands. `content`: the event as it will stand when all
    that was accepted has left.
    """

    subscriptions: Mapping[str, Addressee] = field(default_factory=dict)
    standing_in: Sequence[str] = ()
    content: Mapping[str, Any] | None = None

    @property
    def has_event(self) -> bool:
        return bool(self.standing_in) or self.content is not None

    @property
    def of_user(self) -> list[str]:
        """The subscriptions known, where they are the user's. What the ledger was told is in no form of ours."""
        return [one for one in self.subscriptions if SUBSCRIPTION_ID.fullmatch(one)]

    def account_of(self, subscription_id: str) -> str:
        its = self.subscriptions.get(subscription_id)
        return its.account_code if its and ACCOUNT_CODE.fullmatch(its.account_code) else ""

    def calendar_of(self, subscription_id: str) -> str:
        its = self.subscriptions.get(subscription_id)
        return its.calendar_code if its else ""

    def is_active(self, subscription_id: str) -> bool:
        its = self.subscriptions.get(subscription_id)
        return its is None or its.is_active


@dataclass(frozen=True)
class Addressed:
    """`nobody`: why there are no groups, where that is nobody's mistake. `warnings`: what the caller should know."""

    groups: Groups
    nobody: str = ""
    warnings: tuple[str, ...] = ()


def address(call: CalendarCall, known: Known) -> Addressed:
    """Errors: InvalidPayload."""
    ids = call.subscription_ids
    if not ids and (call.action in ("update", "delete") or (call.action == "upsert" and known.has_event)):
        return _by_accounts(call, known)
    if not ids:
        ids = _of_user(call, known)
    left = [one for one in ids if call.action == "delete" or known.is_active(one)]
    if not left:
        return Addressed({}, UNSUBSCRIBED)
    chosen = _of_chosen_calendars(call, known, left)
    if not chosen:
        return Addressed({}, _no_calendar(call))
    return _grouped(call, known, chosen)


def _of_user(call: CalendarCall, known: Known) -> tuple[str, ...]:
    """The user's subscriptions, in the accounts given if there are some."""
    found = tuple(one for one in known.of_user if _is_in_accounts(call, known, one))
    if not found:
        accounts = ", ".join(dict.fromkeys(one.value for one in call.accounts)) if known.subscriptions else ""
        within = f" in the account {accounts}" if accounts else ""
        told = f"none was given, and none of this user{within} is known here"
        raise InvalidPayload.of(FieldError("subscription_ids", told))
    if len(found) > MOST_IDS:
        told = f"none was given, and more than {MOST_IDS:,} of this user are known here"
        raise InvalidPayload.of(FieldError("subscription_ids", told))
    return found


def _by_accounts(call: CalendarCall, known: Known) -> Addressed:
    """Where no subscription is named: the accounts given, else those in which the event stands, else the user's.

    An account is left out where the user's subscriptions are known, and known not to be meant. An upsert reaches
    the user's other subscriptions too.
    """
    there: dict[str, list[str]] = {}
    for one in known.of_user:
        if account := _account_of(call, known, one):
            there.setdefault(account, []).append(one)
    base = list(dict.fromkeys(one.value for one in call.accounts)) or list(known.standing_in)
    accounts = base or list(there)
    if not accounts:
        raise InvalidPayload.of(FieldError("account_code", NO_ACCOUNT))
    if call.action == "delete":
        return Addressed(dict.fromkeys(accounts, ()))
    further = []
    if call.action == "upsert" and not call.accounts:
        further = [account for account in there if account not in base]
    groups = {}
    for account in dict.fromkeys([*accounts, *further]):
        meant, are_out = _meant(call, known, there.get(account, []))
        if meant or not (are_out or account in further):
            groups[account] = meant
    if groups:
        return Addressed(groups)
    is_active = any(known.is_active(one) for account in accounts for one in there.get(account, ()))
    return Addressed({}, _no_calendar(call) if is_active else UNSUBSCRIBED)


def _meant(call: CalendarCall, known: Known, ids: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Those known to be meant, and whether all are known not to be."""
    wanted = {code.casefold() for code in _wanted_calendars(call)}
    active = [one for one in ids if known.is_active(one)]
    if not wanted:
        return tuple(active), bool(ids) and not active
    calendars = _calendars(call, known, active)
    meant = tuple(one for one in active if calendars[one] & wanted)
    return meant, bool(ids) and all(calendars[one] and not calendars[one] & wanted for one in active)


def _grouped(call: CalendarCall, known: Known, chosen: Collection[str]) -> Addressed:
    """The chosen subscriptions by account. `chosen` of the ids given keep the positions that these have."""
    groups: dict[str, dict[str, str]] = {}
    lost = []
    for position, one in enumerate(call.subscription_ids or known.of_user):
        if one not in chosen:
            continue
        if account := _account_of(call, known, one, position):
            # The same id may stand there twice.
            groups.setdefault(account, {}).setdefault(one.casefold(), one)
        else:
            lost.append(one)
    named = f"the account of {', '.join(lost[:5])} is not known"
    warnings: tuple[str, ...] = ()
    if lost and groups and not call.subscription_ids:
        warnings = (f"subscription_ids: {named}, so nothing is sent there",)
    elif lost and not call.accounts:
        raise InvalidPayload.of(FieldError("account_code", NO_ACCOUNT))
    elif lost:
        told = f"{named}; send rokt:account_code as Braze holds it"
        raise InvalidPayload.of(FieldError("subscription_ids", told))
    return Addressed({account: tuple(its.values()) for account, its in groups.items()}, warnings=warnings)


def _is_in_accounts(call: CalendarCall, known: Known, subscription_id: str) -> bool:
    if not call.accounts:
        return True
    account = _account_of(call, known, subscription_id)
    return any(one.value == account for one in call.accounts)


def _account_of(call: CalendarCall, known: Known, subscription_id: str, position: int = 0) -> str | None:
    """`position`: among the ids given."""
    accounts = call.accounts
    if account := known.account_of(subscription_id):
        return account
    if paired := [one.value for one in accounts if one.is_of(subscription_id)]:
        return paired[0]
    if len({one.value for one in accounts}) == 1:
        return accounts[0].value
    return accounts[position].value if accounts and len(accounts) == len(call.subscription_ids) else None


def _of_chosen_calendars(call: CalendarCall, known: Known, ids: Sequence[str]) -> frozenset[str]:
    """The subscriptions of the calendars asked for, all if nobody asked."""
    wanted = {code.casefold() for code in _wanted_calendars(call)}
    if not wanted:
        return frozenset(ids)
    calendars = _calendars(call, known, ids)
    if any(calendars.values()):
        return frozenset(one for one in ids if calendars[one] & wanted)
    if len({one.value for one in call.calendars}) == 1 and len(set(call.subscription_ids)) == 1:
        return frozenset(ids)
    told = "the calendars of these subscriptions are not known; send rokt:calendar_code as Braze holds it"
    raise InvalidPayload.of(FieldError("calendar_code", told))


def _calendars(call: CalendarCall, known: Known, ids: Iterable[str]) -> dict[str, set[str]]:
    """The calendars of each subscription, in one case of letters; none where they are not known.

    The ledger goes before the position: a calendar that stands beside one subscription may be meant as a choice.
    """
    by_position: dict[str, set[str]] = {}
    if len(call.calendars) == len(call.subscription_ids):
        for one, calendar in zip(call.subscription_ids, call.calendars, strict=True):
            by_position.setdefault(one, set()).add(calendar.value.casefold())
    found = {}
    for one in ids:
        told = {calendar.value.casefold() for calendar in call.calendars if calendar.is_of(one)}
        if not told and (calendar_code := known.calendar_of(one)):
            told = {calendar_code.casefold()}
        found[one] = told or by_position.get(one, set())
    return found


def _wanted_calendars(call: CalendarCall) -> tuple[str, ...]:
    if call.chosen_calendars is not None:
        return call.chosen_calendars
    return tuple(dict.fromkeys(one.value for one in call.calendars))


def _no_calendar(call: CalendarCall) -> str:
    return f"no subscription to the calendar {', '.join(_wanted_calendars(call))}"
