"""A journal of opinions, looked at afterwards: what it cost, what it earned, what today's rules would make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from actors.journal.opinions import CallRow, OpinionRow
from actors.llm.effects import regime_view
from actors.llm.prompts import read_rows
from actors.llm.schema import parse_signals
from actors.treasury.prices import NUSD
from actors.treasury.scorecard import Opinion, Scored

DAY_MS = 86_400_000


class CostLine(msgspec.Struct):
    """Calls of one model and purpose on one UTC day."""

    calls_count: int = 0
    items_count: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    latency_ms_sum: int = 0


def costs(calls: Iterable[CallRow]) -> dict[tuple[int, str, str], CostLine]:
    """(UTC day's number, model, purpose) -> what its calls cost."""
    lines: dict[tuple[int, str, str], CostLine] = {}
    for call in calls:
        line = lines.setdefault((call.wall_ms // DAY_MS, call.model, call.purpose), CostLine())
        line.calls_count += 1
        line.items_count += call.items_count
        line.tokens_in += call.tokens_in
        line.tokens_out += call.tokens_out
        line.usd += call.nusd / NUSD
        line.latency_ms_sum += call.latency_ms
    return lines


def scored_of(row: OpinionRow) -> Scored:
    """Back from the journal."""
    fields = msgspec.structs.asdict(row)
    round_no, move_bps = fields.pop("round_no"), fields.pop("move_bps")
    return Scored(Opinion(**fields), round_no, move_bps)


def rescored(row: OpinionRow, calls: Mapping[str, CallRow]) -> Scored | None:
    """The opinion as today's schema and rules read the journalled answer; None when they take it for none."""
    call = calls.get(row.call_id)
    if call is None:
        return None
    inputs = next((one for one in read_rows(call.user) if one.symbol == row.symbol), None)
    answer = parse_signals(call.answer, {row.symbol})[0].get(row.symbol)
    if inputs is None or answer is None:
        return None
    view = regime_view(inputs=inputs, answer=answer, ttl_s=0.0, model=call.model, prompt_hash=call.prompt_hash)
    opinion = msgspec.structs.replace(
        scored_of(row).opinion,
        action=answer.action,
        confidence=answer.confidence,
        bid_factor=view.bid_factor,
        ask_factor=view.ask_factor,
    )
    return Scored(opinion, row.round_no, row.move_bps)
