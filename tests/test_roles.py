"""Every address with every role and both methods, from one table. A new page fails here until it is in the table."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from dbadmin.models import Assertion, Comparison, Drill, EncryptionKey, Import, Restore
from dbadmin.roles import ROLES
from tests.factories import make_backup, make_database, make_job, make_retention, make_schedule, make_worker

ANYONE, STAFF = "anyone", "staff"
NEEDED = {
    "login": ANYONE,
    "logout": ANYONE,
    "healthz": ANYONE,
    "set_language": ANYONE,
    "overview": "view_database",
    "overview-live": "view_job",
    "databases": "view_database",
    "database": "view_database",
    "database-add": "add_database",
    "database-edit": "change_database",
    "database-test": "test_database",
    "database-maintain": "maintain_database",
    "database-remove": "delete_database",
    "backups": "view_backup",
    "backup": "view_backup",
    "backup-statistics": "view_backup",
    "backup-day": "view_backup",
    "backup-readiness": "view_backup",
    "backup-run": "run_backup",
    "backup-run-all": "run_backup",
    "backup-download": "download_backup",
    "backup-sql": "download_backup",
    "backup-verify": "run_backup",
    "backup-copy": "run_backup",
    "backup-pin": "run_backup",
    "backup-unpin": "run_backup",
    "backup-delete": "delete_backup",
    "backup-compare": "run_backup",
    "comparison": "view_backup",
    "backup-drill": "run_drill",
    "drills": "view_drill",
    "drill": "view_drill",
    "assertion-add": "add_assertion",
    "assertion-remove": "delete_assertion",
    "restore-new": "run_restore",
    "restore": "view_restore",
    "restore-replace": "run_restore",
    "restore-tables": "run_restore",
    "restore-rows": "run_restore",
    "restore-undo": "run_restore",
    "imports": "run_restore",
    "import-upload": "run_restore",
    "import-choose": "run_restore",
    "import": "run_restore",
    "import-start": "run_restore",
    "keys": "view_encryptionkey",
    "key-add": "add_encryptionkey",
    "key-retire": "change_encryptionkey",
    "key-private": "change_encryptionkey",
    "recovery-kit": "change_encryptionkey",
    "schedules": "view_schedule",
    "schedule": "view_schedule",
    "schedule-add": "add_schedule",
    "schedule-preview": "change_schedule",
    "schedule-edit": "change_schedule",
    "schedule-toggle": "change_schedule",
    "schedule-run": "run_backup",
    "schedule-remove": "delete_schedule",
    "retentions": "view_retention",
    "retention": "view_retention",
    "retention-add": "add_retention",
    "retention-edit": "change_retention",
    "retention-remove": "delete_retention",
    "storages": "view_storage",
    "storage": "view_storage",
    "storage-add": "add_storage",
    "storage-edit": "change_storage",
    "storage-test": "run_backup",
    "storage-default": "change_storage",
    "storage-remove": "delete_storage",
    "storage-return": "add_storage",
    "storage-adopt": "adopt_archive",
    "jobs": "view_job",
    "job": "view_job",
    "job-live": "view_job",
    "job-row": "view_job",
    "job-log": "view_job",
    "job-cancel": "cancel_job",
    "workers": "view_workerprocess",
    "health": "view_finding",
    "health-run": "run_checks",
    "migrations": "view_appliedmigration",
    "migrations-read": "run_checks",
    "audit": "view_auditevent",
    "audit-csv": "view_auditevent",
}
OPEN_IN_ADMIN = {"admin/login/", "admin:logout", "admin:jsi18n"}
USERS = ("nobody", *ROLES, "staff", "superuser")


def addresses(resolver: URLResolver, prefix: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    """Yield key (name, or route where there is none) and route of every page."""
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern).lstrip("^")
        if isinstance(entry, URLResolver):
            yield from addresses(entry, route, f"{entry.namespace}:" if entry.namespace else space)
        elif isinstance(entry, URLPattern):
            yield (space + entry.name if entry.name else route), route


ADDRESSES = dict(addresses(get_resolver()))
PAGES = sorted(key for key in ADDRESSES if not key.startswith("admin"))
ADMIN_PAGES = sorted(key for key in ADDRESSES if key.startswith("admin") and key not in OPEN_IN_ADMIN)
MODELS = sorted({key.split("_")[1] for key in ADMIN_PAGES if key.startswith("admin:dbadmin_")})


@pytest.fixture
def paths(db: None) -> dict[str, str]:
    """Concrete addresses of things that exist."""
    database = make_database()
    backup = make_backup(database=database)
    restore = Restore.objects.create(backup=backup, target="copy", started_at=timezone.now())
    drill = Drill.objects.create(backup=backup, started_at=timezone.now())
    assertion = Assertion.objects.create(database=database, name="one", kind="value", sql="SELECT 1", expected="1")
    job = make_job(database=database, kind="health")
    make_worker()
    now = timezone.now()
    comparison = Comparison.objects.create(left=backup, state="equal", started_at=now, finished_at=now)
    brought = Import.objects.create(file_name="a.dump", path="/nowhere", engine="sqlite", form="sqlite")
    keys = {
        "import": brought.pk,
        "comparison": comparison.pk,
        "backup": backup.pk,
        "restore": restore.pk,
        "job": job.pk,
        "drill": drill.pk,
        "assertion": assertion.pk,
        "storage": backup.storage_id,
        "key": EncryptionKey.objects.create(name="key", recipient="age1key").pk,
        "schedule": make_schedule().pk,
        "retention": make_retention().pk,
    }

    def path(key: str, route: str) -> str:
        of_backup = ("restore-new", "restore-replace", "restore-tables", "restore-rows")
        pk = backup.pk if key in of_backup else keys.get(key.partition("-")[0], 1)
        route = re.sub(r"\(\?P<app_label>([a-z]+)[^)]*\)", r"\1", route).replace("(?P<url>.*)$", "nowhere/")
        route = route.replace("<slug:slug>", database.slug)
        return "/" + re.sub(r"<[^>]+>", str(pk), route).rstrip("$")

    return {key: path(key, route) for key, route in ADDRESSES.items()}


def sign_in(who: str) -> Client:
    client = Client()
    if who == "anonymous":
        return client
    user = User.objects.create_user(who, is_staff=who in ("staff", "superuser"), is_superuser=who == "superuser")
    if who in ROLES or who == "staff":
        user.groups.add(Group.objects.get(name="admin" if who == "staff" else who))
    client.force_login(user)
    return client


def may(who: str, needed: str) -> bool:
    granted = ROLES["admin"] if who == "staff" else ROLES.get(who, frozenset())
    return who == "superuser" or needed in granted


def is_login(response: HttpResponse) -> bool:
    return response.status_code == 302 and "/login/" in response.headers["Location"]


def test_every_page_is_in_the_table() -> None:
    assert set(PAGES) == set(NEEDED)


def test_every_permission_in_the_table_exists(db: None) -> None:
    existing = set(Permission.objects.filter(content_type__app_label="dbadmin").values_list("codename", flat=True))
    assert set(NEEDED.values()) - {ANYONE} <= existing
    assert ROLES["admin"] <= existing


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("key", [key for key in PAGES if NEEDED.get(key) != ANYONE])
def test_strangers_are_sent_to_the_login_page(paths: dict[str, str], key: str, method: str) -> None:
    assert is_login(getattr(Client(), method)(paths[key]))


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("who", USERS)
@pytest.mark.parametrize("key", [key for key in PAGES if NEEDED.get(key) != ANYONE])
def test_a_page_opens_for_exactly_those_who_may(paths: dict[str, str], key: str, who: str, method: str) -> None:
    response = getattr(sign_in(who), method)(paths[key])
    assert not is_login(response)
    assert (response.status_code == 403) != may(who, NEEDED[key])
    assert response.status_code < 500


@pytest.mark.parametrize("key", [key for key in PAGES if NEEDED.get(key) == ANYONE])
def test_open_pages_refuse_nobody(paths: dict[str, str], key: str) -> None:
    assert Client().get(paths[key]).status_code in (200, 302, 405)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("who", ["anonymous", "nobody", *ROLES])
@pytest.mark.parametrize("key", ADMIN_PAGES)
def test_administration_is_for_staff(paths: dict[str, str], key: str, who: str, method: str) -> None:
    response = getattr(sign_in(who), method)(paths[key], follow=True)
    if who == "anonymous":
        assert response.redirect_chain
        assert response.resolver_match.view_name == "login"
    else:
        assert response.status_code == 403


@pytest.mark.parametrize("who", ["staff", "superuser"])
@pytest.mark.parametrize("verb", ["add", "delete"])
@pytest.mark.parametrize(
    "model", sorted({key.split("_")[1] for key in ADMIN_PAGES if key.startswith("admin:dbadmin_")})
)
def test_nobody_edits_the_record_in_administration(paths: dict[str, str], model: str, verb: str, who: str) -> None:
    response = sign_in(who).post(paths[f"admin:dbadmin_{model}_{verb}"], {"post": "yes"})
    assert response.status_code in ((403,) if verb == "add" else (302, 403, 404))


@pytest.mark.parametrize("model", ["backup", "database", "job"])
def test_nobody_changes_a_row_in_administration(paths: dict[str, str], model: str) -> None:
    from django.apps import apps

    row = apps.get_model("dbadmin", model).objects.first()
    assert row is not None
    client = sign_in("superuser")
    assert client.get(f"/admin/dbadmin/{model}/{row.pk}/change/").status_code == 200
    assert client.post(f"/admin/dbadmin/{model}/{row.pk}/change/", {"name": "other"}).status_code == 403
    assert client.post(f"/admin/dbadmin/{model}/{row.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("key", [key for key in ADMIN_PAGES if key.endswith(("_changelist", ":index"))])
def test_lists_of_administration_open_for_superusers(paths: dict[str, str], key: str) -> None:
    assert sign_in("superuser").get(paths[key]).status_code == 200
