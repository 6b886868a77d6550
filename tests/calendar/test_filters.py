from __future__ import annotations

import inspect
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.calendar.engine import Template, TemplateFault, compile_template
from bridge.calendar.engine.filters import FILTERS, INSTEAD, TESTS
from bridge.calendar.engine.text_filters import shorten

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FRAME = """{#
One filter at a time.

x     text
n     number
at    default 2026-12-04T09:00, time
due   default 2026-12-15, day
zone  default "Europe/Berlin"
#}
{% block event_id %}e{% endblock %}
{% block title %}t{% endblock %}
{% block start %}2026-12-04T09:00{% endblock %}
{% block timezone %}{{ zone }}{% endblock %}
{% block description %}{{ @@ }}{% endblock %}
"""


def compiled(expression: str) -> Template:
    return compile_template("one", {"one": FRAME.replace("@@", expression)})


def show(expression: str, **variables: object) -> str:
    return compiled(expression).render(variables, NOW).fields["description"]


def refusal(expression: str, **variables: object) -> TemplateFault:
    with pytest.raises(TemplateFault) as refused:
        show(expression, **variables)
    return refused.value


class TestTimes:
    @pytest.mark.parametrize(
        ("start", "expression", "expected"),
        [
            # Berlin's clocks go forward on 2027-03-28 at 02:00 and back on 2026-10-25 at 03:00.
            ("2027-03-27T09:00", "at | plus(days=1)", "2027-03-28T09:00:00+02:00"),
            ("2027-03-27T09:00", "at | plus(hours=24)", "2027-03-28T10:00:00+02:00"),
            ("2026-10-24T09:00", "at | plus(days=1)", "2026-10-25T09:00:00+01:00"),
            ("2026-10-24T09:00", "at | plus(hours=24)", "2026-10-25T08:00:00+01:00"),
            ("2026-10-25T01:30", "at | plus(hours=1)", "2026-10-25T02:30:00+02:00"),
            ("2026-10-25T01:30", "at | plus(hours=2)", "2026-10-25T02:30:00+01:00"),
            ("2026-10-25T01:30", "at | plus(minutes=90)", "2026-10-25T02:00:00+01:00"),
            ("2026-12-04T09:00", "at | minus(weeks=1, hours=2, minutes=30)", "2026-11-27T06:30:00+01:00"),
            ("2026-12-04T09:00", "at | plus(hours=1.5)", "2026-12-04T10:30:00+01:00"),
            ("2026-12-04T09:00", "at | minus(hours=0)", "2026-12-04T09:00:00+01:00"),
            ("2026-12-04T09:00", 'at | at("18:30")', "2026-12-04T18:30:00+01:00"),
            ("2026-12-04T09:00", 'at | at("7:05")', "2026-12-04T07:05:00+01:00"),
            ("2026-12-04T09:00", 'at | in_zone("America/New_York")', "2026-12-04T03:00:00-05:00"),
            (
                "2026-12-04T01:00",
                'at | in_zone("America/New_York") | at("09:00")',
                "2026-12-03T09:00:00-05:00",
            ),
            ("2026-12-04T09:00", "at | day", "2026-12-04"),
            ("2026-12-04T09:00", '"2026-12-24T18:00" | time', "2026-12-24T18:00:00+01:00"),
            ("2026-12-04T09:00", '"2026-12-24T18:00" | minus(hours=1)', "2026-12-24T17:00:00+01:00"),
            ("2026-12-04T09:00", "at.hour ~ ':' ~ at.minute", "9:0"),
            ("2026-12-04T09:00", "due | plus(days=3)", "2026-12-18"),
            ("2026-12-04T09:00", 'due | at("09:00") | minus(hours=15)', "2026-12-14T18:00:00+01:00"),
            ("2026-12-04T09:00", "now | date('%H:%M')", "13:00"),
        ],
    )
    def test_days_keep_the_clock_and_hours_are_elapsed_time(
        self, start: str, expression: str, expected: str
    ) -> None:
        assert show(expression, at=start) == expected

    @pytest.mark.parametrize(
        ("start", "expression"),
        [
            ("2027-03-27T02:30", "at | plus(days=1)"),
            ("2027-03-29T02:30", "at | minus(days=1)"),
            ("2027-03-28T09:00", 'at | at("02:30")'),
        ],
    )
    def test_a_result_that_the_clocks_skip_is_named(self, start: str, expression: str) -> None:
        refused = refusal(expression, at=start)

        assert "2027-03-28T02:30 does not exist in Europe/Berlin" in str(refused)
        assert (refused.field, refused.line) == ("description", 14)

    def test_times_compare_by_instant(self) -> None:
        first, second = "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00"

        assert show("at < (x | time)", at=first, x=second) == "yes"
        assert show("at == (x | time)", at="2026-12-04T09:00", x="2026-12-04T08:00Z") == "yes"
        assert show("[x | time, at] | min == at", at=first, x=second) == "yes"
        assert show('at == at | in_zone("Asia/Tokyo")') == "yes"

    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ("%A %-d %B, %H:%M", "Friday 4 December, 09:05"),
            ("%a %d %b %y", "Fri 04 Dec 26"),
            ("%e|%_d|%-m|%m", " 4| 4|12|12"),
            ("%I:%M %p|%l%P|%-I", "09:05 AM| 9am|9"),
            ("%F %T %R %D", "2026-12-04 09:05:00 09:05 12/04/26"),
            ("%j %U %W %V %u %w %G", "338 48 48 49 5 5 2026"),
            ("%z %:z %Z %s", "+0100 +01:00 CET 1796371500"),
            ("%^a %% %Y", "FRI % 2026"),
            ("100%% off", "100% off"),
            ("no code", "no code"),
        ],
    )
    def test_a_date_is_written_by_strftimes_codes(self, form: str, expected: str) -> None:
        assert show(f'"<" ~ (at | date("{form}")) ~ ">"', at="2026-12-04T09:05") == f"<{expected}>"

    @given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)))  # noqa: DTZ001 - a wall time
    def test_every_code_prints_what_python_prints(self, wall: datetime) -> None:
        codes = "%A %a %B %b %d %H %I %j %M %m %p %S %U %W %w %Y %y %G %V %u %F %T %R %D %h %C"

        assert DATED.render({"at": wall.isoformat()}, NOW).fields["description"] == wall.strftime(codes)

    @pytest.mark.parametrize("form", ["%Q", "%", "%-", "%E", "%:H"])
    def test_an_unknown_code_is_refused(self, form: str) -> None:
        assert refusal(f'at | date("{form}")').cause == "wrong value"

    def test_a_day_has_no_offset(self) -> None:
        assert "%z" in str(refusal('due | date("%z")'))


DATED = compile_template(
    "dated",
    {
        "dated": FRAME.replace(
            "{{ @@ }}",
            '{{ at | date("%A %a %B %b %d %H %I %j %M %m %p %S %U %W %w %Y %y %G %V %u %F %T %R %D %h %C") }}',
        ).replace("Europe/Berlin", "UTC")
    },
)


class TestNumbers:
    @pytest.mark.parametrize(
        ("given", "expression", "expected"),
        [
            ("1249.5", "n | number", "1,249.5"),
            ("1249.5", "n | number(2)", "1,249.50"),
            ("1249.5", "n | number(0)", "1,250"),
            ("-1249.5", "n | number(2)", "-1,249.50"),
            ("1249.5", 'n | number(2, thousands=".", point=",")', "1.249,50"),
            ("0", "n | number", "0"),
            ("1249.5", 'n | money("USD")', "$1,249.50"),
            ("1249.5", 'n | money("eur")', "€1,249.50"),
            ("1249.5", 'n | money("CHF")', "CHF 1,249.50"),
            ("1249.5", 'n | money("JPY")', "¥1,250"),
            ("1249.5", 'n | money("KWD")', "KWD 1,249.500"),
            ("1249.5", 'n | money("€")', "€1,249.50"),
            ("-5", 'n | money("GBP")', "-£5.00"),
            ("2.675", "n | round(2)", "2.68"),
            ("2.5", "n | round", "3"),
            ("2.1", "n | ceil", "3"),
            ("2.9", "n | floor", "2"),
            ("1.234", 'n | round(1, "ceil")', "1.3"),
            ("3", "n + 1", "4"),
            ("0.1", "n + 0.2", "0.3"),
            ("3", "n / 2", "1.5"),
            ("10", "n / 4 * 2", "5"),
            ("7", "n // 2 ~ ' ' ~ n % 2", "3 1"),
            ("7", "-n", "-7"),
            ("2", "n ** 10", "1024"),
            ("3", "n | plus(2) | times(4) | minus(1) | divided_by(2) | modulo(5)", "4.5"),
            ("-3", "n | abs | at_least(5) | at_most(4)", "4"),
            ("3", 'n ~ " " ~ (n | plural("day"))', "3 days"),
            ("1", 'n | plural("person", "people")', "person"),
            ("0", 'n | plural("person", "people")', "people"),
            ("3", "n in [1, 2, 3]", "yes"),
            ("3", "1 < n < 5", "yes"),
            ("3", "1 < n < 3", "no"),
            ("3", "n is odd and n is divisibleby(3) and n is number", "yes"),
        ],
    )
    def test_a_number_is_exact(self, given: str, expression: str, expected: str) -> None:
        assert show(expression, n=given) == expected

    @pytest.mark.parametrize(
        "expression", ["x | round", "x | money('EUR')", "x | number", "x | plus(1)", "x | times(2)"]
    )
    def test_a_text_that_is_no_number_never_becomes_zero(self, expression: str) -> None:
        assert '"abc" is not a number' in str(refusal(expression, x="abc"))
        assert show(expression, x="10")


class TestText:
    @pytest.mark.parametrize(
        ("given", "expression", "expected"),
        [
            ("Ada", "x | upcase ~ x | downcase", "ADAada"),
            ("ada lovelace", "x | capitalize ~ '|' ~ x | title", "Ada lovelace|Ada Lovelace"),
            ("o’neill's", "x | title", "O’neill's"),
            ("Ada", 'x | append("!") | prepend("Hi ")', "Hi Ada!"),
            ("a-b-c", 'x | replace("-", " ")', "a b c"),
            ("a-b-c", 'x | replace_first("-", "") | remove("-")', "abc"),
            ("a,b,c", 'x | split(",") | join(" and ")', "a and b and c"),
            ("a,b,c", 'x | split(",") | first ~ x | split(",") | last', "ac"),
            ("  a  b ", 'x | split | join("|")', "a|b"),
            ("a", "(x | append(' ') | strip) ~ '|'", "a|"),
            ("Ada", "x | size ~ x.size ~ x | length", "333"),
            ("one two three", "x | words(2)", "one two…"),
            ("one two", "x | words(2)", "one two"),
            ("one two three", "x | wordcount", "3"),
            ("one two three", "x | shorten(8)", "one two…"),
            ("one two three", "x | shorten(9)", "one two…"),
            ("one two three", "x | shorten(13)", "one two three"),
            ("onetwothree", "x | shorten(6)", "onetw…"),
            ("one two", 'x | shorten(6, "")', "one"),
            ("one two", "x | shorten(1)", "…"),
            ("one two three", "x | truncate(9) ~ '|' ~ x | truncate(9, true)", "one two…|one two…"),
            ("one two three", 'x | truncate(10, "...")', "one two..."),
            ("one two three", "x | truncatewords(1)", "one…"),
            ("👩‍👩‍👧x", "x | shorten(4)", "…"),
            ("<b>Ada</b> <!-- x -->&amp;", "x | strip_html", "Ada &amp;"),
            ("a\nb", "x | strip_newlines", "a b"),
            ("a b/ü", "x | url_encode", "a%20b/%C3%BC"),
            ("Ada", '"%s is %d, %05.1f%%" | format(x, 36, 2.55)', "Ada is 36, 002.6%"),
            ("Ada", '"%s!" % x', "Ada!"),
            ("Ada", '"%-5s|%5s|" % (x, x)', "Ada  |  Ada|"),
            ("a\nb", "x | indent(2)", "a\n  b"),
            ("one two three", "x | wordwrap(7)", "one two\nthree"),
            ("Ada", "x | center(7) ~ '|'", "Ada  |"),
            ('say "hi"', "x | tojson", '"say \\"hi\\""'),
            ("Ada", "[x, 1, 2.5, true, none] | tojson", '["Ada", 1, 2.5, true, null]'),
            ("Ada", "x | string | default('y')", "Ada"),
            ("", "x | default('y') ~ (0 | default(5)) ~ (0 | default(5, true))", "y05"),
            ("Ada", "x[0] ~ x[-1] ~ x[1:] ~ x[::-1]", "AadaadA"),
            ("Ada", "x.upper() ~ x.replace('a', 'o') ~ x.startswith('A')", "ADAAdoyes"),
            ("Ada", "'A' in x and 'z' not in x", "yes"),
            ("Ada", "x is string and x is defined and x is not blank", "yes"),
            ("", "x is blank and x is undefined and x is none", "yes"),
        ],
    )
    def test_a_text_filter_prints(self, given: str, expression: str, expected: str) -> None:
        assert show(expression, x=given) == expected

    @given(st.text(max_size=60), st.integers(0, 70))
    def test_a_shortened_text_is_never_longer(self, text: str, length: int) -> None:
        short = shorten(text, length)

        assert len(short) <= max(length, 0)
        assert short == text if len(text) <= length else text.startswith(short.removesuffix("…"))


class TestLinks:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("https://a.example", "https://a.example?U"),
            ("http://a.example/x", "http://a.example/x?U"),
            ("https://a.example/x?y=1", "https://a.example/x?y=1&U"),
            ("https://a.example/x?y=1#part", "https://a.example/x?y=1&U#part"),
            ("https://a.example/x?", "https://a.example/x?U"),
            ("https://a.example/ü?q=%20", "https://a.example/ü?q=%20&U"),
            (" https://a.example ", "https://a.example?U"),
        ],
    )
    def test_a_link_carries_its_campaign(self, given: str, expected: str) -> None:
        utm = "utm_source=rokt_calendar&utm_medium=calendar&utm_campaign=winter%2026"

        assert show('x | link(campaign="winter 26")', x=given) == expected.replace("U", utm)

    def test_a_link_keeps_the_campaign_that_it_has(self) -> None:
        address = "https://a.example?utm_source=mail&utm_campaign=own"

        assert show('x | link(campaign="c")', x=address) == address + "&utm_medium=calendar"

    def test_a_link_takes_its_own_source_and_medium(self) -> None:
        shown = show(
            'x | link(campaign="c", source="s", medium="m", content="d", term="t")', x="https://a.example"
        )

        assert shown.endswith("?utm_source=s&utm_medium=m&utm_campaign=c&utm_content=d&utm_term=t")

    @pytest.mark.parametrize(
        "address",
        ["", "a.example", "www.a.example", "ftp://a.example", "javascript:alert(1)", "https://", "https:///x", "/x",
         "https://a.example/a b", "https://a.example/\nb", "mailto:a@a.example", "https://[::1", "//a.example",
         "https://?x=1"],
    )  # fmt: skip
    def test_what_is_no_web_address_is_refused(self, address: str) -> None:
        assert "is not a web address" in str(refusal("x | link(campaign='c')", x=address))


class TestLists:
    ITEMS = (
        {"name": "Scarf", "price": 20, "kind": "wool"},
        {"name": "hat", "price": 9.5, "kind": "felt"},
        {"name": "Gloves", "price": 20, "kind": "wool"},
    )

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ('x | map(attribute="name") | join(", ")', "Scarf, hat, Gloves"),
            ('x | sort(attribute="name") | map(attribute="name") | join(" ")', "Gloves hat Scarf"),
            (
                'x | sort(attribute="price", reverse=true) | map(attribute="name") | join(" ")',
                "Scarf Gloves hat",
            ),
            ('x | sum(attribute="price")', "49.5"),
            ('(x | min(attribute="price")).name ~ (x | max(attribute="price")).name', "hatScarf"),
            ('x | where("kind", "wool") | length', "2"),
            ('x | selectattr("price", "gt", 10) | map(attribute="name") | join(" ")', "Scarf Gloves"),
            ('x | rejectattr("price", "gt", 10) | map(attribute="name") | join(" ")', "hat"),
            ('x | map(attribute="kind") | unique | join(" ")', "wool felt"),
            ('x | join("+", attribute="price")', "20+9.5+20"),
            ("x[0].name ~ x[-1].name ~ x.size", "ScarfGloves3"),
            ('x[0] | items | map("join", "=") | join("&")', "name=Scarf&price=20&kind=wool"),
            ("x[0] | dictsort | map('first') | join(' ')", "kind name price"),
            ('x | map(attribute="name") | map("upper") | join(" ")', "SCARF HAT GLOVES"),
            ("x[0].get('nope', 'none') ~ x[0].keys() | join", "nonenamepricekind"),
            ("range(1, 4) | list | reverse | join", "321"),
            ("range(5) | select('odd') | join ~ range(5) | reject('odd') | join", "13024"),
            ("range(5) | batch(2) | map('join', '-') | join(' ')", "0-1 2-3 4"),
            ("range(5) | slice(2) | map('join', '-') | join(' ')", "0-1-2 3-4"),
            ("[1, none, ''] | compact | concat([2]) | join", "12"),
            ("[3, 1, 2] | sort | join ~ ['b', 'A'] | sort | join", "123Ab"),
            ("[3, 1, 2] | min ~ [3, 1, 2] | max ~ [3, 1, 2] | first", "133"),
        ],
    )
    def test_a_list_filter_prints(self, expression: str, expected: str) -> None:
        assert show(expression, x=list(self.ITEMS)) == expected

    def test_groups_come_in_order(self) -> None:
        loop = (
            '1 }}{% for kind, items in x | groupby("kind") %}{{ kind }}: '
            '{{ items | map(attribute="name") | join(", ") }}; {% endfor %}{{ 2'
        )

        assert show(loop, x=list(self.ITEMS)) == "1felt: hat; wool: Scarf, Gloves; 2"


def test_every_filter_and_test_says_what_it_does() -> None:
    undocumented = [name for name, run in FILTERS.items() if not (inspect.getdoc(run) or "").strip()]

    assert undocumented == []


def test_a_filter_that_is_left_out_is_not_there() -> None:
    assert set(INSTEAD).isdisjoint(FILTERS)
    assert {"int", "float", "safe", "escape"} <= set(INSTEAD)


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_a_filter_that_is_left_out_says_what_to_write_instead(name: str) -> None:
    assert INSTEAD[name] in str(refusal(f"x | {name}"))


def test_the_names_of_the_documentation_are_there() -> None:
    named = (
        "plus minus at in_zone date number money shorten plural words link default "
        "upcase downcase append split strip upper lower join replace first last size truncate capitalize"
    )

    assert set(named.split()) <= set(FILTERS)
    assert {"defined", "blank", "odd", "in", "=="} <= set(TESTS)
