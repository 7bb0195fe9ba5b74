"""A dashboard that is lost comes back from its storage: another machine, an empty home folder, one command."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings

from dbadmin.engines.postgresql.cluster import Cluster
from tests.sqlite_file import make_sqlite_file
from tests.storages.servers import S3Server
from tests.storages.servers import s3_server as s3_server

SCRIPT = """
import django; django.setup()
from django.core.management import call_command
from django.contrib.auth.models import User
from dbadmin.management.commands.serve import prepare
prepare()
from dbadmin.backups.take import take_backup
from dbadmin.models import *
from dbadmin.progress import Silent
User.objects.create_superuser("boss", password="secret words of the boss")
storage = Storage.objects.create(name="Away", settings={{"path": {away!r}}}, is_default=False)
beside = []
{more}
app = Application.objects.create(name="Shop", slug="shop")
shop = Database(application=app, name="Shop", slug="shop", engine="sqlite", settings={{"path": {shop!r}}})
shop.password = "pw"; shop.save()
own = Database.objects.get(is_catalogue=True)
take = lambda database: take_backup(
    database=database, storages=[storage, *beside], scope="full", progress=Silent())
take(shop)
Job.objects.create(kind="backup", database=shop, state="running", worker="1/1", host="elsewhere")
take(own)
take(shop)
"""


def run(home: Path, *argv: str, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DBADMIN_HOME": str(home), "DJANGO_SETTINGS_MODULE": "project.settings"}
    return subprocess.run(
        [sys.executable, *argv], cwd=settings.BASE_DIR, env=environment | extra, capture_output=True, text=True
    )


def lost(tmp_path: Path, more: str = "", **extra: str) -> tuple[Path, str]:
    """Make a dashboard with backups in another place, and lose its machine; return the place and the key."""
    home, away = tmp_path / "home", tmp_path / "away"
    shop = make_sqlite_file(tmp_path / "shop.db", rows=30)
    made = run(home, "-c", SCRIPT.format(away=str(away), shop=str(shop), more=more.format(home=home)), **extra)
    assert made.returncode == 0, made.stderr
    key = (home / "encryption_key").read_text()
    shutil.rmtree(home)
    return away, key


def recovered(home: Path, away: Path, *more: str, **extra: str) -> tuple[int, dict[str, Any]]:
    ended = run(home, "manage.py", "recover", "--storage", str(away), "--json", *more, **extra)
    return ended.returncode, json.loads(ended.stdout) | {"said": ended.stderr}


def ask(home: Path, question: str, **extra: str) -> Any:
    ended = run(home, "-c", f"import django; django.setup()\nfrom dbadmin.models import *\nprint({question})", **extra)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_everything_is_back_and_can_be_restored(tmp_path: Path) -> None:
    away, key = lost(tmp_path)
    home = tmp_path / "new"
    code, said = recovered(home, away, DBADMIN_ENCRYPTION_KEY=key)
    assert code == 0, said
    (result,) = said["results"]
    # taken after the catalogue's own backup: that one, and the shop's second
    assert sorted(key.partition("/")[0] for key in result["adopted"]) == ["dbadmin-catalogue", "shop"]
    assert ask(home, "Backup.objects.available().count()") == "3"
    assert ask(home, "Job.objects.get(host='elsewhere').state") == "lost"
    assert ask(home, "Database.objects.get(slug='shop').password", DBADMIN_ENCRYPTION_KEY=key) == "pw"
    restored = tmp_path / "restored.db"
    newest = ask(home, "Backup.objects.filter(database__slug='shop').latest('started_at').pk")
    back = run(home, "manage.py", "restore", "run", newest, "--to-new", restored.name, DBADMIN_ENCRYPTION_KEY=key)
    assert back.returncode == 0, back.stderr + back.stdout
    assert restored.exists()


def test_a_storage_that_stayed_behind_is_named(tmp_path: Path) -> None:
    beside = 'beside = [Storage.objects.create(name="Beside it", settings={{"path": "{home}/beside"}})]'
    away, key = lost(tmp_path, more=beside)
    new, command = tmp_path / "new", ("manage.py", "recover", "--storage", str(away))
    ended = run(new, *command, DBADMIN_ENCRYPTION_KEY=key)
    assert ended.returncode == 1, ended.stderr
    assert f"The folder of “Beside it” is missing or empty here: {tmp_path}/home/beside." in ended.stdout
    assert "manage.py storages edit 'Beside it' --set path=FOLDER" in ended.stdout
    assert "Away" not in ended.stdout


def test_without_the_former_key_it_is_said_what_has_to_be_entered_again(tmp_path: Path) -> None:
    away, _key = lost(tmp_path)
    code, said = recovered(tmp_path / "new", away, "--accept-key")
    assert (code, said["results"][0]["locked"]) == (1, ["Shop"])


def test_a_catalogue_whose_key_is_not_here_gets_no_new_one(tmp_path: Path) -> None:
    away, key = lost(tmp_path)
    home, question = tmp_path / "new", "Database.objects.get(slug='shop').password"
    code, said = recovered(home, away)
    assert (code, "another encryption key" in said["error"]["message"]) == (5, True)
    assert not (home / "encryption_key").exists()
    found = run(home, "manage.py", "recover", "--storage", str(away), DBADMIN_ENCRYPTION_KEY=key)
    assert "which dbadmin keeps nowhere" in found.stdout
    assert "holds another key" not in found.stdout
    added = run(
        home, "manage.py", "storages", "add", "Bucket", "--kind", "s3", "--set", "bucket=b", "--set", "access_key_id=k",
        "--secret-env", "secret_access_key=SECRET", SECRET="s",
    )  # fmt: skip
    assert "not its encryption key" in added.stdout + added.stderr
    assert added.returncode
    assert run(home, "manage.py", "worker").returncode
    assert not (home / "encryption_key").exists()
    (home / "encryption_key").write_text(key)
    assert ask(home, question) == "pw"


@pytest.mark.parametrize("wrong", [{}, {"DBADMIN_ENCRYPTION_KEY": Fernet.generate_key().decode()}])
def test_another_encryption_key_is_found_out_before_anything_is_there(tmp_path: Path, wrong: dict[str, str]) -> None:
    away, key = lost(tmp_path)
    home = tmp_path / "new"
    code, said = recovered(home, away, **wrong)
    assert (code, said["error"]["class"]) == (5, "Refused")
    assert "another encryption key" in said["error"]["message"]
    with sqlite3.connect(home / "catalogue.sqlite3") as catalogue:
        assert catalogue.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert not [path for path in home.rglob("*") if path.name.startswith("recovered")]
    assert recovered(home, away, DBADMIN_ENCRYPTION_KEY=key)[0] == 0


ENCRYPTED = """
from dbadmin.archives.age import new_identity
identity, recipient = new_identity()
open({home!r} + "/../key.txt", "w").write(identity)
storage.keys.add(EncryptionKey.objects.create(name="kit", recipient=recipient))
"""


def test_encrypted_archives_ask_for_the_key_file(tmp_path: Path) -> None:
    away, key = lost(tmp_path, ENCRYPTED.replace("{home!r}", repr(str(tmp_path / "home"))))
    home, key_file = tmp_path / "new", tmp_path / "key.txt"
    key_file.chmod(0o600)
    code, said = recovered(home, away, DBADMIN_ENCRYPTION_KEY=key)
    assert code == 2
    assert "key" in said["error"]["message"].lower()
    code, said = recovered(home, away, "--key-file", str(key_file), DBADMIN_ENCRYPTION_KEY=key)
    assert code == 0, said
    assert ask(home, "Backup.objects.available().count()") == "3"


def test_a_damaged_newest_catalogue_is_passed_over(tmp_path: Path) -> None:
    away, key = lost(tmp_path, "own = Database.objects.get(is_catalogue=True)\n"
                     "take_backup(database=own, storages=[storage], scope='full', progress=Silent())")  # fmt: skip
    newest = sorted((away / "dbadmin-catalogue").iterdir())[-1] / "backup.tar"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    code, said = recovered(tmp_path / "new", away, DBADMIN_ENCRYPTION_KEY=key)
    assert newest.parent.name not in said["results"][0]["catalogue"]
    assert code == 0


@pytest.mark.parametrize("place", ["empty", "missing", "s3:/typo"])
def test_where_nothing_is_nothing_happens(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    address = place if ":" in place else str(tmp_path / place)
    ended = run(tmp_path / "new", "manage.py", "recover", "--storage", address)
    assert ended.returncode in (2, 4)
    assert ended.stderr.strip()
    assert "Traceback" not in ended.stderr


def test_an_installation_with_a_catalogue_is_left_alone(tmp_path: Path) -> None:
    away, key = lost(tmp_path)
    home = tmp_path / "new"
    assert recovered(home, away, DBADMIN_ENCRYPTION_KEY=key)[0] == 0
    before = ask(home, "Backup.objects.count()")
    code, said = recovered(home, away, DBADMIN_ENCRYPTION_KEY=key)
    assert (code, said["error"]["message"]) == (5, "This installation has a catalogue already.")
    assert ask(home, "Backup.objects.count()") == before


def test_the_key_file_alone_is_enough_where_the_former_encryption_key_is_lost(tmp_path: Path) -> None:
    kept_here = ENCRYPTED.replace("{home!r}", repr(str(tmp_path / "home"))) + "kit = EncryptionKey.objects.get()\n"
    away, _key = lost(tmp_path, f"{kept_here}kit.identity = identity; kit.save()\n")
    (tmp_path / "key.txt").chmod(0o600)
    code, said = recovered(tmp_path / "new", away, "--key-file", str(tmp_path / "key.txt"), "--accept-key")
    (result,) = said["results"]
    assert (code, result["not_adopted"], sorted(result["locked"])) == (1, [], ["Shop", "kit"])


def test_a_key_that_lay_there_before_is_told(tmp_path: Path) -> None:
    away, key = lost(tmp_path)
    home = tmp_path / "new"
    home.mkdir()
    (home / "encryption_key").write_text(Fernet.generate_key().decode())
    found = run(home, "manage.py", "recover", "--storage", str(away), DBADMIN_ENCRYPTION_KEY=key)
    assert (found.returncode, "holds another key" in found.stdout) == (0, True), found.stdout


def test_what_the_catalogue_knew_is_not_counted_as_new(tmp_path: Path) -> None:
    away, key = lost(tmp_path)
    code, said = recovered(tmp_path / "new", shutil.copytree(away, tmp_path / "moved"), DBADMIN_ENCRYPTION_KEY=key)
    (result,) = said["results"]
    assert (code, [each.partition("/")[0] for each in result["known"]]) == (0, ["shop"])
    assert sorted(each.partition("/")[0] for each in result["adopted"]) == ["dbadmin-catalogue", "shop"]


def test_an_address_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    code, said = recovered(tmp_path / "new", Path("ftp://nowhere"))
    assert (code, said["error"]["message"]) == (4, "That is no address of a storage.")


def test_a_catalogue_in_postgresql_is_back_once_the_encryption_key_is_the_right_one(
    tmp_path: Path, server: Cluster
) -> None:
    programs = {"DBADMIN_POSTGRESQL_BIN": str(server.bin_folder)}
    away, key = lost(tmp_path, DATABASE_URL=catalogue_url(server, "recover_lost"), **programs)
    new = programs | {"DATABASE_URL": catalogue_url(server, "recover_new")}
    code, said = recovered(tmp_path / "new", away, **new)
    assert (code, said["error"]["class"]) == (5, "Refused"), said
    assert "another encryption key" in said["error"]["message"]
    with psycopg.connect(**server.connection("recover_new").parameters()) as session:
        assert session.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    code, said = recovered(tmp_path / "new", away, DBADMIN_ENCRYPTION_KEY=key, **new)
    assert (code, said["results"][0]["locked"]) == (0, []), said
    asked = ask(tmp_path / "new", "Backup.objects.available().count(), Job.objects.get(host='elsewhere').state", **new)
    assert asked == "3 lost"


def catalogue_url(server: Cluster, name: str) -> str:
    place = server.connection("postgres")
    with psycopg.connect(**place.parameters(), autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}")
    login = f"{place.user}:{quote(place.password, safe='')}"
    # both ways to name a socket's folder
    if name.endswith("new"):
        return f"postgresql://{login}@{quote(place.host, safe='')}:{place.port}/{name}"
    return f"postgresql://{login}@/{name}?host={place.host}&port={place.port}"


IN_A_BUCKET = """
from dbadmin.crypto import encrypt
storage = Storage(name="Bucket", kind="s3", settings={settings!r}); storage.secrets = {secrets!r}; storage.save()
former = dict(settings={settings!r} | {former!r}, encrypted_secrets=encrypt('{{"secret_access_key": "old"}}'))
Storage.objects.filter(pk=storage.pk).update(**former)
"""


def lost_in_a_bucket(tmp_path: Path, server: S3Server, **former: str) -> tuple[str, dict[str, str]]:
    """Lose a dashboard whose storage had other keys before; return the address, and the variables that open it."""
    settings = server.settings(tmp_path.name)
    more = IN_A_BUCKET.format(settings=settings, secrets=server.secrets, former={"access_key_id": "old", **former})
    _away, key = lost(tmp_path, more.replace("{", "{{").replace("}", "}}"))
    variables = {
        "AWS_ACCESS_KEY_ID": settings["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": server.secrets["secret_access_key"],
        "DBADMIN_ENCRYPTION_KEY": key,
    }
    return f"s3://{settings['bucket']}/{tmp_path.name}?endpoint={settings['endpoint']}", variables


def test_secrets_that_were_changed_meanwhile_are_stored(tmp_path: Path, s3_server: S3Server) -> None:
    address, variables = lost_in_a_bucket(tmp_path, s3_server)
    home = tmp_path / "new"
    code, said = recovered(home, address, **variables)
    assert code == 0, said
    assert (code, len(said["results"][0]["adopted"])) == (0, 2), said
    question = (
        "[(each.name, each.settings['access_key_id'], each.secrets) for each in Storage.objects.filter(kind='s3')]"
    )
    kept = [("Bucket", variables["AWS_ACCESS_KEY_ID"], s3_server.secrets)]
    assert ask(home, question, DBADMIN_ENCRYPTION_KEY=variables["DBADMIN_ENCRYPTION_KEY"]) == str(kept)


def test_what_fails_when_the_catalogue_is_back_is_said_as_such(tmp_path: Path, s3_server: S3Server) -> None:
    address, variables = lost_in_a_bucket(tmp_path, s3_server, ca_certificate="/lost/with/the/machine.pem")
    home = tmp_path / "new"
    code, said = recovered(home, address, **variables)
    (result,) = said["results"]
    assert (code, "/lost/with/the/machine.pem" in result["stopped"], result["storage"]) == (3, True, "Bucket")
    assert ask(home, "Backup.objects.count()") == "1"


def test_the_sentence_names_what_to_run(tmp_path: Path, s3_server: S3Server) -> None:
    address, variables = lost_in_a_bucket(tmp_path, s3_server, ca_certificate="/lost/with/the/machine.pem")
    ended = run(tmp_path / "new", "manage.py", "recover", "--storage", address, **variables)
    assert ended.returncode == 3
    assert "The catalogue is back; what is newer could not be adopted: " in ended.stdout
    assert "manage.py storages adopt Bucket" in ended.stdout
