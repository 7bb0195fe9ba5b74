from __future__ import annotations

import environ
import pytest

from project import queues
from project.home import Unusable


def read(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> environ.Env:
    monkeypatch.setenv(name, value)
    return environ.Env()


def test_what_is_no_redis_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    env = read("DBADMIN_REDIS_URL", "http://:secret@example.jp", monkeypatch)
    with pytest.raises(Unusable, match="DBADMIN_REDIS_URL is no URL of a Redis") as error:
        queues.redis_url(env, "DBADMIN_REDIS_URL")
    assert "secret" not in str(error.value)


def test_missing_packages_are_said_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "find_spec", lambda name: None)
    env = read("DBADMIN_REDIS_URL", "redis://127.0.0.1", monkeypatch)
    with pytest.raises(Unusable, match="uv sync --extra redis"):
        queues.redis_url(env, "DBADMIN_REDIS_URL")


def test_no_job_has_a_time_limit_in_redis() -> None:
    assert {queue["DEFAULT_TIMEOUT"] for queue in queues.rq_queues("redis://127.0.0.1").values()} == {-1}
    assert queues.rq_queues("") == {}


def test_a_site_is_a_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert queues.site(read("DBADMIN_SITE", "osaka-2", monkeypatch), "DBADMIN_SITE") == "osaka-2"
    with pytest.raises(Unusable, match="DBADMIN_SITE"):
        queues.site(read("DBADMIN_SITE", "long@osaka", monkeypatch), "DBADMIN_SITE")
