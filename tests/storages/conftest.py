"""Servers for tests of storages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storages.azure import azure_server as azure_server
from tests.storages.google import google_server as google_server
from tests.storages.places import DISTANT, GUARDED, Place, make_place
from tests.storages.servers import moto_server as moto_server
from tests.storages.servers import other_ssh_server as other_ssh_server
from tests.storages.servers import s3_server as s3_server
from tests.storages.servers import ssh_server as ssh_server


@pytest.fixture(params=["folder", *DISTANT])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place, empty."""
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=DISTANT)
def distant(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place that is at the other end of a line."""
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=GUARDED)
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place that asks for a secret."""
    return make_place(request.param, request, tmp_path)
