"""schedules: rows of the catalogue from the shell."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dbadmin.models import AuditEvent, Database, Schedule, ScheduleRun, Storage
from tests.factories import make_application, make_database, make_retention, make_schedule, make_storage

pytestmark = pytest.mark.django_db
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop() -> Database:
    return make_database(slug="shop")


@pytest.fixture
def cellar() -> Storage:
    return make_storage(name="cellar", is_default=True)


def schedules(capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = 0
    try:
        call_command("schedules", *arguments, "--json")
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(capsys.readouterr().out)


def test_a_template_needs_only_a_name_and_of_what(shop: Database, capsys: Capture) -> None:
    code, out = schedules(capsys, "add", "--name", "night", "--template", "daily", "--database", "shop")
    [row] = out["results"]
    assert (code, row["when"], row["kind"], row["databases"]) == (0, "Every day at 03:00", "backup", ["shop"])
    assert Schedule.objects.get().next_due_at is not None
    assert AuditEvent.objects.filter(action="schedule.add", actor__startswith="shell:").exists()


def test_everything_can_be_said(cellar: Storage, capsys: Capture) -> None:
    make_application(slug="camp")
    make_retention(name="a month")
    _code, out = schedules(
        capsys, "add", "--name", "w", "--every", "week", "--weekday", "1", "--time", "02:30", "--application", "camp",
        "--time-zone", "Asia/Tokyo", "--storage", "cellar=a month", "--scope", "schema", "--start-window", "60",
        "--catch-up", "all", "--overlap", "queue", "--retries", "0", "--retry-minutes", "9", "--deadline", "30",
    )  # fmt: skip
    [row] = out["results"]
    assert (row["expression"], row["when"], row["time_zone"]) == ("30 2 * * 1", "Mondays at 02:30", "Asia/Tokyo")
    assert row["storages"] == [{"storage": "cellar", "retention": "a month"}]
    assert (row["target"], row["application"], row["retries"], row["deadline_minutes"]) == (
        "application",
        "camp",
        0,
        30,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--template", "daily", "--all"], 4, "--name"),
        (["--name", "n", "--template", "daily"], 4, "Say of what"),
        (["--name", "n", "--all"], 4, "Say when"),
        (["--name", "n", "--all", "--template", "never"], 4, "no template"),
        (["--name", "n", "--all", "--expression", "0 0 31 2 *"], 4, "never comes"),
        (["--name", "n", "--all", "--template", "daily", "--time-zone", "Mars"], 4, "no time zone"),
        (["--name", "n", "--all", "--expression", "0 3 * * *", "--every", "day"], 4, "not both"),
        (["--name", "n", "--all", "--time", "03:00", "--template", "daily"], 4, "go with --every"),
        (["--name", "n", "--database", "none", "--template", "daily"], 4, "no database"),
        (["--name", "n", "--application", "none", "--template", "daily"], 4, "no application"),
        (["--name", "n", "--all", "--template", "daily", "--storage", "attic"], 4, "no storage"),
        (["--name", "n", "--all", "--template", "daily", "--storage", "cellar=x"], 4, "no retention"),
        (["--name", "n", "--all", "--template", "daily", *["--storage", "cellar"] * 2], 4, "“cellar” is named twice"),
        (["--name", "n", "--all", "--template", "drill", "--storage", "cellar"], 4, "Only a backup is written"),
        (["--name", "taken", "--all", "--template", "daily"], 4, "already"),
        (["--name", "n" * 3000, "--all", "--template", "daily"], 4, "Name: Ensure this value has at most 100"),
        (["--name", " ", "--all", "--template", "daily"], 4, "Name: This field cannot be blank."),
        (["--name", "two\nlines", "--all", "--template", "daily"], 4, "Name: Write it on one line"),
        (["--name", "n", "--label", "l" * 3000, "--template", "daily"], 4, "Label: Ensure this value has at most 50"),
        (["--name", "n", "--label", "l\u2028l", "--template", "daily"], 4, "Label: Write it on one line"),
        (["--name", "n", "--all", "--expression", "0 3 " + "1," * 99 + "1 * *"], 4, "at most 100"),
    ],
)
def test_what_means_nothing_is_refused_and_leaves_nothing(
    cellar: Storage, capsys: Capture, arguments: list[str], code: int, said: str
) -> None:
    make_schedule(name="taken")
    found, out = schedules(capsys, "add", *arguments)
    assert (found, said in out["error"]["message"]) == (code, True), out
    assert Schedule.objects.count() == 1


@pytest.mark.parametrize(
    ("option", "most"),
    [("--retries", 100), ("--retry-minutes", 1440), ("--start-window", 43200), ("--deadline", 43200)],
)
def test_numbers_have_an_end(option: str, most: int, capsys: Capture) -> None:
    make_schedule(name="night")
    assert schedules(capsys, "edit", "night", option, str(most))[0] == 0
    with pytest.raises(CommandError, match=f"no whole number from 0 to {most}"):
        call_command("schedules", "edit", "night", option, str(most + 1))


def test_a_label_that_nobody_has_is_taken_and_told(shop: Database, capsys: Capture) -> None:
    adding = ("add", "--name", "n", "--template", "daily", "--label", "large ")
    code, out = schedules(capsys, *adding)
    assert (code, out["results"][0]["label"]) == (0, "large")
    assert out["results"][0]["note"].startswith("No database has the label “large” now")
    call_command("schedules", "edit", "n", "--retries", "1")
    assert "No database has the label “large” now" in capsys.readouterr().out
    Database.objects.update(labels="large, eu")
    assert schedules(capsys, "edit", "n", "--retries", "2")[1]["results"][0]["note"] == ""


def test_what_is_wrong_changes_nothing_of_a_schedule(capsys: Capture) -> None:
    schedule = make_schedule(name="night")
    assert schedules(capsys, "edit", "night", "--name", "", "--retries", "1")[0] == 4
    schedule.refresh_from_db()
    assert (schedule.name, schedule.retries) == ("night", 2)


def test_editing_changes_what_is_given_and_nothing_else(shop: Database, cellar: Storage, capsys: Capture) -> None:
    schedule = make_schedule(name="night")
    due = schedule.next_due_at
    schedules(capsys, "edit", "night", "--retries", "7", "--storage", "cellar")
    schedule.refresh_from_db()
    assert (schedule.retries, schedule.expression, schedule.next_due_at) == (7, "0 3 * * *", due)
    schedules(capsys, "edit", str(schedule.pk), "--name", "hourly", "--every", "hour", "--minute", "15")
    schedule.refresh_from_db()
    assert (schedule.name, schedule.expression, schedule.next_due_at != due) == ("hourly", "15 * * * *", True)
    assert schedule.destinations.count() == 1


def test_pausing_resuming_and_removing_are_recorded(capsys: Capture) -> None:
    schedule = make_schedule(name="night")
    schedules(capsys, "disable", "night")
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_due_at) == (False, None)
    schedules(capsys, "enable", "night")
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_due_at is not None) == (True, True)
    assert schedules(capsys, "remove")[0] == 4
    assert schedules(capsys, "remove", "night")[0] == 0
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["schedule.pause", "schedule.resume", "schedule.remove"]
    assert schedules(capsys, "show", "night")[0] == 4


def test_runs_and_what_is_next_are_listed(shop: Database, capsys: Capture) -> None:
    schedule, later = make_schedule(name="night"), make_schedule(name="later", enabled=False)
    for row, state in ((schedule, "failed"), (later, "missed")):
        assert row.next_due_at
        ScheduleRun.objects.create(schedule=row, database=shop, due_at=row.next_due_at, state=state)
    assert [row["state"] for row in schedules(capsys, "runs", "--state", "missed")[1]["results"]] == ["missed"]
    assert len(schedules(capsys, "runs", "--database", "shop")[1]["results"]) == 2
    assert [row["name"] for row in schedules(capsys, "next")[1]["results"]] == ["night"]
    assert len(schedules(capsys, "show", "night", "--count", "3")[1]["results"][0]["coming"]) == 3
    for verb in ("list", "next", "runs"):
        call_command("schedules", verb)
        assert "night" in capsys.readouterr().out


def test_a_zone_that_is_unknown_here_hides_no_schedule(shop: Database, capsys: Capture) -> None:
    schedule = make_schedule(name="night", time_zone="Mars/Base")
    ScheduleRun.objects.create(schedule=schedule, database=shop, due_at=datetime(2026, 3, 28, 2, tzinfo=UTC))
    code, out = schedules(capsys, "show", "night")
    assert (code, out["results"][0]["coming"]) == (0, [])
    assert out["results"][0]["when"].startswith("There is no time zone “Mars/Base”.")
    call_command("schedules", "runs")
    assert "2026-03-28 02:00 UTC (time zone Mars/Base is unknown here)" in capsys.readouterr().out
    assert schedules(capsys, "disable", "night")[0] == 0
    assert schedules(capsys, "enable", "night")[0] != 0
    assert schedules(capsys, "remove", "night")[0] == 0


def test_what_does_not_run_has_no_next_moment(shop: Database, capsys: Capture) -> None:
    make_schedule(name="martian", time_zone="Mars/Base")
    make_schedule(name="large", target="label", label="large")
    make_schedule(name="night")
    call_command("schedules", "list")
    large, martian, night = capsys.readouterr().out.strip().splitlines()
    assert "Every day at 03:00 (Mars/Base)  does not run: There is no time zone “Mars/Base”." in martian
    assert "does not run: No database has the label “large” now" in large
    assert "  next 2" in night
    assert [row["name"] for row in schedules(capsys, "next")[1]["results"]] == ["night"]
    Database.objects.update(labels="large")
    assert {row["name"] for row in schedules(capsys, "next")[1]["results"]} == {"night", "large"}


def test_the_units_of_systemd_are_printed(capsys: Capture) -> None:
    files = [row["file"] for row in schedules(capsys, "systemd")[1]["results"]]
    assert files == ["dbadmin-tick.service", "dbadmin-tick.timer"]


def test_what_becomes_a_drill_writes_nowhere_any_more(cellar: Storage, capsys: Capture) -> None:
    schedules(capsys, "add", "--name", "night", "--template", "daily", "--all", "--storage", "cellar")
    code, out = schedules(capsys, "edit", "night", "--kind", "drill")
    assert (code, out["results"][0]["storages"]) == (0, [])
    assert not cellar.destinations.exists()
