"""The worst case that a lease allows, checked once more where the order leaves the house."""

from __future__ import annotations

from actors.vocab.market import Side


def envelope_refusal(
    *,
    side: Side,
    lots: int,
    position_lots: int,
    live_buy_lots: int,
    live_sell_lots: int,
    long_lots: int,
    short_lots: int,
) -> str:
    """Return why `lots` more on `side` do not fit, empty when they do.

    `live_*` are all other lots that may still be filled, whoever ordered them. Only the side of the order is
    checked: a breach of the other side is not made worse by it.
    """
    if side is Side.BUY:
        worst = position_lots + live_buy_lots + lots
        if worst > long_lots:
            return f"lease: worst case {worst} lots long above {long_lots}"
    else:
        worst = position_lots - live_sell_lots - lots
        if worst < -short_lots:
            return f"lease: worst case {-worst} lots short above {short_lots}"
    return ""


def fits(*, position_lots: int, live_buy_lots: int, live_sell_lots: int, long_lots: int, short_lots: int) -> bool:
    """Return whether no live order can carry the position out of the envelope.

    A position that is already outside does not count against it as long as no order on that side is left.
    """
    long_ok = live_buy_lots == 0 or position_lots + live_buy_lots <= long_lots
    short_ok = live_sell_lots == 0 or position_lots - live_sell_lots >= -short_lots
    return long_ok and short_ok
