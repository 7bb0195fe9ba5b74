"""Bring locale/ja up to date with the source: `python -m scripts.messages`.

Extracts without GNU gettext, so that the completeness test runs on every machine: Python through ast,
templates through Django's own templatize.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "locale/ja/LC_MESSAGES/django.po"
SINGULAR = {"Text", "_", "gettext", "gettext_lazy", "gettext_noop"}
PLURAL = {"ngettext", "ngettext_lazy"}
STRING = r"""(u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))"""
IN_TEMPLATE = re.compile(rf"\b(gettext|ngettext|_)\(\s*{STRING}(?:\s*,\s*{STRING})?", re.DOTALL)

Message = tuple[str, str]


def messages() -> dict[Message, set[str]]:
    """Return every marked message as (singular, plural or "") with the files it stands in."""
    found: dict[Message, set[str]] = {}
    for path in sorted([*ROOT.glob("dbadmin/**/*.py"), *ROOT.glob("project/*.py"), *ROOT.glob("templates/**/*.html")]):
        extract = in_python if path.suffix == ".py" else in_template
        for message in extract(path.read_text()):
            found.setdefault(message, set()).add(path.relative_to(ROOT).as_posix())
    found.pop(("", ""), None)
    return found


def in_python(source: str) -> Iterator[Message]:
    """Yield the messages of a Python file."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        literals = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if name in SINGULAR and literals and node.args[0:1] and isinstance(node.args[0], ast.Constant):
            yield literals[0], ""
        elif name in PLURAL and len(literals) >= 2:
            yield literals[0], literals[1]


def in_template(source: str) -> Iterator[Message]:
    """Yield the messages of a template."""
    for _call, first, second in IN_TEMPLATE.findall(templatize(source)):
        yield ast.literal_eval(first), ast.literal_eval(second) if second else ""


def update(catalogue: polib.POFile) -> None:
    """Add what is new, drop what is gone; nothing is guessed."""
    wanted = messages()
    have = {(entry.msgid, entry.msgid_plural or ""): entry for entry in catalogue}
    for message, files in wanted.items():
        entry = have.get(message)
        if entry is None:
            entry = polib.POEntry(msgid=message[0], msgid_plural=message[1] or None)
            if message[1]:
                entry.msgstr_plural = {0: ""}
            catalogue.append(entry)
        entry.occurrences = [(name, "") for name in sorted(files)]
        entry.flags = ["python-brace-format"] if re.search(r"\{\w+\}", message[0]) else []
    for message, entry in have.items():
        if message not in wanted:
            catalogue.remove(entry)
    catalogue.sort(key=lambda entry: (entry.occurrences, entry.msgid))


def load() -> polib.POFile:
    """Return the Japanese catalogue; a new one where there is none."""
    if CATALOGUE.exists():
        return polib.pofile(str(CATALOGUE), wrapwidth=120)
    catalogue = polib.POFile(wrapwidth=120)
    catalogue.metadata = {
        "Language": "ja",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": "nplurals=1; plural=0;",
    }
    return catalogue


def main() -> None:
    """Update the catalogue, compile it, and say what still has to be translated."""
    catalogue = load()
    update(catalogue)
    catalogue.save(str(CATALOGUE))
    catalogue.save_as_mofile(str(CATALOGUE.with_suffix(".mo")))
    for entry in catalogue.untranslated_entries():
        print(f"untranslated: {entry.msgid!r} ({', '.join(name for name, _line in entry.occurrences)})")
    print(f"{len(catalogue)} messages, {len(catalogue.untranslated_entries())} untranslated")


if __name__ == "__main__":
    main()
