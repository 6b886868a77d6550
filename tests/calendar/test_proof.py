"""The proof of a template: what would be refused, and what would look wrong in somebody's calendar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.calendar.previews import Previews
from bridge.calendar.proof import Finding, proof, width

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHIPPED = {path.stem: path.read_text("utf-8") for path in Path("templates").glob("*.jinja")}
HEAD = """{#
A sale.

sale_id    required         e.g. winter26
starts     required, time   e.g. 2026-12-04T09:00
first_name default ""       e.g. Ada
greeting   default "there"  e.g. you
vip        yes/no, default no
#}
"""
BLOCKS = {
    "event_id": "sale_{{ sale_id }}",
    "title": "A sale for {{ first_name }}",
    "start": "{{ starts }}",
    "timezone": "Europe/Berlin",
    "description": "Hello {{ greeting }}{% if vip %}!{% endif %}",
}


@pytest.fixture(scope="module")
def previews() -> Iterator[Previews]:
    previews = Previews()
    yield previews
    previews.close()


@pytest.fixture
def found(previews: Previews) -> Any:
    """The findings of a template with these blocks."""

    def find(
        payloads: list[Mapping[str, Any]] | None = None, head: str = HEAD, **blocks: str
    ) -> list[Finding]:
        written = "".join(
            f"{{% block {name} %}}{body}{{% endblock %}}\n" for name, body in (BLOCKS | blocks).items()
        )
        sources = {"one": head + written}
        cases, given = previews.branches("one", sources, NOW), payloads or []
        findings = proof("one", sources, cases, given, NOW, previews.shape("one", sources))
        assert proof("one", sources, cases, given, NOW) == findings
        return findings

    return find


def payloads(count: int = 10, **values: Any) -> list[dict[str, Any]]:
    """Callables get the number of the payload."""
    sound: dict[str, Any] = {
        "sale_id": lambda n: f"sale-{n}",
        "starts": lambda n: f"2026-12-{n + 1:02}T09:00",
        "first_name": "Ada",
        "greeting": "you",
        "vip": "no",
    }
    return [
        {name: value(n) if callable(value) else value for name, value in {**sound, **values}.items()}
        for n in range(count)
    ]


def codes(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.level, one.field, one.code) for one in findings]


def test_a_sound_template_gives_no_finding(found: Any) -> None:
    assert found(payloads()) == []


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_no_shipped_template_is_refused(previews: Previews, name: str) -> None:
    findings = proof(name, SHIPPED, previews.branches(name, SHIPPED, NOW), [], NOW)

    assert [one for one in findings if one.level == "refuse"] == []


# What is refused


@pytest.mark.parametrize(
    ("blocks", "field", "words"),
    [
        ({"start": "2027-03-28T02:30"}, "start", "the clocks skip it"),
        ({"end": "{{ starts | minus(hours=1) }}"}, "end", "before the start"),
        ({"notify_before": "soon"}, "notify_before", "whole number of minutes"),
        ({"title": "{{ first_name | uper }}"}, "title", 'did you mean "upper"?'),
        ({"title": "{{ first_name"}, "title", "a tag is not closed"),
        ({"expires": "never"}, "expires", "is not a time"),
    ],
)
def test_what_would_die_with_the_examples_is_refused(
    found: Any, blocks: dict[str, str], field: str, words: str
) -> None:
    finding = found(**blocks)[0]

    assert (finding.level, finding.field) == ("refuse", field)
    assert words in finding.words
    assert finding.line == [*BLOCKS, *blocks].index(field) + HEAD.count("\n") + 1


@pytest.mark.parametrize("event_id", ["sale", "sale_{{ 'x' * 1 if 0 else 1 }}"])
def test_an_event_id_that_is_the_same_whatever_the_time_is_refused(found: Any, event_id: str) -> None:
    [finding] = found(event_id=event_id)

    assert (finding.level, finding.field, finding.code) == ("refuse", "event_id", "event_id constant")
    assert "sale_{{ sale_id }}" in finding.words


def test_one_event_that_everybody_gets_is_only_warned_of(found: Any) -> None:
    head = "{# One event.\n\nfirst_name required e.g. Ada #}\n"

    findings = found(head=head, event_id="sale", title="x", start="2027-01-05T10:00", end="2027-01-05T11:00")

    [finding] = [one for one in findings if one.field == "event_id"]
    assert codes([finding]) == [("warn", "event_id", "event_id constant")]
    assert "right for one event that everybody gets" in finding.words


def test_an_event_id_by_a_variable_that_is_set_from_another_is_none(found: Any) -> None:
    assert found(head=HEAD + "{% set id = sale_id | lower %}\n", event_id="{{ id }}") == []


# What is warned of


def test_what_breaks_with_other_values_is_warned_of_and_says_with_which(found: Any) -> None:
    [finding] = found(title="{{ first_name }}")

    assert codes([finding]) == [("warn", "title", "no title")]
    assert finding.words == 'with first_name blank: the block "title" printed nothing'


def test_an_event_id_with_now_adds_an_event_each_time(found: Any) -> None:
    assert codes(found(event_id="{{ sale_id }}{{ now | date('%s') }}")) == [
        ("warn", "event_id", "event_id holds now")
    ]


def test_an_event_id_of_what_may_be_blank_is_warned_of(found: Any) -> None:
    [finding] = found(event_id="e_{{ first_name }}")

    assert codes([finding]) == [("warn", "event_id", "event_id may be blank")]
    assert "first_name" in finding.words


def test_an_event_id_that_never_differed_while_the_times_did_is_warned_of(found: Any) -> None:
    [finding] = found(payloads(sale_id="winter26"))

    assert codes([finding]) == [("warn", "event_id", "event_id never differs")]
    assert "sale_id was always the same while starts differed" in finding.words
    assert found(payloads(sale_id="winter26", starts="2026-12-04T09:00")) == []


def test_an_hour_that_exists_twice_is_warned_of(found: Any) -> None:
    findings = found(start="2027-10-31T02:30", end="2027-10-31T09:00", notify_before="none")

    assert codes(findings) == [("warn", "start", "doubled hour")]
    assert "exists twice" in findings[0].words


def test_a_start_that_is_past_is_warned_of(found: Any) -> None:
    [finding] = found(start="2026-10-01T09:00")

    assert codes([finding]) == [("warn", "start", "past start")]
    assert "2026-10-01 09:00" in finding.words


def test_a_time_that_was_made_up_for_a_condition_is_nobodys_mistake(found: Any) -> None:
    text = "{% if starts < now %}over{% endif %}{% if starts.hour >= 20 %}late{% endif %}"

    assert found(description=text) == []


@pytest.mark.parametrize(
    ("start", "minutes", "is_at_night"),
    [
        ("09:00", "15", False),
        ("07:00", "0", False),
        ("07:00", "1", True),
        ("22:00", "0", True),
        ("22:00", "1", False),
        ("09:00", "600", True),
        ("23:00", "none", False),
    ],
)
def test_a_reminder_at_night_where_the_event_is_is_warned_of(
    found: Any, start: str, minutes: str, is_at_night: bool
) -> None:
    findings = found(start=f"2026-12-04T{start}", notify_before=minutes, timezone="Asia/Tokyo")

    expected = [("warn", "notify_before", "reminder at night")] if is_at_night else []
    assert codes(findings) == expected


def test_a_title_that_a_lock_screen_cuts_is_warned_of(found: Any) -> None:
    assert found(title="x" * 50) == []
    assert codes(found(title="x" * 51)) == [("warn", "title", "long title")]
    assert codes(found(title="⚡" + "x" * 49)) == [("warn", "title", "long title")]


def test_the_case_in_which_a_title_is_long_is_told(found: Any) -> None:
    [finding] = found(title="{% if vip %}" + "x" * 60 + "{% else %}short{% endif %}")

    assert finding.words.startswith("with vip = yes: the title is 60 letters wide")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abc", 3), ("⚡", 2), ("日本", 4), ("e\u0301", 1), ("\u200d", 0), ("☎\ufe0f", 1), ("", 0)],
)
def test_the_width_of_a_text_is_what_a_screen_needs(text: str, expected: int) -> None:
    assert width(text) == expected


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('{{ "https://www.example.com/a" | link(campaign=sale_id) }}', []),
        ("https://www.example.com/a?utm_source=x", []),
        ("https://www.example.com/a", ["no UTM"]),
        ('{{ "http://www.example.com/a" | link(campaign=sale_id) }}', ["no https"]),
        ("See www.example.com.", ["no UTM", "no https"]),
        ("(https://[bad)", ["no UTM"]),
    ],
)
def test_a_link_that_is_not_counted_or_not_safe_is_warned_of(
    found: Any, link: str, expected: list[str]
) -> None:
    findings = found(description=f"\nHello {{{{ greeting }}}}\n{link}\n")

    assert sorted(code for _, _, code in codes(findings)) == expected
    assert {one.line for one in findings} <= {HEAD.count("\n") + 7}


def test_each_link_is_told_once_however_many_cases_show_it(found: Any) -> None:
    findings = found(description="{% if vip %}x{% endif %}https://a.example https://b.example")

    assert len(findings) == 2


def test_a_variable_that_is_often_blank_is_named(found: Any) -> None:
    findings = found(
        payloads(first_name=lambda n: "" if n < 4 else "Ada", greeting=lambda n: "" if n < 3 else "you")
    )

    assert codes(findings) == [("warn", "variables.first_name", "often blank")]
    assert (
        findings[0].words == "first_name was blank in 4 of the last 10 requests: look at the event without it"
    )
    assert findings[0].line == 6


def test_the_default_that_stands_in_is_named(found: Any) -> None:
    [finding] = found(payloads(greeting=None))

    assert 'its default "there" stands in' in finding.words


def test_a_required_variable_that_was_blank_once_is_named(found: Any) -> None:
    [finding] = found(payloads(sale_id=lambda n: f"s{n}" if n else " "))

    assert codes([finding]) == [("warn", "variables.sale_id", "often blank")]
    assert "they would be refused" in finding.words


def test_what_running_campaigns_send_and_the_template_no_longer_knows_is_named(found: Any) -> None:
    [finding] = found(payloads(discount="50"))

    assert codes([finding]) == [("warn", "variables.discount", "unknown variable")]
    assert '10 of the last 10 requests sent "discount"' in finding.words


def test_of_few_payloads_nothing_is_concluded(found: Any) -> None:
    assert found(payloads(4, first_name="", sale_id="x")) == []


def test_a_name_that_is_not_declared_is_told_with_its_field(found: Any) -> None:
    findings = found(title="{{ first_nam }} {{ greting }}")

    assert codes(findings) == [("warn", "title", "undeclared")] * 2
    assert 'did you mean "first_name"?' in findings[0].words


def test_of_a_shared_piece_its_mistakes_are_told() -> None:
    sources = {"_base": "{% block titel %}{% endblock %}"}

    [finding] = proof("_base", sources, [], [], NOW)

    assert (finding.level, finding.code, finding.line) == ("refuse", "unknown block", 1)
    assert proof("_brand", SHIPPED, [], [], NOW) == []


def test_what_must_not_be_published_comes_first(found: Any) -> None:
    levels = [one.level for one in found(title="x" * 60, event_id="same", end="2020-01-01T00:00")]

    assert levels == sorted(levels)
    assert {"refuse", "warn"} >= set(levels)
    assert levels[0] == "refuse"
