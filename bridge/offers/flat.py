"""The first offer of Rokt's answer, flat, so that Liquid can use it; Rokt writes its names in both cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Flat = dict[str, str | None]


def first_offer(answer: Mapping[str, Any]) -> Flat | None:
    """The offer of the first slot that has one to show; None if there is none. What an offer has not is None."""
    for slot in _slots(answer):
        offer = _of(slot, "offer")
        creative = _of(offer, "creative")
        if isinstance(creative, Mapping) and any((flat := _flat(creative)).values()):
            return flat
    return None


def _slots(answer: Mapping[str, Any]) -> Iterator[Any]:
    for layout in _items(_of(answer, "plugins")):
        yield from _items(_of(_of(_of(layout, "plugin"), "config"), "slots"))


def _flat(creative: Mapping[str, Any]) -> Flat:
    copy = _of(creative, "copy")
    yes, no = _answers(_of(creative, "responseOptionsMap"))
    links = _of(creative, "links")
    advertiser = _of(creative, "advertiser")
    return {
        "title": _text(copy, "creative.title", "title"),
        "copy": _text(copy, "creative.copy", "copy"),
        "yes_label": _text(yes, "longLabel", "label", "shortLabel"),
        "yes_url": _address(yes, "url"),
        "no_label": _text(no, "longLabel", "label", "shortLabel"),
        "terms_url": _address(_of(links, "termsAndConditions"), "url"),
        "image_url": _first_image(_of(creative, "images")),
        "advertiser": _text(advertiser, "brand", "name"),
    }


def _answers(options: object) -> tuple[object, object]:
    """Yes and no, by what the options say of themselves, else by their names."""
    named = list(options.items()) if isinstance(options, Mapping) else [("", one) for one in _items(options)]
    found: dict[bool, object] = {}
    for name, option in named:
        is_positive = _of(option, "isPositive")
        if not isinstance(is_positive, bool):
            is_positive = {"positive": True, "negative": False}.get(str(name).lower())
        if is_positive is not None:
            found.setdefault(is_positive, option)
    return found.get(True), found.get(False)


def _first_image(images: object) -> str | None:
    found = images.values() if isinstance(images, Mapping) else _items(images)
    addresses = (_address(image, "url", "src", "light", "dark") for image in found)
    return next((address for address in addresses if address), None)


def _address(holder: object, *names: str) -> str | None:
    """Of the web: what stands in a message is pressed by people."""
    text = holder.strip() if isinstance(holder, str) else _text(holder, *names)
    return text if text and text.lower().startswith(("https://", "http://")) else None


def _text(holder: object, *names: str) -> str | None:
    """The first of the names that holds a text."""
    for name in names:
        value = _of(holder, name)
        if isinstance(value, str) and value.strip():
            return value
    return None


def _of(holder: object, name: str) -> Any:
    """A field by its name in any case of letters."""
    if not isinstance(holder, Mapping):
        return None
    if name in holder:
        return holder[name]
    lowered = name.lower()
    return next((value for key, value in holder.items() if key.lower() == lowered), None)


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
