"""Who is who, sessions, and the session that an order line belongs to; worked out by hand from the design."""

from datetime import date
from decimal import Decimal

import pytest

from tests.oracle.hand_made import DAY, DEVICES, HALL, QUAY, Landing, at, device, utc, visits
from tests.oracle.places import HOUR

# Who is who -----------------------------------------------------------------------------------------------------------


def users(landing: Landing, day: date = DAY) -> list[tuple[str, str]]:
    return [(row["source_user_id"], row["user_id"]) for row in landing.compute(day).clean["face_visits"]]


def test_shared_identities_are_taken_as_they_come(landing):
    landing.put("identity_links", {"terminal_user_id": "u", "member_user_id": "m"})
    landing.put("face_visits", {"user_id": "u"})
    assert users(landing) == [("u", "u")]


@pytest.fixture
def linked(landing: Landing) -> Landing:
    landing.site["identity"] = "linked"
    landing.put("face_visits", {"user_id": "t"}, {"user_id": "stranger"})
    return landing


def link(member: str, clock: str, action: str = "link", terminal: str = "t", day: str = "2026-06-10") -> dict:
    recorded_at = at(clock, day)
    return {
        "terminal_user_id": terminal,
        "member_user_id": member,
        "action": action,
        "recorded_at": recorded_at,
    }


def test_the_latest_link_counts_also_for_visits_before_it(linked):
    linked.put("identity_links", link("new", "22:00:00"), link("old", "09:00:00"))
    assert users(linked) == [("t", "new"), ("stranger", "stranger")]


def test_after_unlink_a_terminal_id_stands_for_itself(linked):
    linked.put("identity_links", link("m", "09:00:00"), link("m", "22:00:00", "unlink"))
    assert users(linked)[0] == ("t", "t")


def test_unlink_of_another_member_is_the_latest_record_all_the_same(linked):
    linked.put("identity_links", link("m", "09:00:00"), link("other", "22:00:00", "unlink"))
    assert users(linked)[0] == ("t", "t")


def test_links_at_the_same_instant_are_ordered_by_identity(linked):
    linked.put("identity_links", link("first", "09:00:00"), link("second", "09:00:00"))
    linked.put("identity_links", link("upper", "09:00:00"), boot="B")  # sorts below "b"
    assert users(linked)[0] == ("t", "second")


def test_links_of_earlier_dates_count_and_those_of_later_dates_do_not(linked):
    day_before, day_after = date(2026, 6, 9), date(2026, 6, 11)
    linked.put("identity_links", link("before", "12:00:00", day="2026-06-09"), day=day_before)
    linked.put("identity_links", link("after", "12:00:00", day="2026-06-11"), day=day_after)
    assert users(linked)[0] == ("t", "before")


def test_links_of_all_venues_count_and_only_clean_ones(linked):
    linked.site["venues"] = [HALL, QUAY]
    linked.site["devices"] = [*DEVICES, device("identity_links", "quay", "g2")]
    linked.put("identity_links", link("m", "09:00:00") | {"venue_id": "quay"}, gateway="g2")
    linked.put("identity_links", link("nobody", "10:00:00") | {"device_id": "unknown"})
    linked.put("identity_links", link("refused", "11:00:00"), damages=("hash",))
    assert users(linked)[0] == ("t", "m")


def test_links_are_not_followed_twice_and_orders_keep_their_user(linked):
    linked.put("identity_links", link("m", "09:00:00"), link("m2", "09:00:00", terminal="m"))
    linked.put("orders", {"user_id": "t"})
    assert users(linked)[0] == ("t", "m")
    assert [row["user_id"] for row in linked.compute().clean["orders"]] == ["t"]


def test_two_terminal_ids_of_one_member_form_one_session(linked):
    linked.segments.clear()
    linked.put("identity_links", link("m", "09:00:00", terminal="t1"), link("m", "09:00:00", terminal="t2"))
    enter = {"user_id": "t1", "recorded_at": at("10:00:00")}
    leave = {"user_id": "t2", "recorded_at": at("10:30:00"), "direction": "leave"}
    linked.put("face_visits", enter, leave)
    assert [(s["user_id"], s["state"]) for s in linked.compute().sessions] == [("m", "complete")]


# Sessions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "states"),
    [
        ("", []),
        ("+10:00 -10:30", ["complete"]),
        ("-10:30 +10:00", ["complete"]),  # the order of time, not of arrival
        ("+10:00", ["no_exit"]),
        ("-10:00", ["no_entry"]),
        ("+10:00 +10:05 -10:30", ["no_exit", "complete"]),
        ("+10:00 -10:30 -10:40", ["complete", "no_entry"]),
        ("-09:00 +10:00", ["no_entry", "no_exit"]),
        ("+10:00 -10:30 +10:30 -11:00", ["complete", "complete"]),
        ("+10:00 -22:00", ["complete"]),
        ("+10:00 -22:00:00.001", ["overlong"]),
        ("+10:00 +23:00", ["no_exit", "no_exit"]),
        ("+10:00 -10:00", ["complete"]),  # ties: by seq
        ("-10:00 +10:00", ["no_entry", "no_exit"]),
    ],
)
def test_states_of_sessions(landing, story, states):
    if story:
        landing.put("face_visits", *visits(story))
    assert [s["state"] for s in landing.compute().sessions] == states


def test_users_and_venues_do_not_mix(landing):
    landing.site["venues"] = [HALL, HALL | {"id": "annex"}]
    landing.site["devices"] = [*DEVICES, device("face_visits", "annex")]
    elsewhere = {"user_id": "a", "direction": "leave", "recorded_at": at("10:10:00"), "venue_id": "annex"}
    landing.put("face_visits", *visits("a/+10:00 b/-10:05 a/-10:30"), elsewhere)
    found = [(s["venue_id"], s["user_id"], s["state"]) for s in landing.compute().sessions]
    assert found == [("annex", "a", "no_entry"), ("hall", "a", "complete"), ("hall", "b", "no_entry")]


def test_ties_are_ordered_by_gateway_then_boot_then_seq(landing):
    """Bytes: `G1` < `g1` < `g10`, and 9 < 10 as numbers."""
    landing.site["devices"] = [device("face_visits", gateway=g) | {"id": g} for g in ("g1", "g10", "G1")]
    leave, enter = {"direction": "leave"}, {"direction": "enter"}
    landing.put("face_visits", leave | {"device_id": "g10"}, gateway="g10")
    landing.put("face_visits", enter | {"device_id": "g1", "seq": 9}, enter | {"device_id": "g1", "seq": 10})
    landing.put("face_visits", leave | {"device_id": "G1"}, gateway="G1")
    found = [(s["state"], s["session_id"]) for s in landing.compute().sessions]
    assert found == [("no_entry", "G1-b-1"), ("no_exit", "g1-b-9"), ("complete", "g1-b-10")]


def test_a_visit_across_day_starts_at_is_one_no_exit_and_one_no_entry(landing):
    landing.put("face_visits", {"recorded_at": "2026-06-11T03:59:00+02:00"})
    leave = {"recorded_at": "2026-06-11T04:01:00+02:00", "direction": "leave"}
    landing.put("face_visits", leave, day=date(2026, 6, 11))
    assert [s["state"] for s in landing.compute().sessions] == ["no_exit"]
    assert [s["state"] for s in landing.compute(date(2026, 6, 11)).sessions] == ["no_entry"]


def test_sessions_last_in_real_time(landing):
    """In Berlin 14:00 on 24 October to 02:00 (+01:00) on the 25th is 13 hours; the wall clock says 12."""
    enter, leave = "2026-10-24T14:00:00+02:00", "2026-10-25T02:00:00+01:00"
    day = date(2026, 10, 24)
    records = [{"recorded_at": enter}, {"recorded_at": leave, "direction": "leave"}]
    landing.put("face_visits", *records, day=day, created_at=utc(2026, 10, 26))
    (session,) = landing.compute(day).sessions
    assert session["state"] == "overlong"
    assert session["leave_at"] - session["enter_at"] == 13 * HOUR
    assert (session["enter_identity"], session["leave_identity"]) == (("g1", "b", 1), ("g1", "b", 2))
    assert session["session_id"] == "g1-b-1"


# Order lines ----------------------------------------------------------------------------------------------------------


def test_the_line_recorded_last_is_current(landing):
    """By recorded_at, then identity; other order, line number and venue are other lines."""
    landing.put(
        "orders",
        {"recorded_at": at("12:00:00"), "amount": "1.00"},
        {"recorded_at": at("11:00:00"), "amount": "2.00"},
        {"recorded_at": at("12:00:00"), "amount": "3.00", "status": "refunded"},
        {"order_no": 2, "amount": "4.00"},
        {"order_id": "O1", "amount": "5.00"},
    )
    oracle = landing.compute()
    superseded = [(str(row["amount"]), row["superseded"]) for row in oracle.clean["orders"]]
    assert superseded == [("1.00", True), ("2.00", True), ("3.00", False), ("4.00", False), ("5.00", False)]
    assert [str(row["amount"]) for row in oracle.order_lines] == ["3.00", "4.00", "5.00"]
    (row,) = oracle.primary_metrics
    assert (row["completed_orders"], row["gmv"], row["cancelled_amount"]) == (2, Decimal("9.00"), Decimal("3.00"))


def test_the_same_order_number_on_another_date_is_another_line(landing):
    landing.put("orders", {})
    landing.put("orders", {"ordered_at": at("10:00:00", "2026-06-11")}, day=date(2026, 6, 11))
    assert [row["superseded"] for row in landing.compute().clean["orders"]] == [False]


@pytest.mark.parametrize(
    ("story", "ordered_at", "attached_to"),
    [
        # Bounds are included.
        ("+10:00 -10:30", "09:59:59.999", None),
        ("+10:00 -10:30", "10:00:00", 1),
        ("+10:00 -10:30", "10:30:00", 1),
        # Else one that ended at most 30 min before.
        ("+10:00 -10:30", "11:00:00", 1),
        ("+10:00 -10:30", "11:00:00.001", None),
        # Containing comes before ended, though the other entered later.
        ("+10:00 -10:10 +10:20 -10:30", "10:15:00", 1),
        ("+10:00 -10:10 +10:20 -10:30", "10:20:00", 3),
        # Of several, the one with the latest enter.
        ("+10:00 -10:10 +10:20 -10:30", "10:35:00", 3),
        ("+10:00 -10:30 +10:30 -11:00", "10:30:00", 3),
        ("+10:00 -10:00 +10:00 -10:00", "10:00:00", 3),
        # A no_exit session reaches to just before the next record, at most 12 h.
        ("+10:00 +11:00", "10:59:59.999", 1),
        ("+10:00 +11:00", "11:00:00", 2),
        ("+10:00", "22:00:00", 1),
        ("+10:00", "22:00:00.001", None),
        ("+10:00 +23:00", "22:30:00", None),  # no end, so no 30 minutes
        ("+10:00 +10:00 -10:00", "10:00:00", 2),
        # A no_entry session contains nothing but has an end.
        ("-10:00", "09:59:59.999", None),
        ("-10:00", "10:00:00", 1),
        ("-10:00", "10:30:00", 1),
        ("-10:00", "10:30:00.001", None),
        ("+10:00 -10:10 -10:20", "10:25:00", 1),  # one with an enter goes first
        ("-10:00 -10:10", "10:15:00", 2),
        ("-10:00 -10:00", "10:15:00", 2),
        # An overlong one is like any other.
        ("+08:00 -21:00", "20:30:00", 1),
        ("+08:00 -21:00", "21:30:00", 1),
        # Of others nothing.
        ("v/+10:00 v/-10:30", "10:15:00", None),
    ],
)
def test_attachment(landing, story, ordered_at, attached_to):
    landing.put("face_visits", *visits(story))
    landing.put("orders", {"ordered_at": at(ordered_at)})
    (line,) = landing.compute().order_lines
    assert line["session_id"] == (attached_to and f"g1-b-{attached_to}")


def test_orders_without_user_are_not_attached(landing):
    landing.put("face_visits", *visits("+10:00 -10:30"))
    landing.put("orders", {"user_id": None, "ordered_at": at("10:15:00")})
    assert landing.compute().order_lines[0]["session_id"] is None
