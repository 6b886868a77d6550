"""What a template's messages were of late, on both engines."""

from __future__ import annotations

from web.running import Starter, sale

from bridge.database import clock
from bridge.outbox.by_template import counts_since, newest_of, newest_of_user
from bridge.routes.calendar_messages import DESTINATION


def test_counts_say_where_they_end_and_leave_tests_and_others_out(start_on_both: Starter) -> None:
    bridge = start_on_both()
    for number in range(5):
        bridge.accept(sale(user_id=f"u{number}"))
    with bridge.database.read() as connection:
        since = clock(connection).replace(year=2020)

        cut = counts_since(connection, DESTINATION, since, most=3)
        whole = counts_since(connection, DESTINATION, since, most=5)
        none = counts_since(connection, "braze", since)
        later = counts_since(connection, DESTINATION, clock(connection).replace(year=2090))

    assert (cut.by_template, cut.most) == ({"flash_sale": {"accepted": 3}}, 3)
    assert (whole.by_template, whole.most) == ({"flash_sale": {"accepted": 5}}, None)
    assert none.by_template == later.by_template == {}


def test_a_templates_newest_messages_are_found_among_the_newest_of_all(start_on_both: Starter) -> None:
    bridge = start_on_both()
    first = bridge.accept(sale()).id
    second = bridge.accept(sale(user_id="u2")).id
    bill = {"invoice_id": "1", "amount": "5", "due": "2090-12-01"}
    bridge.accept(sale(template="bill_due", variables=bill))

    with bridge.database.read() as connection:
        found = newest_of(connection, DESTINATION, "flash_sale", 5)
        fewer = newest_of(connection, DESTINATION, "flash_sale", 1)
        cut = newest_of(connection, DESTINATION, "flash_sale", 5, most=2)
        its = newest_of_user(connection, "u1", "flash_sale")
        anything = newest_of_user(connection, "u1", None)
        nobody = newest_of_user(connection, "nobody", None)

    assert [one.id for one in found] == [second, first]
    assert [one.id for one in fewer] == [one.id for one in cut] == [second]
    assert its is not None
    assert its.id == first
    assert anything is not None
    assert anything.id != first
    assert nobody is None
