from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from dbadmin.backups.storage_places import require_listed
from dbadmin.exceptions import Refused
from dbadmin.models import AuditEvent, Destination, Orphan, Schedule, Storage, StorageSample
from dbadmin.text import Text
from tests.factories import make_backup, make_copy, make_storage

SECRET = "tr0ub4dor&3"
HOSTILE = "<script>alert('x')</script>"


def text(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def growing(storage: Storage, *, days: int = 100, per_day: int = 1 << 30) -> None:
    today = timezone.localdate()
    StorageSample.objects.bulk_create(
        StorageSample(
            storage=storage,
            day=today - timedelta(days=days - day),
            used_bytes=day * per_day,
            archives=day,
            free_bytes=(days - day) * per_day + 30 * per_day,
        )
        for day in range(days)
    )


def test_the_list_says_what_is_in_a_storage_and_what_has_not_arrived(viewer: Client) -> None:
    storage = make_storage(name="Vault", is_default=True, cost_per_gigabyte="0.5", currency="EUR")
    backup = make_backup(storage=storage, size=2 << 30)
    offsite = make_storage(name="Tokyo", is_offsite=True, problem=Text("The disk is full."))
    make_copy(backup=backup, storage=offsite, state="failed", message=Text("Connection cut."))
    page = text(viewer, "/storages/")
    assert "2.0\xa0GB" in page
    assert "1.00 EUR" in page
    assert "The disk is full." in page
    assert "1 copy has not arrived" in page


def test_the_heading_says_how_the_storages_are(viewer: Client) -> None:
    assert "Nothing is stored anywhere yet" in text(viewer, "/storages/")
    vault = make_storage(name="Vault")
    assert "1 storage, none in another place" in text(viewer, "/storages/")
    tokyo = make_storage(name="Tokyo", is_offsite=True)
    waiting = make_copy(backup=make_backup(storage=vault), storage=tokyo, state="waiting")
    assert "2 storages, none needs attention" in text(viewer, "/storages/")
    waiting.state = "damaged"
    waiting.save()
    page = text(viewer, "/storages/")
    assert "1 of 2 storages needs attention" in page
    assert "1 damaged" in page
    Storage.objects.filter(pk=vault.pk).update(problem=Text("The disk is full."))
    assert "2 of 2 storages need attention" in text(viewer, "/storages/")


def test_the_forecast_says_when_it_will_be_full(viewer: Client) -> None:
    storage = make_storage(quota_bytes=250 << 30)
    make_backup(storage=storage, size=100 << 30)
    growing(storage)
    page = text(viewer, storage.get_absolute_url())
    assert "Full in about 4 weeks." in page
    assert 'class="line ahead"' in page
    assert "As a table" in page


def test_one_storage_shows_what_waits_what_is_unknown_and_who_writes(viewer: Client) -> None:
    storage = make_storage()
    retry = timezone.now() + timedelta(hours=1)
    make_copy(backup=make_backup(), storage=storage, state="failed", message=Text("Connection cut."), retry_at=retry)
    Orphan.objects.create(storage=storage, key="lost/1", size=5)
    schedule = Schedule.objects.create(name="Nightly", expression="0 3 * * *")
    Destination.objects.create(schedule=schedule, storage=storage)
    page = text(viewer, storage.get_absolute_url())
    for words in ("Connection cut.", "lost/1", "without manifest", "Nightly"):
        assert words in page


def test_hostile_names_are_text(viewer: Client) -> None:
    storage = make_storage(name=HOSTILE, settings={"path": f"/{HOSTILE}"}, problem=Text("{x}", x=HOSTILE))
    backup = make_backup(storage=storage)
    backup.database.name = HOSTILE
    backup.database.save()
    growing(storage)
    Orphan.objects.create(storage=storage, key=HOSTILE, size=5)
    for path in ("/storages/", storage.get_absolute_url()):
        page = text(viewer, path)
        assert HOSTILE not in page
        assert "&lt;script&gt;" in page


def test_a_viewer_sees_no_buttons(viewer: Client) -> None:
    storage = make_storage()
    assert f"/storages/{storage.pk}/edit/" not in text(viewer, storage.get_absolute_url())


def folder() -> Path:
    return Path(settings.HOME) / "archives" / "second"


def test_adding_a_folder(admin: Client) -> None:
    form = {"name": "Second", "storage-path": str(folder()), "quota": "2.5", "currency": "jpy"}
    admin.post("/storages/add/?kind=local", form)
    storage = Storage.objects.get()
    assert storage.settings == {"path": str(folder())}
    assert (storage.quota_bytes, storage.currency) == (2_684_354_560, "JPY")
    assert storage.is_default
    assert AuditEvent.objects.filter(action="storage.add").exists()


@pytest.mark.parametrize(
    "place", ["/etc", "/", "/srv/archives", pytest.param(str(settings.HOME), id="home"), "/etc/../var"]
)
def test_a_folder_that_nobody_named_is_refused_on_the_web(admin: Client, place: str) -> None:
    page = admin.post("/storages/add/?kind=local", {"name": "Second", "storage-path": place}).content.decode()
    assert "alert-danger" in page or "invalid-feedback" in page
    assert not Storage.objects.exists()


def test_a_key_that_cannot_be_is_none_of_the_choices(admin: Client) -> None:
    form = {"name": "Vault", "storage-path": str(folder()), "keys": "9" * 24}
    page = admin.post("/storages/add/?kind=local", form).content.decode()
    assert f"{'9' * 24} is not one of the available choices." in page
    assert not Storage.objects.exists()


@pytest.mark.parametrize("remote", ["local", "disk:"])
def test_rclone_is_no_way_around_that(admin: Client, remote: str) -> None:
    form = {"name": "Second", "storage-remote": remote, "storage-path": "/etc"}
    assert admin.post("/storages/add/?kind=rclone", form).status_code == 200
    assert not Storage.objects.exists()
    with pytest.raises(Refused):
        require_listed("rclone", {"remote": remote, "path": "/etc"})


def test_a_link_out_of_a_named_folder_is_refused(
    admin: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "STORAGE_FOLDERS", [str(tmp_path)])
    (tmp_path / "out").symlink_to("/etc")
    admin.post("/storages/add/?kind=local", {"name": "Second", "storage-path": str(tmp_path / "out")})
    assert not Storage.objects.exists()
    admin.post("/storages/add/?kind=local", {"name": "Second", "storage-path": str(tmp_path / "in")})
    assert Storage.objects.exists()


@pytest.mark.django_db
def test_beside_a_storage_does_not_lead_up_folder_by_folder(tmp_path: Path) -> None:
    make_storage(tmp_path / "backups" / "first")
    require_listed("local", {"path": str(tmp_path / "backups" / "second")})
    with pytest.raises(Refused):
        require_listed("local", {"path": str(tmp_path / "backups")})


S3 = {"name": "Cloud", "storage-bucket": "archives", "storage-endpoint": "https://s3.example.org"}


def cloud(client: Client) -> Storage:
    keys = {"storage-access_key_id": "AKIA", "storage-secret_access_key": SECRET}
    client.post("/storages/add/?kind=s3", S3 | keys)
    return Storage.objects.get()


def test_a_secret_is_stored_encrypted_and_never_shown_again(admin: Client) -> None:
    storage = cloud(admin)
    assert storage.secrets == {"secret_access_key": SECRET}
    assert SECRET not in str(storage.settings) + storage.encrypted_secrets
    for path in ("", "edit/", "remove/"):
        assert SECRET not in text(admin, storage.get_absolute_url() + path)
    assert SECRET not in str(list(AuditEvent.objects.values()))


def test_what_was_typed_is_not_shown_after_a_mistake(admin: Client) -> None:
    form = {"name": "", "storage-remote": "sftp", "storage-path": "x", "storage-secret_options": f"pass = {SECRET}"}
    assert SECRET not in admin.post("/storages/add/?kind=rclone", form).content.decode()


def test_an_empty_secret_keeps_the_stored_one_and_forget_empties_it(admin: Client) -> None:
    storage = cloud(admin)
    admin.post(f"/storages/{storage.pk}/edit/", S3 | {"storage-region": "eu-central-1"})
    storage.refresh_from_db()
    assert storage.settings["region"] == "eu-central-1"
    assert storage.secrets == {"secret_access_key": SECRET}
    admin.post(f"/storages/{storage.pk}/edit/", S3 | {"storage-forget_secret_access_key": "on"})
    storage.refresh_from_db()
    assert storage.secrets == {}


def test_a_stored_secret_is_not_told_to_another_server(admin: Client) -> None:
    storage = cloud(admin)
    evil = S3 | {"storage-endpoint": "https://evil.example.org"}
    for extra in ({}, {"test": "1"}):
        page = admin.post(f"/storages/{storage.pk}/edit/", evil | extra).content.decode()
        assert "Type it again" in page
    storage.refresh_from_db()
    assert storage.settings["endpoint"] == S3["storage-endpoint"]
    admin.post(f"/storages/{storage.pk}/edit/", evil | {"storage-secret_access_key": "new"})
    storage.refresh_from_db()
    assert storage.secrets == {"secret_access_key": "new"}


def moved(client: Client, storage: Storage, to: Path) -> str:
    form = {"name": storage.name, "storage-path": str(to)}
    return client.post(f"/storages/{storage.pk}/edit/", form).content.decode()


def test_an_address_where_archives_are_missing_is_refused_with_what_to_do(admin: Client) -> None:
    storage = make_backup(storage=make_storage(folder())).storage
    page = moved(admin, storage, folder().with_name("third"))
    assert "1 of the 1 archives" in page
    assert "Move them there first" in page
    storage.refresh_from_db()
    assert storage.settings["path"] == str(folder())


def test_an_address_to_which_the_archives_were_moved_is_taken(admin: Client) -> None:
    storage = make_storage(folder())
    backup, target = make_backup(storage=storage, size=3), folder().with_name("moved")
    (target / backup.key).mkdir(parents=True)
    (target / backup.key / "manifest.json").write_text("{}")
    (target / backup.key / "backup.tar").write_bytes(b"xx")
    assert "1 of the 1 archives" in moved(admin, storage, target)
    (target / backup.key / "backup.tar").write_bytes(b"xxx")
    moved(admin, storage, target)
    storage.refresh_from_db()
    assert storage.settings["path"] == str(target)


def test_this_machine_ticked_as_another_place_is_told(admin: Client) -> None:
    here = S3 | {"storage-endpoint": "https://localhost:9000"}
    page = admin.post("/storages/add/?kind=s3", here | {"is_offsite": "on"}, follow=True).content.decode()
    assert "By its address Cloud is on this machine." in page
    assert Storage.objects.get().is_offsite


def test_there_is_one_default(admin: Client) -> None:
    first, second = make_storage(is_default=True), make_storage()
    admin.post(f"/storages/{second.pk}/default/")
    first.refresh_from_db()
    assert Storage.default() == second
    assert not first.is_default


def test_removing_is_refused_while_something_writes_there(admin: Client) -> None:
    storage = make_storage(is_default=True)
    assert "default storage" in text(admin, f"/storages/{storage.pk}/remove/")
    admin.post(f"/storages/{storage.pk}/remove/", {"reason": "sold"})
    make_storage()
    Storage.objects.filter(pk=storage.pk).update(is_default=False)
    schedule = Schedule.objects.create(name="Nightly", expression="0 3 * * *")
    destination = Destination.objects.create(schedule=schedule, storage=storage)
    assert "Nightly" in text(admin, f"/storages/{storage.pk}/remove/")
    admin.post(f"/storages/{storage.pk}/remove/", {"reason": "sold"})
    storage.refresh_from_db()
    assert storage.removed_at is None
    destination.delete()
    admin.post(f"/storages/{storage.pk}/remove/", {"reason": "sold"})
    storage.refresh_from_db()
    assert storage.removed_at
    assert AuditEvent.objects.get(action="storage.remove").reason == "sold"


def test_a_removed_storage_keeps_its_archives_and_can_come_back(admin: Client) -> None:
    storage = make_backup(storage=make_storage(removed_at=timezone.now())).storage
    assert "Off the dashboard" in text(admin, "/storages/")
    assert "Nothing new is written here" in text(admin, storage.get_absolute_url())
    admin.post(f"/storages/{storage.pk}/return/")
    assert Storage.objects.registered().get() == storage


def test_a_removed_storage_stays_off_while_another_is_at_its_place(admin: Client, tmp_path: Path) -> None:
    storage = make_storage(tmp_path, name="V6", removed_at=timezone.now())
    other = make_storage(tmp_path, name="V6b")
    page = admin.post(f"/storages/{storage.pk}/return/", follow=True).content.decode()
    assert "“V6” stays off: its place is that of “V6b” now" in page
    assert "Remove “V6b” from the dashboard first" in page
    assert Storage.objects.registered().get() == other
    assert not AuditEvent.objects.filter(action="storage.return").exists()
    Storage.objects.filter(pk=other.pk).update(removed_at=timezone.now())
    assert "V6 is on the dashboard again" in admin.post(f"/storages/{storage.pk}/return/", follow=True).content.decode()
    assert Storage.objects.registered().get() == storage


def test_a_test_keeps_its_problem_until_one_passes(operator: Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    storage = make_storage(tmp_path / "file" / "inside")
    page = operator.post(f"/storages/{storage.pk}/test/").content.decode()
    assert "fails at" in page
    storage.refresh_from_db()
    assert storage.problem
    assert storage.checked_at
    Storage.objects.filter(pk=storage.pk).update(settings={"path": str(tmp_path)})
    assert "OK" in operator.post(f"/storages/{storage.pk}/test/", headers={"HX-Request": "true"}).content.decode()
    storage.refresh_from_db()
    assert not storage.problem


def test_both_tests_name_the_folder_whose_disk_is_gone(admin: Client, tmp_path: Path) -> None:
    storage = make_backup(storage=make_storage(tmp_path)).storage
    described = {"name": storage.name, "storage-path": str(tmp_path), "test": "1"}
    for page in (
        admin.post(f"/storages/{storage.pk}/test/").content.decode(),
        admin.post(f"/storages/{storage.pk}/edit/", described).content.decode(),
    ):
        assert "is missing or empty" in page
        assert "its disk is not mounted" in page
    assert not any(tmp_path.iterdir())
