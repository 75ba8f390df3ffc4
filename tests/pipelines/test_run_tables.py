"""What a run leaves as tables reads back as it was, and a folder that is no run's is refused in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from actors.vocab.errors import ConfigError
from pipelines.report import app
from pipelines.run_tables import read_record, write_tables
from tests.console.test_report import bought, record
from tests.pipelines.wrong_input import typed


def finished_run(folder: Path, name: str = "a") -> Path:
    run_dir = folder / name
    run_dir.mkdir()
    run = record(10.0, 20.0, fills=[bought(), bought(price=99.9)])
    (run_dir / "summary.json").write_text(json.dumps({**run.summary, "run_id": name}))
    write_tables(run_dir, run)
    return run_dir


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    run_dir = finished_run(tmp_path)

    again = read_record(run_dir)

    expected = record(10.0, 20.0, fills=[bought(), bought(price=99.9)])
    assert (again.samples, again.symbols, again.fills) == (expected.samples, expected.symbols, expected.fills)
    assert again.series == []  # an empty table


def test_fills_can_be_read_by_anything(tmp_path: Path) -> None:
    with (finished_run(tmp_path) / "tables" / "fills.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert [row["price"] for row in rows] == ["99.98", "99.9"]
    assert rows[0]["markout_5s_bps"] == "-3"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no summary\.json"):
        read_record(tmp_path / "nowhere")


def test_one_run_gets_its_page_and_several_a_comparison(tmp_path: Path) -> None:
    first, second = finished_run(tmp_path, "first"), finished_run(tmp_path, "second")
    runner = CliRunner()

    assert runner.invoke(app, [str(first)]).exit_code == 0
    result = runner.invoke(app, [str(first), str(second)])

    assert result.exit_code == 0
    assert "left after 5 s" in result.stdout
    assert "Where the money came from" in (first / "report.html").read_text()
    assert "Runs side by side" in (first / "comparison.html").read_text()


def test_runs_side_by_side_are_called_as_their_folders(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    runs = [finished_run(tmp_path / "a", "plain"), finished_run(tmp_path / "a", "tuned")]
    assert CliRunner().invoke(app, [str(run) for run in runs]).stdout.splitlines()[0].split() == ["plain", "tuned"]

    finished_run(tmp_path / "b", "plain")
    page = tmp_path / "page.html"
    both = [str(tmp_path / folder / "plain") for folder in "ab"]
    assert CliRunner().invoke(app, [*both, "--output", str(page)]).exit_code == 0
    assert all(f"<th>{run}" in page.read_text() for run in both)


def test_a_wrong_folder_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path)])

    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_run_of_another_version_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    folder = finished_run(tmp_path, "old")
    summary = json.loads((folder / "summary.json").read_text())
    del summary["orders"]
    (folder / "summary.json").write_text(json.dumps(summary))

    result = CliRunner().invoke(app, [str(folder)])

    assert result.exit_code == 2
    assert "another version wrote the run" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--foo"], ["/none"]])
def test_what_is_typed_wrong_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(app, "pipelines.report", arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
