"""Reading what XLA made of a program: its operations between devices."""

import re
from typing import NamedTuple

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")
OPERATION = re.compile(rf"^\s*(?:ROOT )?%?\S+ = (.*?)\s({'|'.join(KINDS)})(?:-start)?\(")
CALLED = re.compile(r"(?:body|condition|to_apply|calls)=%?([\w.\-]+)|(?:branch_computations|called_computations)=\{([^}]*)\}")


class Collective(NamedTuple):
    """An operation between devices, perhaps several that XLA has put together.

    kind: one of KINDS. name: JAX's own for it. in_loop: whether it runs in each round of a loop. shapes: of the arrays that it gives.
    """

    kind: str
    name: str
    in_loop: bool
    shapes: tuple[tuple[int, ...], ...]


def collectives(text: str) -> list[Collective]:
    """Of a program as `Compiled.as_text` gives it."""
    bodies = _computations(text)
    looped = _reachable(bodies, {name for body in bodies.values() for line in body for name in re.findall(r"body=%?([\w.\-]+)", line)})
    found = []
    for computation, body in bodies.items():
        for line in body:
            if match := OPERATION.match(line):
                name = re.search(r'op_name="([^"]*)"', line)
                shapes = tuple(tuple(int(side) for side in sides.split(",") if side) for sides in re.findall(r"\w\[([\d,]*)\]", match[1]))
                found.append(Collective(match[2], name[1] if name else "", computation in looped, shapes))
    return found


def _computations(text: str) -> dict[str, list[str]]:
    bodies: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if match := re.match(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            current = bodies[match[1]] = []
        else:
            current.append(line)
    return bodies


def _reachable(bodies: dict[str, list[str]], names: set[str]) -> set[str]:
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in bodies:
            continue
        seen.add(name)
        for line in bodies[name]:
            for single, several in CALLED.findall(line):
                waiting += [single] if single else [part.strip().lstrip("%") for part in several.split(",")]
    return seen
