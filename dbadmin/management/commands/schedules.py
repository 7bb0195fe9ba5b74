"""What happens by the clock: schedules, their runs, and who makes the clock tick."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin import audit, crontab
from dbadmin.backups import own
from dbadmin.backups.defaults import create_default_retentions
from dbadmin.backups.keys import unlike_keys
from dbadmin.choices import RunState
from dbadmin.exceptions import UsageError
from dbadmin.idle import running
from dbadmin.jobs import workers
from dbadmin.jobs.schedules import save_schedule, unheard_label
from dbadmin.judged import backed_up_by
from dbadmin.management.command import CRITICAL, DONE, WARNING, Outcome, VerbCommand, find_database
from dbadmin.management.letting_go import add_let_go, require_wanted, told
from dbadmin.management.schedules import (
    add_fields,
    change,
    coming,
    find_schedule,
    local,
    run_line,
    run_row,
    schedule_lines,
    schedule_row,
    template,
)
from dbadmin.management.values import whole
from dbadmin.models import Schedule, ScheduleRun
from dbadmin.text import Text
from dbadmin.timetable import TEMPLATES


class Command(VerbCommand):
    """Schedules are rows of the catalogue; the crontab has one line that never changes."""

    help = "List and change schedules, see their runs, and have cron tick."
    verbs = {
        "list": "the schedules, and when each runs next",
        "show": "one schedule with its next moments",
        "add": "a new schedule",
        "edit": "change a schedule",
        "enable": "let a paused schedule run again, from now on",
        "disable": "pause a schedule",
        "remove": "remove a schedule; its backups stay",
        "runs": "what became of the moments that have come",
        "next": "what is due next",
        "install": "have cron tick every minute: one line in the crontab of this user",
        "status": "whether that line is there and a cron runs",
        "uninstall": "take the line out again",
        "systemd": "print a service and a timer that tick every minute",
    }

    def do_list(self, options: dict[str, Any]) -> Outcome:
        """List all."""
        found = list(Schedule.objects.select_related("application").prefetch_related("databases"))
        return Outcome(results=[schedule_row(each) for each in found], lines=schedule_lines(found))

    def add_show(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("schedule", metavar="NAME|ID")
        parser.add_argument("--count", type=whole(1, 1000), default=5, help="how many moments; default: %(default)s")

    def do_show(self, options: dict[str, Any]) -> Outcome:
        """Show one."""
        found = find_schedule(options["schedule"])
        ahead = coming(found, options["count"], now=timezone.now())
        row = schedule_row(found)
        return Outcome(
            results=[row | {"coming": ahead}],
            lines=[*(f"{name}: {value}" for name, value in row.items()), *(local(each, found) for each in ahead)],
        )

    def add_add(self, parser: ArgumentParser) -> None:
        """Add every field."""
        names = [each.name for each in TEMPLATES]
        parser.add_argument("--template", metavar="|".join(names), help="what is not said otherwise is as there")
        add_fields(parser)

    def do_add(self, options: dict[str, Any]) -> Outcome:
        """Make one; of which databases has to be said."""
        fields = template(options["template"]) if options["template"] else {}
        schedule = Schedule(**fields)
        if not options["name"]:
            raise UsageError(Text("Give the schedule a --name."))
        if not any(options[name] for name in ("database", "application", "label", "all")):
            raise UsageError(Text("Say of what: --database, --application, --label or --all."))
        if not (fields or options["expression"] or options["every"]):
            raise UsageError(Text("Say when: --template, --every or --expression."))
        change(schedule, options, action="schedule.add", now=timezone.now())
        return _saved(schedule)

    def add_edit(self, parser: ArgumentParser) -> None:
        """Add which, and every field."""
        parser.add_argument("schedule", metavar="NAME|ID")
        add_fields(parser)
        add_let_go(parser)

    def do_edit(self, options: dict[str, Any]) -> Outcome:
        """Change what is given and nothing else."""
        found = find_schedule(options["schedule"])
        return _saved(found, let_go=change(found, options, action="schedule.change", now=timezone.now()))

    def add_enable(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("schedule", metavar="NAME|ID")

    def do_enable(self, options: dict[str, Any]) -> Outcome:
        """Let it run from now on."""
        return _switched(find_schedule(options["schedule"]), on=True)

    def add_disable(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("schedule", metavar="NAME|ID")

    def do_disable(self, options: dict[str, Any]) -> Outcome:
        """Pause it."""
        return _switched(find_schedule(options["schedule"]), on=False)

    def add_remove(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("schedule", metavar="NAME|ID", nargs="?")
        add_let_go(parser)

    def do_remove(self, options: dict[str, Any]) -> Outcome:
        """Remove it and its runs."""
        if not options["schedule"]:
            raise UsageError(
                Text("Which schedule? None was named."),
                Text("To take the line out of the crontab: manage.py schedules uninstall"),
            )
        found = find_schedule(options["schedule"])
        row = schedule_row(found)
        let_go = _removed(found, wanted=options["let_go"])
        said = [str(Text("“{name}” is removed.", name=found.name)), *told(let_go)]
        return Outcome(results=[row | {"let_go": let_go}], lines=said)

    def add_runs(self, parser: ArgumentParser) -> None:
        """Add filters."""
        parser.add_argument("--schedule", metavar="NAME|ID")
        parser.add_argument("--database", metavar="SLUG")
        parser.add_argument("--state", choices=RunState.values)
        parser.add_argument("--limit", type=whole(1), default=50, help="default: %(default)s")

    def do_runs(self, options: dict[str, Any]) -> Outcome:
        """List the newest."""
        runs = ScheduleRun.objects.select_related("schedule", "database")
        if options["schedule"]:
            runs = runs.filter(schedule=find_schedule(options["schedule"]))
        if options["database"]:
            runs = runs.filter(database=find_database(options["database"]))
        if options["state"]:
            runs = runs.filter(state=options["state"])
        found = list(runs[: options["limit"]])
        return Outcome(results=[run_row(run) for run in found], lines=[run_line(run) for run in found])

    def add_next(self, parser: ArgumentParser) -> None:
        """Add how many."""
        parser.add_argument("--limit", type=whole(1), default=10, help="default: %(default)s")

    def do_next(self, options: dict[str, Any]) -> Outcome:
        """List what is due next, the first one first."""
        rows = running().select_related("application").order_by("next_due_at", "name")
        found = list(rows[: options["limit"]])
        return Outcome(results=[schedule_row(each) for each in found], lines=schedule_lines(found))

    def do_install(self, options: dict[str, Any]) -> Outcome:
        """Put the line in and read it back; from now on the catalogue is backed up, too."""
        copy = crontab.install()
        # an installation that is never served has a catalogue to lose as well
        create_default_retentions()
        own.register()
        audit.record(audit.from_shell(), "crontab.install", copy=str(copy))
        said = [str(Text("cron ticks every minute. What the crontab was before: {path}", path=str(copy)))]
        return _looked(crontab.status(), said, copy=str(copy))

    def do_status(self, options: dict[str, Any]) -> Outcome:
        """Look at the crontab and for a daemon."""
        return _looked(crontab.status(), [])

    def do_uninstall(self, options: dict[str, Any]) -> Outcome:
        """Take the line out and read back."""
        copy = crontab.uninstall()
        audit.record(audit.from_shell(), "crontab.uninstall", copy=str(copy))
        said = str(Text("The line is gone. What the crontab was before: {path}", path=str(copy)))
        return Outcome(results=[{"installed": False, "copy": str(copy)}], lines=[said])

    def do_systemd(self, options: dict[str, Any]) -> Outcome:
        """Print the text; putting it in place is the administrator's."""
        units = crontab.systemd_units()
        return Outcome(
            results=[{"file": name, "text": text} for name, text in units.items()],
            lines=[f"# /etc/systemd/system/{name}\n{text}" for name, text in units.items()],
        )


def _shown(schedule: Schedule) -> Outcome:
    return Outcome(results=[schedule_row(schedule)], lines=schedule_lines([schedule]))


def _saved(schedule: Schedule, *, let_go: int = 0) -> Outcome:
    notes = [str(note) for note in (unheard_label(schedule), unlike_keys(schedule)) if note]
    row = schedule_row(schedule) | {"note": " ".join(notes), "let_go": let_go}
    lines = schedule_lines([schedule])
    lines += [note for note in notes if not lines[0].endswith(note)]
    return Outcome(results=[row], lines=[*lines, *told(let_go)])


def _removed(schedule: Schedule, *, wanted: bool) -> int:
    """Remove it, and return how many archives go by what its storages say; ``Refused`` when that is not wanted."""
    same = Schedule.objects.filter(pk=schedule.pk)
    with transaction.atomic():
        released = require_wanted(same.delete, backed_up_by(schedule), wanted=wanted)
        audit.record(audit.from_shell(), "schedule.remove", schedule)
        schedule.delete()
    return released


def _switched(schedule: Schedule, *, on: bool) -> Outcome:
    schedule.enabled = on
    with transaction.atomic():
        save_schedule(schedule, timezone.now())
        audit.record(audit.from_shell(), "schedule.resume" if on else "schedule.pause", schedule)
    return _shown(schedule)


def _workers(found: crontab.Status) -> Iterator[Text]:
    if workers.gather(timezone.now()).alive:
        yield Text("Workers run, and they tick by themselves.")
    elif not found.is_installed or found.daemon is False:
        yield Text("No worker runs either: nothing that is scheduled begins. Start one: manage.py worker")


def _looked(found: crontab.Status, said: list[str], **details: Any) -> Outcome:
    """Installed and alive is 0, no daemon or no line a warning, a line of another time or place critical."""
    lines = [*said, *found.lines]
    code = DONE
    if not found.lines:
        lines.append(str(Text("The crontab of this user has no line of dbadmin.")))
        code = WARNING
    elif not found.is_installed:
        lines.append(str(Text("The line is not the one that is needed. Run “schedules install” again.")))
        code = CRITICAL
    if found.daemon is False:
        lines.append(str(Text("No cron daemon is seen on this machine.")))
        code = max(code, WARNING)
    lines += [str(sentence) for sentence in _workers(found)]
    row = {"installed": found.is_installed, "lines": found.lines, "expected": found.expected, "daemon": found.daemon}
    return Outcome(results=[row | details], lines=lines, exit_code=code)
