"""A folder that should have archives is only written to where it has: elsewhere it is another of the same name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from dbadmin.exceptions import StorageError
from dbadmin.text import Text


def require_present(folder: Path, *, has_archives: Callable[[], bool]) -> None:
    """Raise ``StorageError`` when the folder is missing or empty although ``has_archives`` says otherwise.

    Then it is another machine's, or its disk is not mounted: archives would be scattered, or hidden by the next mount.
    """
    if _is_bare(folder) and has_archives():
        raise StorageError(
            Text(
                "The folder {folder} is missing or empty on {machine}, but has archives according to the catalogue.",
                folder=str(folder),
                machine=socket.gethostname(),
            ),
            Text(
                "It is another machine's, or its disk is not mounted. Several machines need a shared folder, object "
                "storage, or a site for the databases. If you have emptied it yourself, put any file into it."
            ),
        )


def _is_bare(folder: Path) -> bool:
    """What cannot be looked into is left to the errors of writing."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except FileNotFoundError:
        return True
    except OSError:
        return False
