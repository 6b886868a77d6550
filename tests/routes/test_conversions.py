"""The fields of a conversion: what each may be, what it becomes for Rokt, and what is refused by its name."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.conversions.batches import batch_of
from bridge.errors import InvalidPayload
from bridge.routes.conversions import read

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADA = "ada@example.com"
HASH = hashlib.sha256(ADA.encode()).hexdigest()
OTHER_HASH = hashlib.sha256(b"bob@example.com").hexdigest()
WHOLE = {
    "email": ADA,
    "user_id": "u-1",
    "click_id": "click-9",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "mobile": "+1 (323) 867-5309",
    "ip_address": "172.3.51.182",
    "amount": 129.95,
    "currency": "USD",
    "quantity": 1,
    "conversion_type": "purchase",
    "product_name": "A shirt, “large”",
    "sku": "230847",
    "payment_type": "visa",
    "margin": 10,
    "transaction_id": "T-1",
    "confirmation_ref": "C-1",
    "event_time": "2026-11-21T10:00:00Z",
    "user_attributes": {"tier": "gold", "age": 36, "is_member": True},
    "attributes": {"coupon": "X", "items": 2},
}


def batch(**fields: Any) -> dict[str, Any]:
    """What is stored of a conversion with these fields, and an address."""
    call = read({"email": ADA} | fields, None, NOW)
    return batch_of(call.conversion)


def attributes(**fields: Any) -> Any:
    return batch(**fields)["events"][0]["data"]["custom_attributes"]


def refused(**fields: Any) -> dict[str, str]:
    """What is wrong, by its field."""
    with pytest.raises(InvalidPayload) as refusal:
        read({k: v for k, v in ({"email": ADA} | fields).items() if v is not ...}, None, NOW)
    return {error.field: error.message for error in refusal.value.errors}


def test_every_field_has_rokts_own_name() -> None:
    assert batch_of(read(WHOLE, None, NOW).conversion) == {
        "user_identities": {"email": ADA, "customerid": "u-1", "other2": "click-9"},
        "user_attributes": {
            "firstname": "Ada",
            "lastname": "Lovelace",
            "mobile": "+1 (323) 867-5309",
            "ipaddress": "172.3.51.182",
            "tier": "gold",
            "age": 36,
            "is_member": True,
        },
        "integration_attributes": {"1277": {"passbackconversiontrackingid": "click-9"}},
        "events": [
            {
                "event_type": "custom_event",
                "data": {
                    "event_name": "conversion",
                    "timestamp_unixtime_ms": 1_795_255_200_000,
                    "custom_attributes": {
                        "amount": 129.95,
                        "currency": "USD",
                        "quantity": 1,
                        "conversiontype": "purchase",
                        "productname": "A shirt, “large”",
                        "sku": "230847",
                        "paymenttype": "visa",
                        "margin": 10,
                        "transactionid": "T-1",
                        "confirmationref": "C-1",
                        "coupon": "X",
                        "items": 2,
                    },
                },
            }
        ],
    }


def test_what_braze_renders_as_blank_is_not_there() -> None:
    blank = dict.fromkeys((name for name in WHOLE if name != "email"), " ")

    assert batch(**blank) == batch() == batch(**dict.fromkeys(blank))


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = refused(email="nobody", amount="much", quantity=0, event_tme="now")

    assert list(found) == ["email", "amount", "quantity", "event_tme"]
    assert "did you mean event_time" in found["event_tme"]


class TestAddresses:
    @pytest.mark.parametrize("given", [ADA, " Ada@Example.COM ", "ada @example.com"])
    def test_an_address_leaves_as_rokt_compares_it(self, given: str) -> None:
        assert batch(email=given)["user_identities"] == {"email": ADA}

    @pytest.mark.parametrize("given", [ADA, " Ada@Example.COM "])
    @pytest.mark.parametrize("wanted", [True, "true", "1", 1])
    def test_it_is_hashed_if_that_is_wished(self, given: str, wanted: Any) -> None:
        assert batch(email=given, hash=wanted)["user_identities"] == {"other": HASH}

    @pytest.mark.parametrize("wanted", [False, "false", "", None, 0])
    def test_and_not_if_it_is_not(self, wanted: Any) -> None:
        assert batch(hash=wanted)["user_identities"] == {"email": ADA}

    @pytest.mark.parametrize("hashes", [True, False])
    @pytest.mark.parametrize("field", ["email", "email_sha256"])
    @pytest.mark.parametrize("given", [HASH, HASH.upper()])
    def test_what_is_hashed_is_never_hashed_twice(self, field: str, given: str, hashes: bool) -> None:
        fields = {"email": None, "hash": hashes, field: given}

        assert batch(**fields)["user_identities"] == {"other": HASH}

    def test_both_leave_where_both_are_given(self) -> None:
        assert batch(email_sha256=HASH)["user_identities"] == {"email": ADA, "other": HASH}
        assert batch(email_sha256=HASH, hash=True)["user_identities"] == {"other": HASH}

    @pytest.mark.parametrize("given", [ADA, "x", "1" * 63, "z" * 64])
    def test_nothing_but_a_hash_stands_where_a_hash_is_expected(self, given: str) -> None:
        assert list(refused(email=..., email_sha256=given)) == ["email_sha256"]

    def test_two_that_are_not_of_one_person_are_refused(self) -> None:
        assert list(refused(email_sha256=OTHER_HASH)) == ["email_sha256"]

    @pytest.mark.parametrize("given", [{}, {"user_id": "u-1", "click_id": "c"}, {"email_sha256": ""}])
    def test_rokt_needs_one_or_the_other(self, given: dict[str, Any]) -> None:
        found = refused(email=..., **given)

        assert list(found) == ["email"]
        assert "email_sha256" in found["email"]

    @pytest.mark.parametrize("given", ["perhaps", [], 2])
    def test_hash_is_yes_or_no(self, given: Any) -> None:
        assert list(refused(hash=given)) == ["hash"]

    def test_an_address_and_its_hash_are_one_user(self) -> None:
        known = {read(its, None, NOW).conversion.identity for its in ({"email": ADA}, {"email_sha256": HASH})}

        assert known == {HASH}


class TestNumbers:
    @pytest.mark.parametrize(
        ("given", "number"),
        [("20.00", 20.0), ("20", 20), (20, 20), (20.5, 20.5), (" 7.25 ", 7.25), ("-3", -3), (0, 0)],
    )
    @pytest.mark.parametrize("field", ["amount", "margin"])
    def test_a_text_is_taken_for_the_number_it_is(self, field: str, given: Any, number: float) -> None:
        found = attributes(**{field: given})[field]

        assert (found, type(found)) == (number, type(number))

    @pytest.mark.parametrize(
        "given", ["$20", "1,299.00", "12,5", "much", "1e5", "٣", True, [], {}, "1.", 1e300]
    )
    @pytest.mark.parametrize("field", ["amount", "margin", "quantity"])
    def test_nonsense_is_refused_and_never_turned_into_zero(self, field: str, given: Any) -> None:
        assert list(refused(**{field: given})) == [field]

    @pytest.mark.parametrize("given", [0, -1, "0", 1.5, "2.5"])
    def test_a_quantity_is_a_whole_number_above_zero(self, given: Any) -> None:
        assert list(refused(quantity=given)) == ["quantity"]

    @pytest.mark.parametrize(
        ("given", "has_sku"), [(1, True), ("1", True), (2, False), ("3", False), (2.0, False)]
    )
    def test_several_items_have_no_sku(self, given: Any, has_sku: bool) -> None:
        found = attributes(quantity=given, sku="230847")

        assert found["quantity"] == int(given)
        assert isinstance(found["quantity"], int)
        assert ("sku" in found) is has_sku


class TestTimes:
    @pytest.mark.parametrize(
        "given",
        [
            "2026-11-21T10:00:00Z",
            "2026-11-21T05:00:00-05:00",
            "2026-11-21T10:00",
            1_795_255_200,
            "1795255200",
            1_795_255_200_000,
        ],
    )
    def test_a_time_leaves_in_milliseconds(self, given: Any) -> None:
        assert batch(event_time=given)["events"][0]["data"]["timestamp_unixtime_ms"] == 1_795_255_200_000

    @pytest.mark.parametrize(
        ("at", "is_taken"),
        [
            (NOW + timedelta(minutes=5), True),
            (NOW + timedelta(minutes=5, seconds=1), False),
            (datetime(2025, 5, 22, 12, tzinfo=UTC), True),
            (datetime(2025, 5, 22, 11, 59, 59, tzinfo=UTC), False),
        ],
    )
    def test_rokts_window_is_eighteen_months_and_five_minutes(self, at: datetime, is_taken: bool) -> None:
        if is_taken:
            assert batch(event_time=at.isoformat())
        else:
            assert list(refused(event_time=at.isoformat())) == ["event_time"]

    @pytest.mark.parametrize("given", ["yesterday", True, [], "12", 1.5])
    def test_what_is_no_time_is_refused(self, given: Any) -> None:
        assert list(refused(event_time=given)) == ["event_time"]


class TestFurther:
    @pytest.mark.parametrize("field", ["user_attributes", "attributes"])
    @pytest.mark.parametrize("value", [[1], {"a": 1}, "x" * 4_097, 10**18, "{{ name }}"], ids=str)
    def test_only_single_values_are_taken(self, field: str, value: Any) -> None:
        assert list(refused(**{field: {"good": 1, "bad": value}})) == [f"{field}.bad"]

    @pytest.mark.parametrize("field", ["user_attributes", "attributes"])
    def test_a_name_has_256_characters_at_most(self, field: str) -> None:
        assert attributes(attributes={"n" * 256: 1}) == {"n" * 256: 1}
        assert "256" in next(iter(refused(**{field: {"n" * 257: 1}}).values()))

    @pytest.mark.parametrize(
        ("field", "name", "own"),
        [("attributes", "amount", "amount"), ("attributes", "ConversionType", "conversion_type")],
    )
    def test_what_has_a_field_of_its_own_stands_there(self, field: str, name: str, own: str) -> None:
        assert own in refused(**{field: {name: "x"}})[f"{field}.{name}"]

    def test_a_user_has_a_hundred_attributes_at_most(self) -> None:
        ninety_nine = {f"a{n}": n for n in range(99)}

        assert len(batch(first_name="Ada", user_attributes=ninety_nine)["user_attributes"]) == 100
        assert list(refused(first_name="A", last_name="L", user_attributes=ninety_nine)) == [
            "user_attributes"
        ]

    def test_a_value_has_4096_characters_at_most(self) -> None:
        assert attributes(product_name="ü" * 4_096)["productname"] == "ü" * 4_096
        assert list(refused(product_name="x" * 4_097)) == ["product_name"]

    def test_a_batch_has_128_kb_at_most_before_anything_is_stored(self) -> None:
        heavy = {f"a{n}": "x" * 4_000 for n in range(31)}

        assert batch(attributes=heavy)
        assert "128,000" in refused(attributes=heavy | {"one": "x" * 4_000})[""]

    @pytest.mark.parametrize("given", ["text", [], 7])
    def test_what_holds_names_is_an_object(self, given: Any) -> None:
        assert list(refused(attributes=given)) == ["attributes"]


@pytest.mark.parametrize("field", ["transaction_id", "sku", "user_id", "mobile"])
def test_a_number_where_an_id_is_expected_is_its_digits(field: str) -> None:
    assert f'"{4711}"' in str(batch(**{field: 4711})).replace("'", '"')


def test_several_of_different_items_of_one_order_are_different_conversions() -> None:
    one, other = (
        read({"email": ADA, "transaction_id": "T-1", "quantity": 2, "sku": sku}, None, NOW) for sku in "12"
    )

    assert one.conversion.known_by != other.conversion.known_by
    assert "sku" not in one.conversion.told
