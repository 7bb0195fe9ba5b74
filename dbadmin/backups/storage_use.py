"""What is in each storage, how it grows, and what that costs: read from the catalogue, no storage is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from django.core.cache import cache
from django.db.models import Count, Sum

from dbadmin.backups.forecast import Forecast, forecast
from dbadmin.choices import CopyState
from dbadmin.models import Copy, Database, Storage, StorageSample

GIGABYTE = 1 << 30  # as pages show sizes
LOOK_BACK = timedelta(days=90)
KEPT = (CopyState.STORED, CopyState.DAMAGED, CopyState.EXPIRING)
DUE = (CopyState.WAITING, CopyState.FAILED)


@dataclass(frozen=True, kw_only=True)
class Use:
    """A storage with what it holds. Sizes are bytes; ``free`` is what the newest sample saw, None where unknown."""

    storage: Storage
    archives: int = 0
    used: int = 0
    waiting: int = 0
    failed: int = 0
    damaged: int = 0
    free: int | None = None
    samples: Sequence[StorageSample] = field(default_factory=tuple)

    @property
    def missing(self) -> int:
        """Copies that are not there yet."""
        return self.waiting + self.failed

    @property
    def is_ill(self) -> bool:
        """Whether somebody has to look after it: it cannot be used, or what was to be in it is not, or not whole."""
        return bool(self.storage.problem or self.storage.is_locked or self.failed or self.damaged)

    @property
    def room(self) -> int | None:
        """What can still be stored: the smaller of what is free and what the quota leaves."""
        quota = self.storage.quota_bytes
        left = [each for each in (self.free, None if quota is None else quota - self.used) if each is not None]
        return max(0, min(left)) if left else None

    @property
    def percent(self) -> int | None:
        """How much of the quota, or of what it could hold, is used, 0 to 100."""
        whole = self.storage.quota_bytes or (None if self.free is None else self.used + self.free)
        return min(100, round(100 * self.used / whole)) if whole else None

    @property
    def forecast(self) -> Forecast:
        """When it will be full, judged by the last 90 days."""
        if not self.samples:
            return forecast((), room=self.room)
        since = self.samples[-1].day - LOOK_BACK
        measured = [(each.day, each.used_bytes) for each in self.samples if each.day >= since]
        return forecast(measured, room=self.room)

    @property
    def cost(self) -> Decimal | None:
        """What a month costs, in the storage's currency."""
        price = self.storage.cost_per_gigabyte
        return None if price is None else (price * self.used / GIGABYTE).quantize(Decimal("0.01"))


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one database has in a storage."""

    database: Database
    archives: int
    size: int


def uses(storages: Iterable[Storage], *, since: date) -> list[Use]:
    """Return each storage with its figures and its samples since a day, in their order. Two queries."""
    storages = list(storages)
    counts, samples = _counts(storages), _samples(storages, since)
    return [_use(storage, counts[storage.pk], samples[storage.pk]) for storage in storages]


def shares(use: Use) -> list[Share]:
    """Return what each database has in a storage, the largest first.

    Adding up takes a second where there are a hundred thousand archives, so it is done again only when one has come
    or gone.
    """
    key = f"shares-{use.storage.pk}-{use.archives}-{use.used}"
    rows: list[tuple[int, int, int]] | None = cache.get(key)
    if rows is None:
        kept = Copy.objects.order_by().filter(storage=use.storage, state__in=KEPT)
        rows = list(kept.values_list("backup__database").annotate(Count("pk"), Sum("size")))
        cache.set(key, rows, timeout=24 * 3600)
    databases = Database.objects.select_related("application").in_bulk([pk for pk, _archives, _size in rows])
    found = [Share(database=databases[pk], archives=archives, size=size) for pk, archives, size in rows]
    return sorted(found, key=lambda share: (-share.size, str(share.database)))


def _use(storage: Storage, counts: dict[str, tuple[int, int]], samples: list[StorageSample]) -> Use:
    kept = [counts.get(state, (0, 0)) for state in KEPT]
    return Use(
        storage=storage,
        archives=sum(number for number, _size in kept),
        used=sum(size for _number, size in kept),
        waiting=counts.get(CopyState.WAITING, (0, 0))[0],
        failed=counts.get(CopyState.FAILED, (0, 0))[0],
        damaged=counts.get(CopyState.DAMAGED, (0, 0))[0],
        free=samples[-1].free_bytes if samples else None,
        samples=tuple(samples),
    )


def _counts(storages: list[Storage]) -> dict[int, dict[str, tuple[int, int]]]:
    rows = Copy.objects.order_by().filter(state__in=(*KEPT, *DUE), storage__in=storages)
    found: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
    for state, storage, number, size in rows.values_list("state", "storage").annotate(Count("pk"), Sum("size")):
        found[storage][state] = (number, size or 0)
    return found


def _samples(storages: list[Storage], since: date) -> dict[int, list[StorageSample]]:
    found: dict[int, list[StorageSample]] = defaultdict(list)
    for sample in StorageSample.objects.filter(storage__in=storages, day__gte=since).order_by("day"):
        found[sample.storage_id].append(sample)
    return found
