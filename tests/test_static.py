"""What is served as it lies there: vendored files, icons, templates that obey the content security policy."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

STATIC = Path(settings.BASE_DIR) / "static"
TEMPLATES = sorted((Path(settings.BASE_DIR) / "templates").rglob("*.html"))
SOURCES = sorted((Path(settings.BASE_DIR) / "dbadmin").rglob("*.py"))
MANIFEST = tomllib.loads((STATIC / "vendor.toml").read_text())


def names(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))


def test_every_vendored_file_is_the_one_that_was_fetched() -> None:
    files = [STATIC / "icons.svg", *(path for path in (STATIC / "vendor").rglob("*") if path.is_file())]
    found = {str(path.relative_to(STATIC)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert found == MANIFEST["sha256"]


def test_every_vendored_package_has_its_licence_and_version() -> None:
    for folder in (STATIC / "vendor").iterdir():
        assert (folder / "LICENSE").stat().st_size > 500
        assert {"package", "version", "licence", "files"} <= MANIFEST[folder.name].keys()


def test_every_icon_that_is_used_exists() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text()))
    pattern = re.compile(r"{% icon \"([^\"]+)\"|with icon=\"([^\"]+)\"")
    used = {name for path in TEMPLATES for match in pattern.findall(path.read_text()) for name in match if name}
    used |= {name for path in SOURCES for name in re.findall(r"icon=\"([^\"]+)\"", path.read_text())}
    used |= set(
        re.findall(
            r'Section\("[^"]+", "([^"]+)"', (Path(settings.BASE_DIR) / "dbadmin/templatetags/dbadmin.py").read_text()
        )
    )
    assert used
    assert used <= sprite


@pytest.mark.parametrize("path", TEMPLATES, ids=names)
def test_templates_load_nothing_from_elsewhere(path: Path) -> None:
    assert not re.findall(r"<(?:script|link|img|use|iframe)[^>]*(?:src|href)=\"(?:https?:)?//", path.read_text())


@pytest.mark.parametrize("path", TEMPLATES, ids=names)
def test_templates_have_nothing_inline(path: Path) -> None:
    text = path.read_text()
    assert not re.findall(r"<style|<script(?![^>]*\bsrc=)", text)
    assert not re.findall(r"<[^>]*\s(?:style|on[a-z]+|hx-on[^=]*)=", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=names)
def test_every_posting_form_has_its_token(path: Path) -> None:
    for form in re.findall(r"<form\b.*?</form>", path.read_text(), re.DOTALL | re.IGNORECASE):
        if 'method="post"' in form:
            assert "{% csrf_token %}" in form


def test_everything_is_collected_with_hashed_names(tmp_path: Path) -> None:
    storages = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
    with override_settings(STATIC_ROOT=str(tmp_path), STORAGES=settings.STORAGES | storages):
        call_command("collectstatic", verbosity=0, interactive=False)
    assert (tmp_path / "staticfiles.json").exists()
    [admin_css] = tmp_path.glob("css/admin.*.css")
    assert re.search(r"tabler\.min\.[0-9a-f]{12}\.css", admin_css.read_text())
