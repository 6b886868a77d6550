"""Looks up the accounts of subscriptions for many requests at once: a query for each costs an eighth of its time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bridge.database import Database
from bridge.errors import DatabaseUnavailable
from bridge.groups import Groups, TookTooLong
from bridge.ledger import events

CALLER_WAITS = 5.0  # seconds


class AccountLookUp:
    """The account of each subscription that was reached before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._groups = Groups("accounts", self._look_up, lambda ids: (len(ids),))

    def __call__(self, subscription_ids: Collection[str]) -> Mapping[str, str]:
        """Errors: DatabaseUnavailable after five seconds, and the database's own."""
        try:
            return self._groups.ask(subscription_ids, CALLER_WAITS)
        except TookTooLong as late:
            raise DatabaseUnavailable("The database took too long; please send this again.") from late

    def close(self) -> None:
        self._groups.close()

    def _look_up(self, group: Sequence[Collection[str]]) -> Sequence[Mapping[str, str]]:
        with self._database.read() as connection:
            found = events.accounts_of(connection, {one for ids in group for one in ids})
        return [{one: found[one] for one in ids if one in found} for ids in group]
