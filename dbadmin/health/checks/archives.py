"""Whether what the catalogue lists is in the storages, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from dbadmin.choices import Verdict
from dbadmin.health.registry import ALL, Observation, Result, check
from dbadmin.text import Text

LOOKED_DAYS = 3
UNDELETED = timedelta(days=1)


@check("archives", Text("Archives in their storages"), engines=ALL, live=False)
def archives(seen: Observation) -> Result:
    """Nothing to restore from is critical, for ever or for now; what others can replace is a warning."""
    found = seen.archives
    if found.vanished_backups:
        return Result(
            verdict=Verdict.CRITICAL,
            message=Text("Backups whose archive has vanished: {count}.", count=found.vanished_backups),
            hint=Text("Look who deleted or moved it. Bring it back, or delete the backup from the list; back up now."),
            value=found.vanished_backups,
        )
    if found.is_cut_off:
        return Result(
            verdict=Verdict.CRITICAL,
            message=Text("All its backups are where they cannot be read now: {names}.", names=", ".join(found.away)),
            hint=Text("The pages of these storages say why. Nothing can be restored until one of them answers; back up "
                      "now to another one."),
            value=len(found.away),
        )  # fmt: skip
    if found.away:
        return Result(
            verdict=Verdict.WARNING,
            message=Text("Storages that could not be looked into: {names}.", names=", ".join(found.away)),
            hint=Text("Their pages say why. What lies there cannot be restored until they answer."),
            value=len(found.away),
        )
    if found.vanished_copies:
        return vanished(found.vanished_copies)
    if found.ill:
        return _ill(found.ill)
    return _when_looked(seen) or Result(
        verdict=Verdict.OK, message=Text("Every archive was there when it was last looked for."), value=0
    )


def vanished(count: int) -> Result:
    """Say of so many copies that they are not where they were."""
    return Result(
        verdict=Verdict.WARNING,
        message=Text("Copies that have vanished, of backups that have others: {count}.", count=count),
        hint=Text("They are made again by themselves. Look who deleted or moved them."),
        value=count,
    )


def _ill(names: Sequence[str]) -> Result:
    return Result(
        verdict=Verdict.WARNING,
        message=Text("Storages that can be read, but cannot be relied on for new backups: {names}.",
                     names=", ".join(names)),
        hint=Text("Their pages say why, such as a full disk. What lies there can be restored."),
        value=len(names),
    )  # fmt: skip


@check("copies", Text("Backups in all their storages"), engines=ALL, live=False)
def copies(seen: Observation) -> Result:
    """One copy is enough to restore, and not enough to survive the loss of its storage."""
    found = seen.archives
    if not found.without:
        return _when_looked(seen) or Result(
            verdict=Verdict.OK, message=Text("Every copy is where it should be, or on its way."), value=0
        )
    return Result(
        verdict=Verdict.WARNING,
        message=Text("{count} backups are not in all their storages; {names} could not take them.",
                     count=found.partial, names=", ".join(found.without)),
        hint=Text("It is tried again by itself. The pages of the storages say what is wrong there."),
        value=found.partial,
    )  # fmt: skip


@check("orphans", Text("Nothing unknown in the storages"), engines=ALL, live=False)
def orphans(seen: Observation) -> Result:
    """Nobody deletes what the catalogue does not know; somebody has to look."""
    count = seen.archives.orphans
    if not count:
        return _when_looked(seen) or Result(
            verdict=Verdict.OK, message=Text("No archive is there that belongs to no backup."), value=0
        )
    return Result(
        verdict=Verdict.WARNING,
        message=Text("Archives that belong to no backup of the list: {count}.", count=count),
        hint=Text("The page of their storage names them. Adopt what is worth keeping, and delete the rest there."),
        value=count,
    )


@check("released", Text("Released copies are deleted"), engines=ALL, live=False)
def released(seen: Observation) -> Result:
    """A storage that is away for a night is no news; one that keeps what was released fills up, or is locked."""
    found = seen.archives
    if found.undeleted_since is None or seen.now - found.undeleted_since < UNDELETED:
        return Result(verdict=Verdict.SKIPPED, message=Text("Nothing waits for long to be deleted."))
    return Result(
        verdict=Verdict.WARNING,
        message=Text("{count} copies that retention has released could not be deleted for {days} days. {reason}",
                     count=found.undeleted, days=(seen.now - found.undeleted_since).days,
                     reason=found.undeleted_because or ""),
        hint=Text("It is tried again every hour, so copies that are locked go when their lock ends. Keep them for as "
                  "long as the lock lasts, and this is not said."),
        value=found.undeleted,
    )  # fmt: skip


def _when_looked(seen: Observation) -> Result | None:
    """Nothing is green that nobody has looked at lately."""
    if seen.archives.looked_at is None:
        return Result(verdict=Verdict.SKIPPED, message=Text("The storages have not been looked into yet."))
    days = (seen.now - seen.archives.looked_at).total_seconds() / 86400
    if days < LOOKED_DAYS:
        return None
    return Result(
        verdict=Verdict.WARNING,
        message=Text("The storages were last looked into {days} days ago.", days=round(days)),
        hint=Text("It happens once a day by itself. See why the jobs “Reconcile with storages” do not succeed."),
        value=days,
    )
