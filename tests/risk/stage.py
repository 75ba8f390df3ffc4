"""One risk engine and the messages everybody else would send it; the journal answers at once unless told not to."""

from __future__ import annotations

from typing import Any, TypeVar

from actors.journal.rows import Loaded, Row
from actors.risk.engine import RiskEngine
from actors.risk.events import Command, Compute, Event, Journalled, JournalRows, Received, Send, Timer
from actors.vocab.config.portfolio import PortfolioSettings
from actors.vocab.config.quote import QuoteSettings
from actors.vocab.config.risk import RiskSettings
from actors.vocab.control import Instruments
from actors.vocab.leases import AccountLease, AccountLeaseRequest, LeaseGrant, LeaseRequest, SymbolExposure
from actors.vocab.market import Side
from actors.vocab.message import Message
from actors.vocab.orders import Fill, OrderRow, OrderState
from actors.vocab.units import NS_PER_MS
from tests.risk.fleet import MemoryJournal, instrument, marks_of

MS = NS_PER_MS
VENUE = "binance_perp"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
GATEWAY = "gateway-1"
Kind = TypeVar("Kind", bound=Message)


class Stage:
    """`prices` are mids in ticks; one lot is worth a thousandth of that in USD."""

    def __init__(
        self,
        settings: RiskSettings | None = None,
        *,
        loaded: Loaded | None = None,
        journal_answers: bool = True,
        run_id: str = "run-1",
        quote: QuoteSettings | None = None,
        portfolio: PortfolioSettings | None = None,
    ) -> None:
        self.settings = settings or RiskSettings()
        self.now_ms = 1_000
        self.journal_answers = journal_answers
        self.journal = MemoryJournal()
        self.rows: list[Row] = []
        self.sent: list[tuple[str, Message]] = []
        self.others: list[Command] = []
        self.works: list[Compute] = []  # asked for and not done yet
        self.fences: dict[str, int] = {}
        self.report_no = 0
        self.request_no = 0
        self.fill_no = 0
        self.prices = dict.fromkeys(SYMBOLS, 10_000)
        self.engine = RiskEngine(
            self.settings,
            loaded or Loaded(),
            run_id=run_id,
            symbols=frozenset(SYMBOLS),
            id_block_size=100,
            quote=quote,
            portfolio=portfolio,
        )
        self._carry(self.engine.start(wall_ns=self.now_ms * MS, now_ns=self.now_ms * MS))

    def give(self, event: Event) -> None:
        self._carry(self.engine.handle(event, self.now_ms * MS))

    def hear(self, peer: str, message: Message) -> None:
        self.give(Received(peer, message))

    def _carry(self, commands: list[Command]) -> None:
        durable = 0
        for command in commands:
            match command:
                case JournalRows(sequence, rows):
                    self.rows.extend(rows)
                    self.journal.pending.append((sequence, rows))
                    durable = sequence
                case Send(peer, message):
                    self.sent.append((peer, message))
                    if isinstance(message, AccountLease):
                        self.fences.update((fence.symbol, fence.min_grant_no) for fence in message.fences)
                case Compute():
                    self.works.append(command)
                case _:
                    self.others.append(command)
        if durable and self.journal_answers:
            self.journalled(durable)

    def journalled(self, up_to: int | None = None) -> None:
        sequence = self.engine.core.sequence if up_to is None else up_to
        self.journal.commit(sequence)
        self.give(Journalled(sequence))

    # --- the others ------------------------------------------------------------------------------------------

    def use_instruments(self, **changes: Any) -> None:
        self.give(Instruments(VENUE, 1, tuple(instrument(symbol, VENUE, **changes) for symbol in SYMBOLS)))

    def marks(self, **prices: int) -> None:
        self.prices |= prices
        self.give(marks_of(VENUE, self.prices))

    def pass_ms(self, ms: int, *, marks: bool = True) -> None:
        """Let time pass in timer steps, feeds alive."""
        end = self.now_ms + ms
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + 100)
            if marks:
                self.marks()
            self.give(Timer(self.now_ms * MS))

    def report(
        self, *, gateway: str = GATEWAY, fill_no: int | None = None, steps: str = "", **exposure: tuple[int, int, int]
    ) -> None:
        """The gateway tells (position, open buys, open sells) of each symbol and has done what fences ask."""
        self.report_no += 1
        seen = tuple(
            SymbolExposure(symbol, *exposure.get(symbol, (0, 0, 0)), fenced_no=self.fences.get(symbol, 0), steps=steps)
            for symbol in SYMBOLS
        )
        number = self.fill_no if fill_no is None else fill_no
        self.hear(gateway, AccountLeaseRequest(VENUE, gateway, self.report_no, number, seen))

    def ask(
        self, symbol: str = "BTCUSDT", want: int = 100, *, holder: str = "", position: int = 0, last_fill_no: int = 0
    ) -> LeaseGrant | None:
        """One renewal; the grant that came back, if any."""
        self.request_no += 1
        before = len(self.sent)
        holder = holder or f"quote-{symbol}"
        self.hear(
            holder,
            LeaseRequest(VENUE, symbol, holder, self.request_no, position, want, want, last_fill_no, 10_000.0),
        )
        grants = [m for p, m in self.sent[before:] if p == holder and isinstance(m, LeaseGrant)]
        return grants[-1] if grants else None

    def fill(self, symbol: str = "BTCUSDT", side: Side = Side.BUY, lots: int = 1, **changes: Any) -> Fill:
        fields: dict[str, Any] = {
            "venue": VENUE,
            "symbol": symbol,
            "fill_no": self.fill_no + 1,
            "trade_id": 1_000 + self.fill_no,
            "client_id": "mnt1",
            "holder": f"quote-{symbol}",
            "ref": 1,
            "token_grant_no": 1,
            "side": side,
            "price_ticks": 10_000,
            "lots": lots,
            "maker": True,
            "fee": "0.02",
            "fee_asset": "USDT",
            "event_ns": 1,
            "position_lots": 0,
        }
        fill = Fill(**fields | changes)
        self.fill_no = max(self.fill_no, fill.fill_no)
        return fill

    def open(self, **exposure: tuple[int, int, int]) -> None:
        """Instruments, marks, a reporting gateway: ready to grant."""
        self.use_instruments()
        self.marks()
        self.report(**exposure)
        self.report(**exposure)

    def order_row(self, client_id: str, state: OrderState, reason: str = "") -> OrderRow:
        return OrderRow(VENUE, "BTCUSDT", client_id, "h", 1, state, Side.BUY, 10_000, 1, 0, 1, 1, reason, 1)

    # --- what came of it -------------------------------------------------------------------------------------

    def messages(self, kind: type[Kind], peer: str | None = None) -> list[Kind]:
        return [m for p, m in self.sent if isinstance(m, kind) and peer in (None, p)]

    def clear(self) -> None:
        self.sent.clear()
        self.rows.clear()
        self.others.clear()


def opened(settings: RiskSettings | None = None, **options: Any) -> Stage:
    stage = Stage(settings, **options)
    stage.open()
    return stage
