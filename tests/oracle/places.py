"""Where and when adversarial days happen: zones whose clocks change, instants around that, ids that look alike."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MS = timedelta(milliseconds=1)
US = timedelta(microseconds=1)
MIN = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Days on which clocks change, in both directions, by an hour and by half an hour; and days on which nothing happens.
PLACES = (
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Asia/Shanghai", date(2026, 1, 15)),
    ("Asia/Kathmandu", date(2026, 2, 28)),
    ("Europe/Berlin", date(2026, 12, 31)),
)
ZONES = tuple(dict.fromkeys(zone for zone, _ in PLACES))
DAY_STARTS = ("04:00", "00:00", "02:30", "02:00")
CURRENCY = {"Europe/Berlin": "EUR", "America/New_York": "USD", "Australia/Lord_Howe": "AUD", "Asia/Shanghai": "CNY"}


def starts_at(venue: dict) -> timedelta:
    hours, minutes = venue["day_starts_at"].split(":")
    return int(hours) * HOUR + int(minutes) * MIN


def folder_for(venue: dict, instant: datetime) -> date:
    wall = instant.astimezone(ZoneInfo(venue["time_zone"])).replace(tzinfo=None)
    return (wall - starts_at(venue)).date()


def edges_of_day(venue: dict, day: date) -> list[datetime]:
    """Instants around which something changes on this day at this venue, none twice."""
    zone = ZoneInfo(venue["time_zone"])
    midnight = datetime.combine(day, time(0))
    walls = [midnight + 14 * HOUR, midnight + starts_at(venue), midnight, midnight + DAY + starts_at(venue)]
    edges = [wall.replace(tzinfo=zone).astimezone(UTC) for wall in walls]
    edges.append(midnight.replace(tzinfo=UTC))
    minute = midnight.replace(tzinfo=UTC) - DAY
    while minute < midnight.replace(tzinfo=UTC) + 2 * DAY:  # a change of the clocks, to the half hour
        if minute.astimezone(zone).utcoffset() != (minute - 30 * MIN).astimezone(zone).utcoffset():
            edges += [minute, minute - 30 * MIN, minute + HOUR]
        minute += 30 * MIN
    return list(dict.fromkeys(edges))


# Ids that differ only where a sloppy comparison sees no difference, and ids that some format mistakes for something.
IDS = (
    "k1:0123456789abcdef0123456789abcdef",
    "k1:0123456789ABCDEF0123456789abcdef",
    "\u00e9",  # é in one code point
    "e\u0301",  # é in two
    "E\u0301",
    "u",
    "u ",
    " ",
    "😀",
    "\uff41",  # full-width a: sorts above in UTF-8 but below the emoji only by code point
    "会员一号",
    'say "hi"\\',
    "line\nbreak\ttab",
    "a\u2028b",
    "null",
    "NULL",
    "0",
    "00",
    "1e3",
    "=1+1",
    "a,b;c|d",
    "'; DROP TABLE x; --",
    "true",
    "\u0130",  # İ: two characters in lower case
    "ß",
    "\ufeffu",
    "{}",
    "\x7f",
    "x" * 300,
)
GATEWAYS = ("g1", "g10", "G1", "g.1", "g_1", "g2")
BOOTS = ("b1", "B1", "b10", "2", "b.1")
AMOUNTS = ("10.00", "0.10", "0.20", "5", "5.5", "0.01", "-0.00", "0", "0012.30", "19.99", "900719925474099.31")
