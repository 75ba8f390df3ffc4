"""What a run leaves for its readers: the summary, the page, and its rows as Parquet and CSV for other programs.

`pipelines.report` makes its pages from the Parquet files and `summary.json` alone, so they are the record of a run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from actors.console.report import RunRecord, render_report
from actors.console.report_charts import Sample
from actors.console.series import SymbolSample
from actors.risk.markouts import FillTrace
from actors.vocab.errors import ConfigError
from pipelines.run_folder import SUMMARY, read_summary

TABLES = "tables"
T = TypeVar("T")


def write_report(run_dir: Path, run: RunRecord, failed: Sequence[str]) -> None:
    """Write `summary.json`, the tables and `report.html`; `failed` are the lines that should be zero and are not."""
    (run_dir / SUMMARY).write_text(json.dumps(run.summary, indent=1))
    write_tables(run_dir, run)
    (run_dir / "report.html").write_text(render_report(run, failed))


def write_tables(run_dir: Path, run: RunRecord) -> None:
    """Write `tables/{fills,samples,symbols,series}.{parquet,csv}`; an empty one has no columns."""
    folder = run_dir / TABLES
    folder.mkdir(exist_ok=True)
    _write(folder / "fills", [msgspec.structs.asdict(one) for one in run.fills])
    _write(folder / "samples", [msgspec.structs.asdict(one) for one in run.samples])
    _write(folder / "series", [msgspec.structs.asdict(one) for one in run.series])
    _write(folder / "symbols", [dict(row) for row in run.symbols])


def read_record(run_dir: Path) -> RunRecord:
    """`ConfigError` when the folder is no finished run's."""
    summary = read_summary(run_dir) if run_dir.is_dir() else None
    if summary is None:
        raise ConfigError(f"{run_dir} holds no {SUMMARY}; give the folder of a finished run, as its last line named it")
    folder = run_dir / TABLES
    return RunRecord(
        summary,
        samples=_read(folder / "samples", Sample),
        symbols=_read(folder / "symbols", dict[str, Any]),
        fills=_read(folder / "fills", FillTrace),
        series=_read(folder / "series", SymbolSample),
    )


def _write(stem: Path, rows: Sequence[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    table = pa.Table.from_pylist(list(rows))
    pyarrow.parquet.write_table(table, f"{stem}.parquet")
    pyarrow.csv.write_csv(table, f"{stem}.csv")


def _read(stem: Path, kind: type[T]) -> list[T]:
    import pyarrow
    import pyarrow.parquet

    path = Path(f"{stem}.parquet")
    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
        return [msgspec.convert(row, kind) for row in rows]
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; was the run made by an older version?") from None
    except (pyarrow.ArrowInvalid, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: not readable ({error})") from None
