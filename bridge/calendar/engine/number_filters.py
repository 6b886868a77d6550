"""Filters on numbers: exact decimals, and a text that is no number is refused."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from bridge.calendar.engine.budget import MAX_NUMBER
from bridge.calendar.engine.faults import Refusal
from bridge.calendar.engine.values import as_number, as_text, as_whole


def number(value: object, decimals: object = None, thousands: str = ",", point: str = ".") -> str:
    """`1,249.5`; `number(2)` prints 1,249.50; `number(2, thousands=".", point=",")` prints 1.249,50."""
    given = as_number(value)
    plain = as_text(given) if decimals is None else as_text_with(given, as_whole(decimals))
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    whole, _, fraction = digits.partition(".")
    grouped = f"{int(whole):,}".replace(",", thousands)
    return sign + grouped + (point + fraction if fraction else "")


def money(value: object, currency: object) -> str:
    """`$1,249.50` for `money("USD")`, `CHF 1,249.50` for a currency without a sign; or a sign, `money("€")`."""
    code = as_text(currency).strip()
    if len(code) == 3 and code.isascii() and code.isalpha():
        sign, decimals = _SIGNS.get(code.upper(), code.upper() + " "), _DECIMALS.get(code.upper(), 2)
    elif 0 < len(code) <= 4 and not any(c.isdigit() for c in code):
        sign, decimals = code, 2
    else:
        raise Refusal(f'"{code[:40]}" is no currency: write its three letters, such as EUR')
    plain = number(value, decimals)
    return f"-{sign}{plain[1:]}" if plain.startswith("-") else sign + plain


def plural(value: object, one: object, many: object = None) -> str:
    """The word that fits the number: `3 | plural("day")` is days, `1 | plural("person", "people")` is person."""
    word = as_text(one)
    return word if as_number(value) == 1 else f"{word}s" if many is None else as_text(many)


def times(value: object, factor: object) -> int | Decimal:
    """The product of two numbers."""
    return as_number(value) * as_number(factor)


def divided_by(value: object, divisor: object) -> Decimal:
    """The quotient of two numbers, not rounded."""
    return Decimal(as_number(value)) / as_number(divisor)


def modulo(value: object, divisor: object) -> int | Decimal:
    """What a division leaves."""
    return as_number(value) % as_number(divisor)


def rounded(value: object, decimals: object = 0, method: str = "common") -> int | Decimal:
    """To whole numbers, or to `decimals`; method "ceil" always up, "floor" always down."""
    if method not in _METHODS:
        raise Refusal('round knows the methods "common", "ceil" and "floor"')
    return _round(value, as_whole(decimals), _METHODS[method])


def ceil(value: object) -> int | Decimal:
    """Up to the next whole number."""
    return _round(value, 0, ROUND_CEILING)


def floor(value: object) -> int | Decimal:
    """Down to the next whole number."""
    return _round(value, 0, ROUND_FLOOR)


def absolute(value: object) -> int | Decimal:
    """Without its minus."""
    given = as_number(value)
    return -given if given < 0 else given


def at_least(value: object, least: object) -> int | Decimal:
    """The number, or `least` if that is larger."""
    return max(as_number(value), as_number(least))


def at_most(value: object, most: object) -> int | Decimal:
    """The number, or `most` if that is smaller."""
    return min(as_number(value), as_number(most))


def as_text_with(value: int | Decimal, decimals: int) -> str:
    """A number with exactly so many decimals."""
    return format(_quantized(value, decimals, ROUND_HALF_UP), "f")


_METHODS = {"common": ROUND_HALF_UP, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR}
# ISO 4217: decimals where they are not two.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_DECIMALS = dict.fromkeys(_NO_DECIMALS.split(), 0) | dict.fromkeys(_THREE_DECIMALS.split(), 3)
_SIGNS = {
    "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "AUD": "A$", "CAD": "C$", "NZD": "NZ$", "HKD": "HK$",
    "SGD": "S$", "INR": "₹", "BRL": "R$", "MXN": "MX$", "KRW": "₩", "ILS": "₪", "VND": "₫", "PHP": "₱",
    "TRY": "₺", "UAH": "₴", "NGN": "₦",
}  # fmt: skip


def _round(value: object, decimals: int, method: str) -> int | Decimal:
    result = _quantized(as_number(value), decimals, method)
    return int(result) if decimals <= 0 else result


def _quantized(value: int | Decimal, decimals: int, method: str) -> Decimal:
    if not -18 <= decimals <= 18:
        raise Refusal(f"{decimals} decimals are too many")
    if not -MAX_NUMBER // 10**8 < value < MAX_NUMBER // 10**8:
        decimals = min(decimals, 8)
    return Decimal(value).quantize(Decimal(1).scaleb(-decimals), rounding=method)
