"""Work on the jobs whose ids come in, each in a process of its own that is forked from this one.

It is what a worker does with a job, without the second that Python and Django take to start.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta


def main() -> None:
    import django

    django.setup()

    from dbadmin.jobs.execution import execute
    from dbadmin.storages import buckets, resuming

    # A wire that stays cut is given up after a moment, not after two minutes.
    buckets._retries = lambda number: {"max_retries": 1, "retry_timeout": timedelta(seconds=1)}
    resuming.PAUSES = (0.05,)
    for line in sys.stdin:
        if not (pid := os.fork()):
            execute(int(line))
            os._exit(0)
        _say(pid)
        os.waitpid(pid, 0)
        _say("ended")


def _say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
