"""Opens recordings: plain or gzip lines, lazily, every unreadable file a `ConfigError` with its remedy."""

from __future__ import annotations

import gzip
import heapq
import itertools
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from actors.sim.recording import RecordedFrame, RecordingFacts, parse_lines, require_channels, survey
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_S

_GZIP_MAGIC = b"\x1f\x8b"
# Recordings replayed together must touch: a longer silence between them is a mistake, not a quiet market.
GAP_MAX_NS = 3_600 * NS_PER_S


def survey_file(path: Path) -> RecordingFacts:
    """Read the whole file once; ConfigError when it is missing, truncated, corrupt or holds no book."""
    facts = survey(read_frames(path), name=str(path))
    require_channels(facts)
    return facts


def read_frames(path: Path) -> Iterator[RecordedFrame]:
    """Frames of one file in recorded order."""
    return parse_lines(_lines(path), name=str(path))


def merge_frames(paths: Sequence[Path]) -> Iterator[tuple[int, RecordedFrame]]:
    """Frames of several files as (index of the file, frame), by receive time; files of one recorder share a clock."""
    return heapq.merge(
        *(_numbered(index, path) for index, path in enumerate(paths)),
        key=lambda item: item[1].recv_ns,
    )


def refuse_apart(facts: Sequence[RecordingFacts]) -> None:
    """ConfigError when recordings lie so far apart that replaying them together would only wait."""
    ordered = sorted(facts, key=lambda each: each.first_ns)
    end_ns = ordered[0].last_ns if ordered else 0
    for earlier, later in itertools.pairwise(ordered):
        if later.first_ns - end_ns > GAP_MAX_NS:
            raise ConfigError(
                f"{earlier.name} ends {(later.first_ns - end_ns) / NS_PER_S / 3600:.1f} h before {later.name} begins; "
                "replay them in separate runs"
            )
        end_ns = max(end_ns, later.last_ns)


def _numbered(index: int, path: Path) -> Iterator[tuple[int, RecordedFrame]]:
    for frame in read_frames(path):
        yield index, frame


def _lines(path: Path) -> Iterator[bytes]:
    line_no = 0
    try:
        with _open(path) as file:
            for line in file:
                line_no += 1
                yield line
    except OSError as error:  # gzip.BadGzipFile is one
        raise ConfigError(f"{path} after line {line_no}: cannot be read ({error.strerror or error})") from None
    except (EOFError, zlib.error) as error:
        good = f", or keep the good part with `zcat {path} | head -n {line_no} | gzip > good.gz`" if line_no else ""
        raise ConfigError(
            f"{path} after line {line_no}: the gzip data is truncated or damaged ({error}); fetch it again{good}"
        ) from None


def _open(path: Path) -> BinaryIO:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the recording files in it")
    try:
        with path.open("rb") as file:
            magic = file.read(2)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such recording") from None
    if not magic:
        raise ConfigError(f"{path} is empty; fetch the recording again")
    return cast("BinaryIO", gzip.open(path, "rb")) if magic == _GZIP_MAGIC else path.open("rb")
