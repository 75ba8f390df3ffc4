"""Which quote actor speaks for which symbol: the newest incarnation that greeted, and no older one ever again."""

from __future__ import annotations


class Holders:
    """Links and symbols of quote actors."""

    def __init__(self) -> None:
        self._up: dict[str, bool] = {}  # incarnation with a live link -> it runs on our host
        self._owner: dict[str, str] = {}  # symbol -> incarnation that greeted last
        self._dismissed: dict[str, None] = {}  # symbols whose owner must greet again
        self._silent: dict[str, None] = {}  # owners whose link went silent; they must greet again
        self._retired: dict[tuple[str, str], None] = {}  # (symbol, incarnation) that a newer one replaced

    def came(self, peer: str, *, same_host: bool) -> None:
        self._up[peer] = same_host

    def gone(self, peer: str) -> list[str]:
        """Return the symbols that are without a voice now."""
        self._up.pop(peer, None)
        symbols = [symbol for symbol, owner in self._owner.items() if owner == peer]
        if symbols:
            self._silent[peer] = None
        return symbols

    def take(self, symbol: str, holder: str) -> bool:
        """Let `holder` speak for `symbol`; False when a newer incarnation has done so already."""
        if (symbol, holder) in self._retired:
            return False
        older = self._owner.get(symbol)
        if older is not None and older != holder:
            self._retired[(symbol, older)] = None
            if len(self._retired) > 100_000:  # a bound far above any number of restarts; the oldest is forgotten
                del self._retired[next(iter(self._retired))]
        self._owner[symbol] = holder
        self._dismissed.pop(symbol, None)
        self._silent.pop(holder, None)
        return True

    def dismiss(self, symbol: str) -> None:
        """Nobody speaks for `symbol` until somebody greets again."""
        self._dismissed[symbol] = None

    def owner(self, symbol: str) -> str:
        """Return who speaks for `symbol` and can be reached; empty when nobody."""
        owner = self._owner.get(symbol, "")
        return "" if owner in self._silent or symbol in self._dismissed else owner

    def symbols(self) -> list[str]:
        return list(self._owner)

    def symbols_of(self, holder: str) -> list[str]:
        return [symbol for symbol, owner in self._owner.items() if owner == holder]

    def same_host(self, holder: str) -> bool:
        return self._up.get(holder, False)
