"""Imports point downward: pipelines > shells > transport > brains > risk brains, venues, journal > vocab."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ROOT / "actors"
# What a brain may never touch: time, chance without a seed, sockets and Ray are arguments or belong to shells.
IMPURE = {"ray", "asyncio", "zmq", "time", "yaml", "aiohttp", "websockets", "socket", "threading", "uvloop", "psutil"}
LOW_ROOMS = {"risk", "venues", "journal"}
VOCAB_MAY = {"msgspec", "pydantic", "actors"}


def floor(path: Path) -> int:
    """5 pipelines, 4 actor.py, 3 transport, 2 brains, 1 risk brains, venues and journal, 0 vocab."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "pipelines":
        return 5
    if parts[-1] == "actor.py":
        return 4
    room = parts[1]
    if room == "transport":
        return 3
    if room == "vocab":
        return 0
    return 1 if room in LOW_ROOMS else 2


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def target(name: str) -> Path | None:
    """The file of ours that an import names, if any."""
    if name.split(".")[0] not in {"actors", "pipelines"}:
        return None
    parts = name.split(".")
    for length in (len(parts), len(parts) - 1):
        base = ROOT.joinpath(*parts[:length])
        if base.with_suffix(".py").exists():
            return base.with_suffix(".py")
        if (base / "__init__.py").exists():
            return base / "__init__.py"
    return None


SOURCES = sorted([*ROOMS.rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downward(path: Path) -> None:
    here = floor(path)
    for name in imports(path):
        there = target(name)
        if there is None or there.parent == path.parent or there == ROOMS / "__init__.py":
            continue
        assert floor(there) <= here, f"{path.relative_to(ROOT)} imports {name} from a higher floor"
        if there.name == "actor.py":
            assert here == 5, f"{path.relative_to(ROOT)} imports another room's actor.py: {name}"


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if floor(path) in (1, 2)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_brains_have_no_io_clock_or_chance(path: Path) -> None:
    if path.parent.name == "journal":
        pytest.skip("the journal is storage")
    names = imports(path)
    assert not {name.split(".")[0] for name in names} & IMPURE
    chance = {name for name in names if name.split(".")[0] == "random"}
    assert chance <= {"random.Random"}, "chance is a seeded generator passed as an argument"


@pytest.mark.parametrize("path", [path for path in SOURCES if floor(path) == 0], ids=lambda p: str(p.relative_to(ROOT)))
def test_vocab_needs_nothing_but_msgspec_and_pydantic(path: Path) -> None:
    import sys

    used = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)
    assert used <= VOCAB_MAY
