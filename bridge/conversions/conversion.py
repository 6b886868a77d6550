"""A conversion: who did it, what Rokt is told of it, and by what it is known again. In Rokt's own names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bridge.hashing import hashed

Scalar = str | int | float | bool

# Our names and Rokt's, which are written together in lower case.
USER_ATTRIBUTES = {
    "first_name": "firstname",
    "last_name": "lastname",
    "mobile": "mobile",
    "ip_address": "ipaddress",
}
ATTRIBUTES = {
    "amount": "amount",
    "currency": "currency",
    "quantity": "quantity",
    "conversion_type": "conversiontype",
    "product_name": "productname",
    "sku": "sku",
    "payment_type": "paymenttype",
    "margin": "margin",
    "transaction_id": "transactionid",
    "confirmation_ref": "confirmationref",
}
CONFIRMATION_REF = "confirmationref"  # by which Rokt tells one conversion from another

_SEVERAL = re.compile(r"0*([2-9]|[1-9][0-9]+)(\.0*)?")


@dataclass(frozen=True)
class Conversion:
    """`email_sha256`: of the address in lower case without white space. `click_id`: Rokt's own, of the click that led
    to it. `user_attributes`, `attributes`: by Rokt's names, then whatever else the caller wants told.
    """

    email: str | None = None
    email_sha256: str | None = None
    user_id: str | None = None
    click_id: str | None = None
    user_attributes: Mapping[str, Scalar] = field(default_factory=dict)
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    occurred_at: datetime | None = None

    @property
    def identity(self) -> str:
        """Of its user, the same for an address and its hash; "" when nothing tells."""
        if self.email:
            return hashed(self.email) or self.email
        if self.email_sha256:
            return self.email_sha256
        known = (("user", self.user_id), ("click", self.click_id))
        return next((f"{kind}:{its_id}" for kind, its_id in known if its_id), "")

    @property
    def told(self) -> dict[str, Scalar]:
        """The attributes that leave: "If more than one item is present, do not provide any SKUs"."""
        is_of_many = _SEVERAL.fullmatch(str(self.attributes.get("quantity", "")).strip())
        return {name: its for name, its in self.attributes.items() if name != "sku" or not is_of_many}

    @property
    def confirmation_ref(self) -> str:
        return str(self.attributes.get(CONFIRMATION_REF, ""))

    @property
    def event_id(self) -> str:
        """What tells it from another conversion of its user, as far as the caller says; "" when nothing does."""
        if self.confirmation_ref:
            return self.confirmation_ref
        names = (self.attributes.get(name) for name in ("transactionid", "sku"))
        return "/".join(str(one) for one in names if one) if self.attributes.get("transactionid") else ""

    @property
    def known_by(self) -> tuple[str, ...]:
        """What makes another one a repeat of it: nothing, where it names no reference and no transaction."""
        if self.confirmation_ref:
            return ("ref", self.confirmation_ref)
        if not self.attributes.get("transactionid"):
            return ()
        names = ("transactionid", "conversiontype", "sku")
        return ("transaction", *(str(self.attributes.get(name, "")) for name in names), self.identity)
