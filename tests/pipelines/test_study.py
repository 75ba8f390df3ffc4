"""`pipelines.study` prints what it computes and says which subcommands there are."""

from __future__ import annotations

from typer.testing import CliRunner

from pipelines.study.__main__ import app


def test_as2008_prints_the_papers_numbers_beside_its_own() -> None:
    result = CliRunner().invoke(app, ["as2008", "--paths", "200", "--seed", "1"])

    assert result.exit_code == 0
    for number in ("68.4", "12.7", "64.8925", "13.4558", "57.1717", "64.1335", "64.1334", "61.4035"):
        assert number in result.output


def test_paths_must_be_enough_for_a_deviation() -> None:
    assert CliRunner().invoke(app, ["as2008", "--paths", "1"]).exit_code == 2


def test_help_lists_the_studies() -> None:
    assert "as2008" in CliRunner().invoke(app, ["--help"]).output
