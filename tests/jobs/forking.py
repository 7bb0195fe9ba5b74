"""The process that ``forked`` talks to: it has Django loaded, and forks for each function that it is told."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

import django


def _main() -> None:
    django.setup()
    for line in sys.stdin:
        named, *arguments = json.loads(line)
        module, _colon, name = named.partition(":")
        function = getattr(import_module(module), name)
        reading, writing = os.pipe()
        if not (pid := os.fork()):
            _live(writing, function, *arguments)
        os.close(writing)
        _say(pid)
        with open(reading) as pipe:
            returned = pipe.read()
        _say([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), returned])


def _live(writing: int, function: Callable[..., str], *arguments: Any) -> NoReturn:
    code = 1
    try:
        os.write(writing, function(*arguments).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
