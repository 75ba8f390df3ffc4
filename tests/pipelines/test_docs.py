"""What the pages name exists: files, tests, commands and settings. A page that lies is worse than none."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from actors.vocab.config import FleetSettings
from pipelines.settings import load_settings

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("actors", "pipelines", "tests", "conf", "docs", "benchmarks")


@pytest.fixture(scope="module")
def test_names() -> set[str]:
    files = [*(ROOT / "tests").rglob("test_*.py")]
    return {name for file in files for name in re.findall(r"^ *(?:async )?def (test_\w+)", file.read_text(), re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page: Path) -> None:
    named = re.findall(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w/.-]*\w", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_exist(page: Path, test_names: set[str]) -> None:
    named = re.findall(r"`(?:test_\w+\.py::)?(test_\w+)`", page.read_text())
    assert [name for name in named if name not in test_names] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    for module in set(re.findall(r"pipelines\.[a-z_]+", page.read_text())):
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_exist(page: Path) -> None:
    load_settings(overrides=re.findall(r"--set (\w+\.\w+=[\w.]+)", page.read_text()))
    for section, key in re.findall(r"`(feed|quote|risk|gateway|llm|sim|fees)\.(\w+)`", page.read_text()):
        if key not in ("py", "md"):
            assert key in type(getattr(FleetSettings(), section)).model_fields, f"{section}.{key}"


def test_make_bench_names_every_benchmark_that_has_a_command_of_its_own() -> None:
    """`*_side.py` are the libraries' halves of others."""
    lists = re.findall(r"^BENCH\w* := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.endswith("_side")}
    assert sorted(name for names in lists for name in names.split()) == sorted(there)
