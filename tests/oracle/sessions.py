"""From clean records to behaviour: who is who, sessions, and the session that each order line belongs to."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path

from tests.oracle.judgement import read_day
from tests.oracle.segments import folder_date, names_in
from tests.oracle.site import Site

OVERLONG = timedelta(hours=12)
ATTACH_AFTER_END = timedelta(minutes=30)

# Who is who -----------------------------------------------------------------------------------------------------------


def recorded_order(record: dict) -> tuple:
    """Latest by (recorded_at, gateway_id, boot_id, seq)."""
    return (record["recorded_at"], *record["identity"])


def resolve_users(site: Site, landing: Path, event_date: date, clean: dict[str, list[dict]]) -> None:
    """With identity "linked", face visits get the member's id that was linked last up to the end of the event date."""
    if site.identity != "linked":
        return
    links = list(clean["identity_links"])
    for folder_name in names_in(landing / "identity_links"):
        earlier = folder_date(folder_name)
        if earlier is not None and earlier < event_date:
            links += read_day(landing, site, "identity_links", earlier).clean
    latest: dict[str, dict] = {}
    for link in links:
        known = latest.get(link["terminal_user_id"])
        if known is None or recorded_order(link) > recorded_order(known):
            latest[link["terminal_user_id"]] = link
    for visit in clean["face_visits"]:
        link = latest.get(visit["source_user_id"])
        if link is not None and link["action"] == "link":
            visit["user_id"] = link["member_user_id"]


# Sessions -------------------------------------------------------------------------------------------------------------


def form_sessions(visits: list[dict]) -> list[dict]:
    """Sessions of all users of all venues on one event date, from clean face visits."""
    visits_of: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for visit in visits:
        visits_of[visit["venue_id"], visit["user_id"]].append(visit)
    sessions = []
    for key in sorted(visits_of):
        records = sorted(visits_of[key], key=recorded_order)
        position = 0
        while position < len(records):
            record = records[position]
            following = records[position + 1] if position + 1 < len(records) else None
            if record["direction"] == "leave":
                sessions.append(session("no_entry", enter=None, leave=record, following=following))
                position += 1
            elif following is not None and following["direction"] == "leave":
                lasted = following["recorded_at"] - record["recorded_at"]
                state = "overlong" if lasted > OVERLONG else "complete"
                sessions.append(session(state, enter=record, leave=following, following=None))
                position += 2
            else:
                sessions.append(session("no_exit", enter=record, leave=None, following=following))
                position += 1
    return sessions


def session(state: str, enter: dict | None, leave: dict | None, following: dict | None) -> dict:
    named_by = enter or leave
    return {
        "session_id": "{}-{}-{}".format(*named_by["identity"]),
        "venue_id": named_by["venue_id"],
        "user_id": named_by["user_id"],
        "state": state,
        "enter_at": enter and enter["recorded_at"],
        "leave_at": leave and leave["recorded_at"],
        "enter_identity": enter and enter["identity"],
        "leave_identity": leave and leave["identity"],
        "hour": enter and enter["hour"],  # of the enter
        # How far a no_exit session reaches: to just before the user's next record, if there is one.
        "reaches_before": following["recorded_at"] if state == "no_exit" and following is not None else None,
    }


# Order lines ----------------------------------------------------------------------------------------------------------


def mark_superseded(lines: list[dict]) -> None:
    """Of the lines of one (venue, order_id, order_no) the one recorded last is current."""
    current: dict[tuple, dict] = {}
    for line in lines:
        key = (line["venue_id"], line["order_id"], line["order_no"])
        if key not in current or recorded_order(line) > recorded_order(current[key]):
            current[key] = line
    for line in lines:
        line["superseded"] = line is not current[line["venue_id"], line["order_id"], line["order_no"]]


def attach(lines: list[dict], sessions: list[dict]) -> list[dict]:
    """The current lines, each with the session of its user at its venue that it belongs to, or None."""
    sessions_of: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for candidate in sessions:
        sessions_of[candidate["venue_id"], candidate["user_id"]].append(candidate)
    attached = []
    for line in lines:
        if line["superseded"]:
            continue
        own = [] if line["user_id"] is None else sessions_of[line["venue_id"], line["user_id"]]
        candidates = [s for s in own if contains(s, line["ordered_at"])]
        if not candidates:
            candidates = [s for s in own if ended_shortly_before(s, line["ordered_at"])]
        chosen = max(candidates, key=latest_enter) if candidates else None
        attached.append(line | {"session_id": chosen and chosen["session_id"], "session": chosen})
    return attached


def contains(session: dict, instant: datetime) -> bool:
    if session["state"] in ("complete", "overlong"):
        return session["enter_at"] <= instant <= session["leave_at"]
    if session["state"] == "no_exit":
        before_next = session["reaches_before"] is None or instant < session["reaches_before"]
        return session["enter_at"] <= instant <= session["enter_at"] + OVERLONG and before_next
    return False  # no_entry has no extent


def ended_shortly_before(session: dict, instant: datetime) -> bool:
    if session["leave_at"] is None:
        return False
    return timedelta(0) <= instant - session["leave_at"] <= ATTACH_AFTER_END


def latest_enter(session: dict) -> tuple:
    """Sorts by enter; sessions without one come below all that have one, among themselves by leave."""
    if session["enter_at"] is not None:
        return (1, session["enter_at"], session["enter_identity"])
    return (0, session["leave_at"], session["leave_identity"])
