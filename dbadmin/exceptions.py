"""What can go wrong, as sentences. The worker, the views and the commands catch ``DbadminError`` only.

``label`` is the class name shown on pages and as ``error.class`` in JSON; ``exit_code`` is what a
management command returns.
"""

from __future__ import annotations

from typing import ClassVar

from dbadmin.text import Text


class DbadminError(Exception):
    """An expected failure: ``message`` says what is wrong, ``hint`` what to do about it."""

    label: ClassVar[str] = "Error"
    exit_code: ClassVar[int] = 2

    def __init__(self, message: Text, hint: Text | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or Text("")

    @property
    def told(self) -> Text:
        """Message and hint as one text, to be stored."""
        return Text("{message} {hint}", message=self.message, hint=self.hint) if self.hint else self.message

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.message, self.hint) if part)


class DatabaseError(DbadminError):
    """Something about a registered database."""

    label = "DatabaseError"


class ConnectionFailed(DatabaseError):
    """The database could not be reached. The only class that is tried again (rows 18 to 20)."""

    label = "ConnectionError"

    def __init__(self, message: Text, hint: Text | None = None, *, stage: str = "") -> None:
        super().__init__(message, hint)
        self.stage = stage


class ValidationFailed(DatabaseError):
    """Input or content is not what it has to be: a URL, a JSON file, a database file."""

    label = "ValidationError"


class MigrationError(DatabaseError):
    """The migration history could not be read or changed."""

    label = "MigrationError"


class UsageError(DbadminError):
    """A command was called with arguments that name nothing or contradict each other."""

    label = "UsageError"
    exit_code = 4


class Refused(DbadminError):
    """A guard said no; nothing was changed."""

    label = "Refused"
    exit_code = 5


class ToolMissing(DbadminError):
    """No client program fits the server."""

    label = "ToolMissing"


class CommandFailed(DbadminError):
    """A program ended with an exit code that does not mean success."""

    label = "CommandFailed"

    def __init__(
        self, message: Text, hint: Text | None = None, *, exit_code: int, output: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint)
        self.returned = exit_code
        self.output = output


class StorageError(DbadminError):
    """An archive could not be written, read, listed or removed."""

    label = "StorageError"


class StorageUnreachable(StorageError):
    """A storage did not answer, or the connection to it dropped: trying again later may do."""

    label = "StorageUnreachable"


class CorruptArchive(StorageError):
    """What is stored differs from what the manifest says was stored."""

    label = "CorruptArchive"


class KeyMissing(StorageError):
    """An archive is encrypted, and no private key at hand opens it."""

    label = "KeyMissing"


class CatalogueError(DbadminError):
    """Our own catalogue cannot be read or written."""

    label = "CatalogueError"


class Cancelled(DbadminError):
    """Somebody asked the job to stop."""

    label = "Cancelled"

    def __init__(self) -> None:
        super().__init__(Text("The job was cancelled."))


class DeadlinePassed(Cancelled):
    """The job took longer than it may; it is stopped like one that somebody cancels, and has failed."""

    label = "DeadlinePassed"

    def __init__(self, minutes: int) -> None:
        super().__init__()
        self.message = Text("It was ended because it took longer than {minutes} min.", minutes=minutes)
        self.hint = Text("Look why it takes so long, or raise the longest duration in its schedule.")
