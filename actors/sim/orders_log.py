"""A run's orders as the venue saw them: one JSON line a transition, fill or refusal, in the venue's time.

Holds nothing that differs between two runs of the same recording and seed: no incarnation, no stamp of a real clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from actors.sim.ledger import Ledger

_encode = msgspec.json.Encoder(order="deterministic").encode


def order_lines(ledgers: Mapping[str, Ledger], *, until_ns: int = 0) -> list[bytes]:
    """Every line of every account, oldest first, without line ends; `ledgers` by venue, `until_ns` 0: to the end."""
    rows = sorted(
        (
            row
            for venue, ledger in ledgers.items()
            for account in ledger.accounts()
            for row in _account_rows(venue, account, ledger)
            if not until_ns or row[0][0] <= until_ns
        ),
        key=lambda row: row[0],
    )
    return [_encode(fields) for _key, fields in rows]


_Row = tuple[tuple[int, str, str, int, int, int], dict[str, int | str | bool]]


def _account_rows(venue: str, account: str, ledger: Ledger) -> Iterable[_Row]:
    """((time, venue, account, kind, order or trade, place in its life), fields)."""
    symbols: dict[str, None] = {}
    for order in ledger.orders(account):
        symbols[order.symbol] = None
        for place, step in enumerate(ledger.transitions(account, order.venue_order_id)):
            yield (
                (step.at_ns, venue, account, 0, int(order.venue_order_id), place),
                {
                    "at_ns": step.at_ns,
                    "venue": venue,
                    "account": account,
                    "symbol": order.symbol,
                    "order_id": order.venue_order_id,
                    "client_id": order.client_id,
                    "event": step.event,
                    "state": step.state.name,
                    "side": order.side.name,
                    "price_ticks": step.price_ticks,
                    "lots": step.lots,
                    "filled_lots": step.filled_lots,
                    "post_only": order.post_only,
                    "reduce_only": order.reduce_only,
                },
            )
    for symbol in symbols:
        for place, trade in enumerate(ledger.trades(account, symbol)):
            fill = trade.fill
            yield (
                (fill.event_ns, venue, account, 1, fill.trade_id, place),
                {
                    "at_ns": fill.event_ns,
                    "venue": venue,
                    "account": account,
                    "symbol": symbol,
                    "order_id": fill.venue_order_id,
                    "client_id": fill.client_id,
                    "event": "FILL",
                    "trade_id": fill.trade_id,
                    "side": fill.side.name,
                    "price_ticks": fill.price_ticks,
                    "lots": fill.lots,
                    "maker": fill.maker,
                    "realized_pnl": trade.realized_pnl,
                },
            )
    for place, rejection in enumerate(ledger.rejections(account)):
        yield (
            (rejection.at_ns, venue, account, 2, 0, place),
            {
                "at_ns": rejection.at_ns,
                "venue": venue,
                "account": account,
                "symbol": rejection.symbol,
                "client_id": rejection.client_id,
                "event": "REFUSED",
                "code": rejection.code,
            },
        )
