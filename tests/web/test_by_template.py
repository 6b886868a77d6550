"""A template's latest messages, on both engines."""

from __future__ import annotations

from web.running import Starter, sale

from bridge.outbox.by_template import newest_of, newest_of_user
from bridge.routes.calendar_messages import DESTINATION


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
