"""`python -m pipelines.report RUN…`: the page of one run again, or several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from actors.console.report import RunRecord, compare, render_comparison, render_report
from actors.console.summary import failures
from actors.vocab.errors import ConfigError
from pipelines.exits import refuse, run
from pipelines.run_tables import read_record

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    runs: Annotated[list[Path], typer.Argument(help="folders of finished runs", metavar="RUN...")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where the page goes; default: in the (first) run folder")
    ] = None,
) -> None:
    """Write the report of a run, or compare several: a table here and a page that opens offline."""
    try:
        records = [read_record(folder) for folder in runs]
        if len(records) == 1:
            path = output or runs[0] / "report.html"
            page = render_report(records[0], failures(records[0].summary))
        else:
            records = _told_apart(records, runs)
            path = output or runs[0] / "comparison.html"
            page = render_comparison(records)
        path.write_text(page)
    except ConfigError as error:
        refuse(error)
    except KeyError as error:
        refuse(ConfigError(f"summary.json lacks {error}: another version wrote the run; make it again with this one"))
    except OSError as error:
        refuse(ConfigError(f"{error.filename}: cannot be written ({error.strerror}); choose another with --output"))
    table = Table("", *(record.name for record in records), box=None)
    for name, texts in compare(records):
        table.add_row(name, *texts)
    console = Console()
    console.print(table)
    console.print(f"page: {path}", soft_wrap=True)


def _told_apart(records: list[RunRecord], runs: list[Path]) -> list[RunRecord]:
    """By the folders' names, or by their paths where two have one name."""
    names = [folder.resolve().name for folder in runs]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in runs]
    return [msgspec.structs.replace(record, folder=name) for record, name in zip(records, names, strict=True)]


if __name__ == "__main__":
    run(app, "pipelines.report")
