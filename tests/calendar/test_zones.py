from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tzlocal.windows_tz import tz_win, win_tz

from bridge.calendar import zones
from bridge.calendar.zone_names import LEGACY, MEANT, MORE_IANA, NEWCOMERS
from bridge.calendar.zones import (
    Zone,
    at_wall_time,
    catalogue,
    find_zone,
    is_doubled,
    parse_day,
    parse_time,
    use_pinned_tzdata,
    wall_text,
)
from bridge.errors import InvalidValue

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# What may leave, written out: a name that a library brings along must not get through unread.
OUTGOING = re.split(
    r",\s+",
    """\
AUS Central Standard Time, AUS Eastern Standard Time, Afghanistan Standard Time, Alaskan Standard Time,
Aleutian Standard Time, Altai Standard Time, Arab Standard Time, Arabian Standard Time,
Arabic Standard Time, Argentina Standard Time, Astrakhan Standard Time, Atlantic Standard Time,
Aus Central W. Standard Time, Azerbaijan Standard Time, Azores Standard Time, Bahia Standard Time,
Bangladesh Standard Time, Belarus Standard Time, Bougainville Standard Time, Canada Central Standard Time,
Cape Verde Standard Time, Caucasus Standard Time, Cen. Australia Standard Time,
Central America Standard Time, Central Asia Standard Time, Central Brazilian Standard Time,
Central Europe Standard Time, Central European Standard Time, Central Pacific Standard Time,
Central Standard Time, Central Standard Time (Mexico), Chatham Islands Standard Time, China Standard Time,
Cuba Standard Time, Dateline Standard Time, E. Africa Standard Time, E. Australia Standard Time,
E. Europe Standard Time, E. South America Standard Time, Easter Island Standard Time,
Eastern Standard Time, Eastern Standard Time (Mexico), Egypt Standard Time, Ekaterinburg Standard Time,
FLE Standard Time, Fiji Standard Time, GMT Standard Time, GTB Standard Time, Georgian Standard Time,
Greenland Standard Time, Greenwich Standard Time, Haiti Standard Time, Hawaiian Standard Time,
India Standard Time, Iran Standard Time, Israel Standard Time, Jordan Standard Time,
Kaliningrad Standard Time, Kamchatka Standard Time, Korea Standard Time, Libya Standard Time,
Line Islands Standard Time, Lord Howe Standard Time, Magadan Standard Time, Magallanes Standard Time,
Marquesas Standard Time, Mauritius Standard Time, Mid-Atlantic Standard Time, Middle East Standard Time,
Montevideo Standard Time, Morocco Standard Time, Mountain Standard Time, Mountain Standard Time (Mexico),
Myanmar Standard Time, N. Central Asia Standard Time, Namibia Standard Time, Nepal Standard Time,
New Zealand Standard Time, Newfoundland Standard Time, Norfolk Standard Time,
North Asia East Standard Time, North Asia Standard Time, North Korea Standard Time, Omsk Standard Time,
Pacific SA Standard Time, Pacific Standard Time, Pacific Standard Time (Mexico), Pakistan Standard Time,
Paraguay Standard Time, Qyzylorda Standard Time, Romance Standard Time, Russia Time Zone 10,
Russia Time Zone 11, Russia Time Zone 3, Russian Standard Time, SA Eastern Standard Time,
SA Pacific Standard Time, SA Western Standard Time, SE Asia Standard Time, Saint Pierre Standard Time,
Sakhalin Standard Time, Samoa Standard Time, Sao Tome Standard Time, Saratov Standard Time,
Singapore Standard Time, South Africa Standard Time, South Sudan Standard Time, Sri Lanka Standard Time,
Sudan Standard Time, Syria Standard Time, Taipei Standard Time, Tasmania Standard Time,
Tocantins Standard Time, Tokyo Standard Time, Tomsk Standard Time, Tonga Standard Time,
Transbaikal Standard Time, Turkey Standard Time, Turks And Caicos Standard Time, US Eastern Standard Time,
US Mountain Standard Time, UTC, UTC+12, UTC+13, UTC-02, UTC-08, UTC-09, UTC-11, Ulaanbaatar Standard Time,
Venezuela Standard Time, Vladivostok Standard Time, Volgograd Standard Time, W. Australia Standard Time,
W. Central Africa Standard Time, W. Europe Standard Time, W. Mongolia Standard Time,
West Asia Standard Time, West Bank Standard Time, West Pacific Standard Time, Yakutsk Standard Time,
Yukon Standard Time""".strip(),
)

REFUSED_IANA = {"EST", "MST", "HST", "CET", "EET", "MET", "WET", "PRC", "ROC", "ROK", "Factory"}


@cache
def iana_names() -> list[str]:
    use_pinned_tzdata()
    return sorted(zoneinfo.available_timezones() - REFUSED_IANA)


@cache
def all_zones() -> list[Zone]:
    return [find_zone(name) for name in (*iana_names(), *OUTGOING, *NEWCOMERS)]


@cache
def transitions(clock: ZoneInfo) -> list[tuple[datetime, timedelta, timedelta]]:
    """Every change of the clock in 2026 and 2027: the instant in UTC, the offset before and after it."""
    found = []
    day = datetime(2026, 1, 1, tzinfo=UTC)
    while day.year < 2028:
        early, late = day, day + DAY
        if offset(early, clock) != offset(late, clock):
            while late - early > timedelta(seconds=1):
                middle = early + (late - early) // 2
                early, late = (
                    (middle, late) if offset(middle, clock) == offset(early, clock) else (early, middle)
                )
            late = late.replace(microsecond=0)
            found.append((late, offset(day, clock), offset(late, clock)))
        day += DAY
    return found


def offset(at: datetime, clock: ZoneInfo) -> timedelta:
    size = at.astimezone(clock).utcoffset()
    assert size is not None
    return size


def minutes_around(at: datetime) -> Iterator[datetime]:
    return (at + MINUTE * n for n in range(-90, 91))


def readings(text: str, clock: ZoneInfo) -> set[datetime]:
    """The instants that the digits can mean on a clock, as the receiver of the digits reads them."""
    wall = datetime.fromisoformat(text)
    assert wall.tzinfo is None
    return {wall.replace(tzinfo=clock, fold=fold).astimezone(UTC) for fold in (0, 1)}


def refusal(name: str) -> str:
    with pytest.raises(InvalidValue) as caught:
        find_zone(name)
    return str(caught.value)


def time_refusal(text: str, zone: str = "Eastern Standard Time") -> str:
    with pytest.raises(InvalidValue) as caught:
        parse_time(text, find_zone(zone))
    return str(caught.value)


# Names


def test_only_these_names_leave() -> None:
    assert len(OUTGOING) == 141
    assert {zone.windows for zone in all_zones()} == set(OUTGOING)
    assert not set(NEWCOMERS) & set(OUTGOING)


def test_every_windows_name_leaves_as_itself() -> None:
    assert [name for name in OUTGOING if find_zone(name).windows != name] == []
    assert set(win_tz) - set(NEWCOMERS) == set(OUTGOING) - set(LEGACY)


def test_a_windows_name_is_read_on_the_clock_that_it_leaves_on() -> None:
    assert [name for name in OUTGOING if find_zone(name).clock is not find_zone(name).windows_clock] == []


def test_a_windows_clock_is_the_iana_zone_of_its_territory_001() -> None:
    clocks = {name: find_zone(name).windows_clock.key for name in OUTGOING if name not in LEGACY}

    assert clocks == {name: iana for name, iana in win_tz.items() if name not in NEWCOMERS}


def test_every_iana_name_of_the_pinned_tzdata_leaves_as_what_tzlocal_says() -> None:
    expected = {
        name: NEWCOMERS[tz_win[name]][1] if tz_win[name] in NEWCOMERS else tz_win[name]
        for name in iana_names()
        if name not in MORE_IANA
    }

    assert len(expected) + len(MORE_IANA) + len(REFUSED_IANA) == len(zoneinfo.available_timezones())
    assert {name: find_zone(name).windows for name in expected} == expected


def test_an_iana_name_is_read_on_its_own_clock() -> None:
    differs = [name for name in iana_names() if name != "UTC" and find_zone(name).clock is not ZoneInfo(name)]

    assert differs == []


@pytest.mark.parametrize("name", sorted(set(MORE_IANA) - {"Antarctica/Troll"}))
def test_an_iana_name_that_tzlocal_does_not_know_leaves_as_a_zone_of_the_same_clock(name: str) -> None:
    zone = find_zone(name)

    assert name not in tz_win
    assert transitions(zone.clock) == transitions(zone.windows_clock)
    january = datetime(2026, 1, 1, tzinfo=UTC)
    assert offset(january, zone.clock) == offset(january, zone.windows_clock)


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("America/Edmonton", "Mountain Standard Time"),
        ("Canada/Mountain", "Mountain Standard Time"),
        ("Alberta Standard Time", "Mountain Standard Time"),
        ("America/Vancouver", "Pacific Standard Time"),
        ("British Columbia Standard Time", "Pacific Standard Time"),
        ("America/Winnipeg", "Central Standard Time"),
        ("Manitoba Standard Time", "Central Standard Time"),
    ],
)
def test_a_province_with_a_brand_new_name_leaves_under_its_old_one_an_hour_earlier(
    name: str, windows: str
) -> None:
    zone = find_zone(name)

    assert zone.windows == windows
    assert wall_text(parse_time("2027-01-15T12:00", zone), zone) == "2027-01-15T11:00:00"
    assert wall_text(parse_time("2027-07-15T12:00", zone), zone) == "2027-07-15T12:00:00"


def test_names_are_taken_in_any_case_and_between_blanks_and_come_back_in_their_own_spelling() -> None:
    for zone in all_zones():
        for spelling in (zone.name.upper(), zone.name.lower(), f" \t{zone.name}\n"):
            assert find_zone(spelling) is find_zone(zone.name)
        assert find_zone(zone.name).name == zone.name


@pytest.mark.parametrize("name", ["UTC", "utc", "Z", "z", "GMT", "UCT", "Zulu", "Etc/UTC", "Greenwich"])
def test_utc_has_many_names_and_leaves_as_utc(name: str) -> None:
    zone = find_zone(name)

    assert zone.windows == "UTC"
    assert wall_text(parse_time("2026-07-01T09:00", zone), zone) == "2026-07-01T09:00:00"


def test_an_etc_zone_has_the_sign_of_posix() -> None:
    zone = find_zone("Etc/GMT+5")

    assert zone.windows == "SA Pacific Standard Time"
    assert parse_time("2026-12-01T09:00", zone).astimezone(UTC).hour == 14


# The two "Old" zones of Windows, whose rule no IANA zone has


@pytest.mark.parametrize(
    ("name", "winter", "summer", "first_of_summer", "first_of_winter"),
    [
        ("Kamchatka Standard Time", 12, 13, "2026-03-29T03:00", "2026-10-25T03:00"),
        ("Mid-Atlantic Standard Time", -2, -1, "2026-03-29T03:00", "2026-09-27T02:00"),
    ],
)
def test_an_old_zone_keeps_the_summer_time_of_the_windows_registry(
    name: str, winter: int, summer: int, first_of_summer: str, first_of_winter: str
) -> None:
    zone = find_zone(name)

    def hours_at(text: str, delta: timedelta = timedelta(0)) -> float:
        at = parse_time(text, zone).astimezone(UTC) + delta
        return offset(at, zone.clock) / HOUR

    assert zone.windows == name
    assert (hours_at(first_of_summer, -MINUTE), hours_at(first_of_summer)) == (winter, summer)
    assert (hours_at(first_of_winter, -2 * HOUR), hours_at(first_of_winter)) == (summer, winter)
    assert (hours_at("2070-01-01"), hours_at("2070-07-01")) == (winter, summer)


def test_a_time_in_an_old_zone_can_be_copied() -> None:
    at = parse_time("2026-07-01T09:00", find_zone("Kamchatka Standard Time"))

    copied = copy.deepcopy(at)

    assert copied == at
    assert copied.tzinfo is at.tzinfo


# Names that are refused


@pytest.mark.parametrize("name", sorted(MEANT))
def test_an_abbreviation_is_refused_with_the_names_that_are_meant(name: str) -> None:
    for spelling in (name, name.lower()):
        said = refusal(spelling)

        for meant in MEANT[name]:
            assert meant in said
            assert find_zone(re.sub(r" \((no summer time|London's clock)\)$", "", meant))


@pytest.mark.parametrize("name", sorted(REFUSED_IANA - {"Factory"}))
def test_an_abbreviation_is_refused_although_iana_has_it(name: str) -> None:
    assert name in zoneinfo.available_timezones()
    assert "is no zone's full name" in refusal(name)


def test_est_is_refused_with_new_york_and_with_panama_for_no_summer_time() -> None:
    assert refusal("EST") == (
        '"EST" is no zone\'s full name: give Eastern Standard Time, America/New_York '
        "or America/Panama (no summer time)"
    )


def test_the_zone_said_to_have_no_summer_time_has_none() -> None:
    still = {meant for names in MEANT.values() for meant in names if meant.endswith(" (no summer time)")}

    assert len(still) >= 6
    assert [name for name in still if transitions(find_zone(name.split(" (")[0]).clock)] == []


def test_every_windows_daylight_name_is_refused_with_the_standard_name() -> None:
    for name in OUTGOING:
        if name.endswith("Standard Time"):
            said = refusal(name.replace("Standard", "Daylight"))

            assert f"give {name}, which covers summer too" in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Berlin", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("Germany/Berlin", "Europe/Berlin"),
        ("Berlim", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("America/New York", "America/New_York"),
        ("Amerika/New_York", "America/New_York"),
        ("São Paulo", "America/Sao_Paulo"),
        ("Buenos Aires", "America/Argentina/Buenos_Aires"),
        ("Rome", "Europe/Rome"),
        ("Easten Standard Time", "Eastern Standard Time"),
        ("Eastern", "Eastern Standard Time"),
        ("Eastern Time", "Eastern Standard Time"),
        ("Eastern Time (US & Canada)", "Eastern Standard Time"),
        ("(UTC-08:00) Pacific Time (US & Canada)", "Pacific Standard Time"),
        ("India", "India Standard Time"),
        ("US/Pacific-New", "US/Pacific"),
        ("right/Europe/Paris", "Europe/Paris"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, meant: str) -> None:
    assert "did you mean" in refusal(name)
    assert meant in re.split(r", | or |\?|mean ", refusal(name))


@pytest.mark.parametrize("name", ["UTC+1", "utc+01:00", "GMT-5", "GMT+0530", "+01:00", "-0500"])
def test_an_offset_is_refused_as_it_is_not_a_zone(name: str) -> None:
    assert "is an offset, not a zone" in refusal(name)


@pytest.mark.parametrize("name", ["Factory", "localtime", "/etc/localtime", "posixrules", "leapseconds"])
def test_a_file_of_a_zone_directory_that_is_no_zone_is_refused_without_a_guess(name: str) -> None:
    assert "did you mean" not in refusal(name)


@pytest.mark.parametrize("name", ["", " ", "\n\t "])
def test_a_blank_name_is_refused_with_what_is_needed(name: str) -> None:
    assert refusal(name).startswith("a time zone is needed: a Windows name")


HOSTILE = [
    "x" * 10_000,
    "America/New_York" * 1_000,
    "(" * 5_000,
    " " * 5_000 + "?" + " " * 5_000,
    "UTC\0",
    "\0",
    "../../etc/passwd",
    "/etc/passwd",
    "Europe/../Europe/Berlin",
    "Europe\\Berlin",
    "Europe/Berlin\n\nX: y",
    "\ud800",
    "\u202eemiT dradnatS",
    "%s{0}$(reboot)",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_and_hardly_echoed(name: str) -> None:
    said = refusal(name)

    assert len(said.partition('" is not a time zone')[0]) <= 62
    assert said.isprintable()


def test_a_name_longer_than_any_is_not_compared_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(*_: object) -> list[str]:
        pytest.fail("a comparison costs milliseconds")

    monkeypatch.setattr(zones, "nearest", compared)

    assert "is not a time zone" in refusal("Eastern " * 1_000)


def test_wrong_names_cannot_fill_the_memory() -> None:
    zones._refusal.cache_clear()
    for number in range(50):
        refusal("x" * 5_000 + str(number))
    kept_of_long_ones = zones._refusal.cache_info().currsize

    for number in range(3_000):
        refusal(f"{number:065}")

    assert kept_of_long_ones == 1
    assert zones._refusal.cache_info().currsize <= 1_024


# Times


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-01T09:00", "2026-12-01T14:00:00"),
        ("2026-12-01T09:00:00", "2026-12-01T14:00:00"),
        ("2026-12-01 09:00:30", "2026-12-01T14:00:30"),
        ("2026-12-01t09:00", "2026-12-01T14:00:00"),
        (" 2026-12-01T09:00\n", "2026-12-01T14:00:00"),
        ("2026-12-01T09:00:00.123", "2026-12-01T14:00:00.123000"),
        ("2026-12-01T09:00:00.123456789", "2026-12-01T14:00:00.123456"),
        ("2026-12-01", "2026-12-01T05:00:00"),
        ("2026-07-01T09:00", "2026-07-01T13:00:00"),
        ("2026-12-01T09:00Z", "2026-12-01T09:00:00"),
        ("2026-12-01T09:00:00.5z", "2026-12-01T09:00:00.500000"),
        ("2026-12-01 09:00:00 UTC", "2026-12-01T09:00:00"),
        ("2026-12-01T09:00+01:00", "2026-12-01T08:00:00"),
        ("2026-12-01T09:00:00+0100", "2026-12-01T08:00:00"),
        ("2026-12-01 09:00:00 -0500", "2026-12-01T14:00:00"),
        ("2026-12-01T09:00+05:45", "2026-12-01T03:15:00"),
        ("2026-12-01T09:00-03:30", "2026-12-01T12:30:00"),
        ("2026-12-01T09:00-00:00", "2026-12-01T09:00:00"),
        ("2026-12-31T23:00-12:00", "2027-01-01T11:00:00"),
        ("2028-02-29T00:00", "2028-02-29T05:00:00"),
        ("1970-01-01T00:00:00", "1970-01-01T05:00:00"),
        ("2100-12-31T23:59:59", "2101-01-01T04:59:59"),
    ],
)
def test_a_time_is_read_as_people_send_it(text: str, utc: str) -> None:
    zone = find_zone("Eastern Standard Time")

    at = parse_time(text, zone)

    assert at.tzinfo is zone.clock
    assert at.astimezone(UTC).replace(tzinfo=None).isoformat() == utc


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "2026-13-01",
        "2026-00-01",
        "2026-02-30",
        "2026-02-29T09:00",
        "2026-12-01T25:00",
        "2026-12-01T24:00:00",
        "2026-12-01T09:60",
        "2026-12-01T09:00:60",
        "2026-12-01T09",
        "2026-12-01T9:00",
        "2026-12-1T09:00",
        "2026-12-01T0900",
        "2026-12-01T09:00:00,123",
        "2026-12-01T09:00:00.",
        "2026-12-01T09:00:00.1234567890",
        "2026-12-01  09:00",
        "2026-12-01T",
        "2026-12-01Z",
        "2026-12-01+01:00",
        "2026-12-01T09:00+1",
        "2026-12-01T09:00+25:00",
        "2026-12-01T09:00+01:60",
        "2026-12-01T09:00 EST",
        "2026-12-01T09:00[Europe/Berlin]",
        "2026-12-01T09:00\0",
        "2026-12-01T09:00\nX",
        "20261201T0900",
        "2026-W01",
        "2026-W01-1T09:00",
        "2026-335",
        "12/01/2026 09:00",
        "01.12.2026",
        "-2026-12-01",
        "٢٠٢٦-١٢-٠١",
        "\uff12\uff10\uff12\uff16-12-01T09:00",
        "9" * 10_000,
        "x" * 10_000,
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    said = time_refusal(text)

    assert said.endswith("2026-12-01T09:00")
    assert said.isprintable()
    assert len(said) < 160


@pytest.mark.parametrize("text", ["1767225600", "1767225600.5", "-1", "0", "20261201"])
def test_a_number_is_refused_as_a_number(text: str) -> None:
    assert time_refusal(text) == f'"{text}" is a number: write the time as 2026-12-01T09:00'


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_a_blank_time_is_refused_with_what_is_needed(text: str) -> None:
    assert time_refusal(text) == "a time is needed, such as 2026-12-01T09:00"


@pytest.mark.parametrize("text", ["1969-12-31T23:59", "2101-01-01", "9999-12-31T23:59", "0001-01-01"])
def test_a_year_out_of_reach_is_refused(text: str) -> None:
    assert f"the year {text[:4]} is out of reach" in time_refusal(text)
    with pytest.raises(InvalidValue, match="out of reach"):
        parse_day(text[:10])


def test_a_day_is_read_and_a_wrong_one_is_refused_with_an_example() -> None:
    assert parse_day("2026-12-15") == date(2026, 12, 15)
    assert parse_day(" 2028-02-29 ") == date(2028, 2, 29)
    for text in ("2026-02-29", "2026-13-01", "15.12.2026", "20261215", "2026-12-15T09:00", "", "٢٠٢٦-١٢-١٥"):
        with pytest.raises(InvalidValue, match=r"2026-12-15$"):
            parse_day(text)


# The hours of spring and autumn


def test_a_time_in_the_spring_gap_is_refused_with_its_zone_and_the_time_that_exists() -> None:
    said = time_refusal("2026-03-08T02:30")

    assert said == (
        "2026-03-08T02:30 does not exist in Eastern Standard Time, as the clocks skip it: 2026-03-08T03:30 does"
    )


def test_the_gap_is_named_after_the_zone_given_not_the_one_that_leaves() -> None:
    assert "does not exist in Europe/Berlin" in time_refusal("2027-03-28T02:00", "europe/berlin")


def test_a_midnight_in_a_gap_is_refused_like_any_time() -> None:
    assert "2026-04-24T00:00 does not exist in Africa/Cairo" in time_refusal("2026-04-24", "Africa/Cairo")


def test_a_doubled_time_is_read_as_the_first_and_an_offset_chooses_the_second() -> None:
    zone = find_zone("America/New_York")

    first, second = (parse_time(f"2026-11-01T01:30{end}", zone) for end in ("", "-05:00"))

    assert (first.fold, second.fold) == (0, 1)
    assert second.astimezone(UTC) - first.astimezone(UTC) == HOUR
    assert wall_text(first, zone) == wall_text(second, zone) == "2026-11-01T01:30:00"
    assert is_doubled(first, zone)
    assert is_doubled(second, zone)


def test_it_is_the_digits_that_leave_which_are_doubled() -> None:
    zone = find_zone("America/Vancouver")  # keeps summer time; Pacific Standard Time, which leaves, does not

    at = parse_time("2026-11-01T01:30", zone)

    assert at.replace(fold=0).utcoffset() == at.replace(fold=1).utcoffset()
    assert wall_text(at, zone) == "2026-11-01T01:30:00"
    assert is_doubled(at, zone)
    assert not is_doubled(parse_time("2026-11-01T03:30", zone), zone)


def test_a_naive_time_goes_on_the_clock_with_its_fold() -> None:
    zone = find_zone("Europe/Paris")
    local = datetime(2026, 10, 25, 2, 30, fold=1)  # noqa: DTZ001

    at = at_wall_time(local, zone)

    assert at.fold == 1
    assert at.astimezone(UTC) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_seconds_leave_and_what_is_smaller_is_cut() -> None:
    zone = find_zone("UTC")

    assert wall_text(parse_time("2026-12-01T09:00:59.999", zone), zone) == "2026-12-01T09:00:59"


def test_around_every_change_of_a_clock_the_instant_is_kept() -> None:
    changes = 0
    for zone in all_zones():
        for changes_at, _, _ in {*transitions(zone.clock), *transitions(zone.windows_clock)}:
            changes += 1
            for at in minutes_around(changes_at):
                read = readings(wall_text(at.astimezone(zone.clock), zone), zone.windows_clock)

                assert at in read, (zone, at)
                assert is_doubled(at, zone) == (len(read) == 2), (zone, at)
    assert changes > 900


def test_every_minute_that_a_clock_skips_is_refused_and_the_minutes_beside_it_are_not() -> None:
    skipped = 0
    for zone in all_zones():
        for changes_at, before, after in transitions(zone.clock):
            if after < before:
                continue
            first, end = ((changes_at + size).replace(tzinfo=None) for size in (before, after))
            for number in range(int((end - first) / MINUTE)):
                skipped += 1
                with pytest.raises(InvalidValue, match="does not exist in " + re.escape(zone.name)):
                    at_wall_time(first + MINUTE * number, zone)
            assert at_wall_time(first - MINUTE, zone).astimezone(UTC) == changes_at - MINUTE
            assert at_wall_time(end, zone).astimezone(UTC) == changes_at
    assert skipped > 10_000


def test_every_minute_that_a_windows_clock_repeats_is_flagged_and_the_minutes_beside_it_are_not() -> None:
    doubled = 0
    for zone in {zone.windows: zone for zone in all_zones()}.values():
        for changes_at, before, after in transitions(zone.windows_clock):
            if after > before:
                continue
            length = before - after
            for number in range(int(length / MINUTE)):
                doubled += 1
                assert is_doubled(changes_at + MINUTE * number, zone)
                assert is_doubled(changes_at - length + MINUTE * number, zone)
            assert not is_doubled(changes_at + length, zone)
            assert not is_doubled(changes_at - length - MINUTE, zone)
    assert doubled > 1_000


named_zones = st.deferred(lambda: st.sampled_from(all_zones()))
instants = st.datetimes(
    datetime(1970, 1, 3),  # noqa: DTZ001
    datetime(2100, 12, 29),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda at: at.replace(microsecond=0))


@settings(deadline=None, max_examples=500, database=None)
@given(zone=named_zones, at=instants)
def test_any_instant_in_any_zone_leaves_as_the_same_instant(zone: Zone, at: datetime) -> None:
    leaves = wall_text(parse_time(at.isoformat(), zone), zone)

    assert at in readings(leaves, zone.windows_clock)


@settings(deadline=None, max_examples=500, database=None)
@given(zone=named_zones, at=instants, minutes=st.integers(-14 * 60, 14 * 60))
def test_any_offset_in_the_text_gives_the_same_time_as_utc(zone: Zone, at: datetime, minutes: int) -> None:
    written = at.astimezone(timezone(MINUTE * minutes))

    parsed = parse_time(written.isoformat(), zone)

    assert parsed.astimezone(UTC) == at
    assert parsed.tzinfo is zone.clock


@settings(deadline=None, max_examples=500, database=None)
@given(zone=named_zones, at=instants)
def test_any_wall_time_that_exists_is_read_back_as_its_own_digits(zone: Zone, at: datetime) -> None:
    digits = at.astimezone(zone.clock).replace(tzinfo=None).isoformat()

    parsed = parse_time(digits, zone)

    assert parsed.replace(tzinfo=None).isoformat() == digits
    assert parsed.fold == 0
    assert parsed.astimezone(UTC) == min(readings(digits, zone.clock))


@settings(deadline=None, max_examples=300, database=None)
@given(text=st.text(max_size=80) | st.text("0123456789-:T Z+.", max_size=30))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    zone, said = find_zone("UTC"), []
    for read in (find_zone, parse_day, lambda given: parse_time(given, zone)):
        try:
            read(text)
        except InvalidValue as refused:
            said.append(str(refused))

    assert [words for words in said if not words.isprintable() or len(words) > 250] == []


# The catalogue


def test_the_catalogue_lists_every_name_that_leaves_with_the_iana_names_that_lead_to_it() -> None:
    listed = {str(row["windows"]): row["iana"] for row in catalogue()}

    assert list(listed) == sorted(OUTGOING)
    for windows, names in listed.items():
        assert isinstance(names, list)
        assert names == sorted(names)
        assert [name for name in names if find_zone(name).windows != windows] == []
    assert sorted(name for names in listed.values() for name in names) == iana_names()
    assert catalogue() == catalogue()


# The pinned tzdata

TWO_ANSWERS = """
from zoneinfo import ZoneInfo
from datetime import datetime
from bridge.calendar.zones import find_zone, parse_time, use_pinned_tzdata
print(datetime(2026, 12, 1, 9, tzinfo=ZoneInfo("Europe/Berlin")).isoformat())
print(parse_time("2026-12-01T09:00", find_zone("Europe/Berlin")).isoformat())
print(parse_time("2026-12-01T09:00", find_zone("W. Europe Standard Time")).isoformat())
print(datetime(2026, 12, 1, 9, tzinfo=ZoneInfo("Europe/Berlin")).isoformat())
"""


def run_where_berlin_has_the_clock_of_tokyo(script: str, directory: Path) -> list[str]:
    (directory / "Europe").mkdir()
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (directory / "Europe" / "Berlin").write_bytes(tokyo)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONTZPATH": str(directory)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def test_the_pinned_tzdata_decides_although_the_machine_has_another(tmp_path: Path) -> None:
    machine, iana, windows, afterwards = run_where_berlin_has_the_clock_of_tokyo(TWO_ANSWERS, tmp_path)

    assert machine == "2026-12-01T09:00:00+09:00"
    assert iana == windows == afterwards == "2026-12-01T09:00:00+01:00"


def test_a_process_that_pins_at_its_start_has_one_tzdata_everywhere(tmp_path: Path) -> None:
    pinned_first = TWO_ANSWERS.replace("print(", "use_pinned_tzdata()\nprint(", 1)

    answers = run_where_berlin_has_the_clock_of_tokyo(pinned_first, tmp_path)

    assert set(answers) == {"2026-12-01T09:00:00+01:00"}


def test_pinning_again_keeps_the_clocks_that_are_in_use() -> None:
    use_pinned_tzdata()
    clock = find_zone("Europe/Berlin").clock

    use_pinned_tzdata()

    assert ZoneInfo("Europe/Berlin") is clock
