"""What `--symbols` and `--venues` may mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from actors.vocab.errors import ConfigError
from pipelines.universe import read_universe

VENUES = ("binance",)
MARKETS = ("perp", "spot")
FORMS = "write top50, BTCUSDT,ETHUSDT, or a file with one symbol a line"
_SYMBOL = re.compile(r"^[A-Z0-9]{3,30}$")


def parse_symbols(text: str, market: str = "perp") -> tuple[str, ...]:
    """`top50` (or `top10` …: the first N of it), a comma list, or a file with one symbol a line. Order is kept."""
    top = re.fullmatch(r"top([1-9]\d*)", text.strip())
    if top:
        count = int(top.group(1))
        known = universe_symbols(market)
        if count > len(known):
            raise ConfigError(
                f"--symbols {text}: the shipped universe has {len(known)}; write top{len(known)} or a file"
            )
        return known[:count]
    path = Path(text)
    if path.is_file():
        return _checked(_lines(path), where=f"--symbols {path}")
    if "/" in text or text.endswith((".txt", ".yaml")):
        raise ConfigError(f"--symbols {text}: {'is a folder' if path.is_dir() else 'no such file'}; {FORMS}")
    return _checked(text.split(","), where=f"--symbols {text}")


def universe_symbols(market: str = "perp") -> tuple[str, ...]:
    """Symbols of the shipped universe as `market` names them, most traded first."""
    return read_universe().names("spot" if market == "spot" else "perp")


def _lines(path: Path) -> list[str]:
    try:
        return [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"--symbols {path}: cannot be read ({why}); one symbol a line is expected") from None


def refuse_unlisted(symbols: Sequence[str], listed: Sequence[str], *, where: str) -> None:
    """ConfigError naming the first symbol that the venue does not list."""
    for symbol in symbols:
        if symbol not in listed:
            near = difflib.get_close_matches(symbol, listed, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it lists {len(listed)} symbols"
            raise ConfigError(f"--symbols: {where} does not list {symbol}; {hint}")


def parse_venues(text: str, market: str) -> tuple[str, ...]:
    """`binance` and market -> ("binance_perp",)."""
    if market not in MARKETS:
        raise ConfigError(f"--market {market}: choose perp or spot")
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in VENUES:
            raise ConfigError(f"--venues {name}: not built; known: {', '.join(VENUES)}")
    if not names:
        raise ConfigError("--venues: name at least one, for example binance")
    return tuple(f"{name}_{market}" for name in dict.fromkeys(names))


def _checked(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    symbols = [name.strip() for name in names if name.strip()]
    for symbol in symbols:
        if not _SYMBOL.match(symbol):
            shown = symbol if len(symbol) <= 40 else symbol[:40] + "…"
            raise ConfigError(f"{where}: {shown!r} is no symbol; write BTCUSDT, upper case, without separators")
    if not symbols:
        raise ConfigError(f"{where}: names no symbol; {FORMS}")
    return tuple(dict.fromkeys(symbols))
