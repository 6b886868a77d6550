"""What is read of a line, however long it is."""

from __future__ import annotations

from factories import a_message, line_with, title_of
from outbox.steps import Outbox

from bridge.message import NewMessage
from bridge.outbox import reading
from bridge.outbox.enqueue import line_of


def accepted(outbox: Outbox, count: int) -> NewMessage:
    """The last of so many in one line; another line stands among them."""
    [*firsts, last] = line_with(count)
    outbox.accept(*firsts, a_message(user_id="somebody else"), last)
    return last


def test_a_line_is_read_in_its_order_over_many_pages(outbox: Outbox) -> None:
    last = accepted(outbox, 2 * reading.MOST_LISTED + 1)

    with outbox.database.read() as connection:
        titles = [title_of(request) for _, request in reading.waiting_in(connection, line_of(last))]

    assert titles == [f"Sale {n}" for n in range(1, 2 * reading.MOST_LISTED + 2)]


def test_the_last_word_of_a_line_is_read_alone(outbox: Outbox) -> None:
    last = accepted(outbox, 3)

    with outbox.database.read() as connection:
        word = reading.last_waiting_in(connection, line_of(last))
        nothing = reading.last_waiting_in(connection, 1)

    assert word is not None
    assert (word[0], title_of(word[1]), nothing) == ("create", "Sale 3", None)
