"""Reading a plain SQL file statement by statement, as psql would, without being able to do what psql can.

psql runs programs and reads files of this machine when a script tells it to. This reader knows no such commands: a
script that has one is refused. Each statement goes to the server alone, through the protocol that takes only one.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

LONGEST = 256 << 20  # bytes of one statement; a row of a COPY may be as long
COPY_CHUNK = 1 << 18
END_OF_COPY = b"\\."
_TOKEN = re.compile(
    rb"--|/\*|[eE]'|'|\"|\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*"
    rb"|[0-9]+|[();\\]"
)
_COMMENT = re.compile(rb"/\*|\*/")
_HARMLESS = re.compile(rb"\\(?:un)?restrict(?:[ \t]+[A-Za-z0-9]+)?[ \t]*$")
# Client encodings in which a byte of a letter may look like a quote or a backslash.
_UNSAFE_ENCODINGS = frozenset({"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB"})
_MOST_WORDS = 16


@dataclass
class Statement:
    """One SQL statement, which begins in line ``number``. ``words``: its first ones outside quotes and parentheses."""

    number: int
    content: bytearray = field(default_factory=bytearray)
    words: list[str] = field(default_factory=list)

    @property
    def copies_in(self) -> bool:
        """Say whether rows follow."""
        return self.words[:1] == ["COPY"] and ("FROM", "STDIN") in pairwise(self.words)


class Script:
    """The statements of a plain SQL file.

    ``conforming``: asks the server whether backslashes in plain quotes are only backslashes. ``encoding``: asks for
    the client encoding. ``line`` is the number of the line read last.
    """

    def __init__(self, source: IO[bytes], *, conforming: Callable[[], bool], encoding: Callable[[], str]) -> None:
        self._source = source
        self._conforming = conforming
        self._encoding = encoding
        self.line = 0

    def statements(self) -> Iterator[Statement]:
        """Yield each statement; after one that ``copies_in`` read ``rows`` before the next.

        ``ValidationFailed`` for a command of psql, an unfinished quote, or a statement that is too long.
        """
        current = _Reading(self._start(), self)
        while line := self._read():
            at = 0
            while (end := current.read(line, at)) is not None:
                yield current.statement
                current, at = _Reading(self._start(), self), end
        current.require_end()
        if current.statement.words:
            yield current.statement

    def rows(self) -> Iterator[bytes]:
        r"""Yield what a COPY takes in, up to ``\.``; ``ValidationFailed`` when the file ends before."""
        chunk: list[bytes] = []
        size = 0
        while line := self._read():
            if line.startswith(END_OF_COPY) and line.rstrip(b"\r\n") == END_OF_COPY:
                yield b"".join(chunk)
                return
            chunk.append(line)
            size += len(line)
            if size > COPY_CHUNK:
                yield b"".join(chunk)
                chunk, size = [], 0
        raise cut_short()

    def is_conforming(self) -> bool:
        """Ask the server."""
        return self._conforming()

    def _start(self) -> Statement:
        if (encoding := self._encoding()) in _UNSAFE_ENCODINGS:
            raise ValidationFailed(
                Text(
                    "The file is written in {encoding}, which cannot be split into statements safely.",
                    encoding=encoding,
                ),
                Text("Dump again with --encoding=UTF8."),
            )
        return Statement(number=self.line)

    def _read(self) -> bytes:
        line = self._source.readline(LONGEST)
        if not self.line:
            line = line.removeprefix(codecs.BOM_UTF8)
        self.line += 1 if line else 0
        if len(line) >= LONGEST:
            raise too_long(self.line)
        return line


class _Reading:
    """Where in a statement the reader is."""

    def __init__(self, statement: Statement, script: Script) -> None:
        self.statement = statement
        self._script = script
        self._until: re.Pattern[bytes] | None = None  # what ends the quote that is open
        self._comments = self._parentheses = self._blocks = 0

    def read(self, line: bytes, at: int) -> int | None:
        """Read on in ``line`` and return where the statement ended; None when it goes on in the next line."""
        begin = at
        while at < len(line):
            if self._until is not None:
                at = self._quoted(line, at)
                continue
            if self._comments:
                at = self._comment(line, at)
                continue
            found = _TOKEN.search(line, at)
            if found is None:
                break
            token, at = found.group(), found.end()
            if token == b"--":
                break
            if token == b"\\":
                self._backslash(line, begin, found.start())
                return None
            if token == b";" and not self._parentheses and not self._blocks:
                self._keep(line[begin:at])
                return at
            self._take(token)
        self._keep(line[begin:])
        return None

    def require_end(self) -> None:
        """Refuse a file that ends within a quote."""
        if self._until is not None or self._comments:
            raise cut_short()

    def _take(self, token: bytes) -> None:
        if token == b"/*":
            self._comments = 1
        elif token in (b"'", b"e'", b"E'"):
            escaped = token != b"'" or not self._script.is_conforming()
            self._until = _ESCAPED if escaped else _PLAIN
        elif token == b'"':
            self._until = _NAME
        elif token.startswith(b"$"):
            self._until = re.compile(re.escape(token))
        elif token in b"()":
            self._parentheses = max(0, self._parentheses + (1 if token == b"(" else -1))
        elif token not in (b";",) and not token.isdigit():
            self._word(token.decode("latin-1").upper())

    def _word(self, word: str) -> None:
        words = self.statement.words
        if not self._parentheses:
            if not words:
                self.statement.number = self._script.line
            if len(words) < _MOST_WORDS:
                words.append(word)
            self._block(word)

    def _block(self, word: str) -> None:
        """A function's body in standard SQL has semicolons between BEGIN and END."""
        head = [each for each in self.statement.words[:4] if each not in ("OR", "REPLACE")]
        if head[:1] != ["CREATE"] or head[1:2] not in (["FUNCTION"], ["PROCEDURE"]):
            return
        if word == "BEGIN" or (word == "CASE" and self._blocks):
            self._blocks += 1
        elif word == "END" and self._blocks:
            self._blocks -= 1

    def _quoted(self, line: bytes, at: int) -> int:
        assert self._until is not None
        if self._until in (_ESCAPED, _PLAIN, _NAME):
            found = self._until.match(line, at)
            assert found is not None
            if found.group(1):
                self._until = None
            return found.end()
        end = self._until.search(line, at)
        if end is None:
            return len(line)
        self._until = None
        return end.end()

    def _comment(self, line: bytes, at: int) -> int:
        found = _COMMENT.search(line, at)
        if found is None:
            return len(line)
        self._comments += 1 if found.group() == b"/*" else -1
        return found.end()

    def _backslash(self, line: bytes, begin: int, at: int) -> None:
        command = line[at:].strip()
        if not line[:at].strip() and not self.statement.words and _HARMLESS.match(command):
            self._keep(line[begin:at])  # by these two a dump protects itself from psql
            return
        word = (command.split() or [b""])[0][:40].decode(errors="replace")
        if word in ("\\connect", "\\c"):
            raise of_a_server(word)
        raise ValidationFailed(
            Text(
                "Line {line} holds a command of psql, “{command}”. Nothing of it was run.",
                line=self._script.line,
                command=word,
            ),
            Text("Such commands can run programs here. Import files that pg_dump wrote, or remove the command."),
        )

    def _keep(self, part: bytes) -> None:
        self.statement.content += part
        if len(self.statement.content) > LONGEST:
            raise too_long(self._script.line)


# Each matches what is left of the quote in a line; group 1 is its end, if that is in the line.
_PLAIN = re.compile(rb"(?:[^']+|'')*+(')?", re.DOTALL)
_ESCAPED = re.compile(rb"(?:[^'\\]+|''|\\.)*+\\?(')?", re.DOTALL)
_NAME = re.compile(rb'(?:[^"]+|"")*+(")?', re.DOTALL)


def of_a_server(what: str) -> ValidationFailed:
    """Return the refusal of a file that makes databases or roles by itself."""
    return ValidationFailed(
        Text("The file works on the whole server (“{what}”), not on one database.", what=what),
        Text("It was made with pg_dumpall, or with --create. Dump the one database without --create and import that."),
    )


def cut_short() -> ValidationFailed:
    """Return the failure of a file that ends too early."""
    return ValidationFailed(
        Text("The file ends in the middle of a statement."),
        Text("It was cut off. Copy it again from where it comes from."),
    )


def too_long(line: int) -> ValidationFailed:
    """Return the failure of a statement that nobody would send."""
    return ValidationFailed(
        Text("The statement at line {line} has more than {most} MB.", line=line, most=LONGEST >> 20),
        Text("Dump without --inserts, or in the custom format."),
    )
