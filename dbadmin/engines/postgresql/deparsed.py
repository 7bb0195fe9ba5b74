"""What a server writes of an expression, made equal before and after a restore.

Of ``v IN ('a', 'b')`` on a varchar a server keeps one cast around the array, and writes
``(ARRAY['a'::character varying, …])::text[]``. Read back, as every restore does, the cast goes to the elements
(transformArrayExpr in parse_expr.c), and it writes ``ARRAY[('a'::character varying)::text, …]`` from then on.
"""

from __future__ import annotations

import re

# A literal or a quoted name, which hide what is in them, or where an array begins; not as the argument of a function.
_ARRAY = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|((?<![\w"])\()?\bARRAY\[""")
_STEP = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[][(),]""")
_CAST = re.compile(r"(\))?::([^][:']+)\[\]")


def casts_inside(text: str) -> str:
    """Return the text with the cast of each array written as casts of its elements; the same for both ways to write."""
    written, at = "", 0
    while found := _ARRAY.search(text, at):
        written, at = written + text[at : found.start()], found.end()
        elements, end = _elements(text, at) if found[0].endswith("ARRAY[") else ([], at)
        cast = _CAST.match(text, end) if any(elements) else None
        if cast is None or (cast[1] and not found[1]):
            written += found[0]
            continue
        at = cast.end()
        casts = [f"({each})::{cast[2]}" if cast[1] else f"{each}::{cast[2]}" for each in map(casts_inside, elements)]
        written += f"{'' if cast[1] else found[1] or ''}ARRAY[{', '.join(casts)}]"
    return written + text[at:]


def _elements(text: str, at: int) -> tuple[list[str], int]:
    """Return what stands between the brackets, and where the closing one ends; nothing when none closes."""
    elements: list[str] = []
    begun, depth = at, 0
    for step in _STEP.finditer(text, at):
        sign = step[0]
        if depth == 0 and sign in (",", "]"):
            elements.append(text[begun : step.start()].strip())
            begun = step.end()
        if depth == 0 and sign == "]":
            return elements, step.end()
        depth += (sign in ("(", "[")) - (sign in (")", "]"))
    return [], at
