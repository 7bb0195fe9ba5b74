#!/usr/bin/env python
"""The command line of dbadmin: `uv run manage.py help` lists the commands."""

from __future__ import annotations

import gc
import os
import sys

from django.core.management import execute_from_command_line

from project import home


def main() -> None:
    """Run the command that the arguments name."""
    home.choose(sys.argv)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    # What is made while starting lives to the end: looking through it for garbage, then and at the end, takes a quarter
    # of a short command.
    gc.set_threshold(50_000)
    try:
        execute_from_command_line(sys.argv)
    except home.Unusable as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
