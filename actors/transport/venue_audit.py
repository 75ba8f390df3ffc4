"""Reads one account's ledger from its venue over REST, page by page, with nothing of ours in hand.

Paging follows the venue: 1 000 rows an answer, spans of at most 7 days (spot orders and trades: one day), then on by
id inside a span; amendments go backwards by time, 100 an answer. Told to wait, it waits. Source: rest-api.md and the
USD-M "Account" and "Trade" pages, read 2026-07.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from actors.transport.http import HttpAnswer, HttpClient, HttpUnanswered
from actors.venues.binance.audit import AMENDMENTS_PAGE_MAX, PAGE_MAX, BinanceAudit
from actors.venues.binance.market import BinanceMarket
from actors.venues.binance.trading import BinanceTrading
from actors.venues.dialect import Credentials, HttpRequest
from actors.venues.ledger import (
    LedgerAmendment,
    LedgerBook,
    LedgerIncome,
    LedgerOrder,
    LedgerTrade,
)
from actors.vocab.clock import Clock
from actors.vocab.errors import OurFault, VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import VenueTime, VenueTimeQuery

_Row = TypeVar("_Row", LedgerOrder, LedgerTrade)
_Any = TypeVar("_Any")

DAY_MS: Final = 86_400_000
SPAN_MS: Final = {"perp": 7 * DAY_MS, "spot": DAY_MS}
CALLS_AT_ONCE: Final = 8
TRIES_MAX: Final = 5  # of one call; a venue that asks to wait does not count
WAITS_MAX: Final = 30  # times one call waits because the venue says so


class LedgerReader:
    """One reading of one account. `close` it."""

    def __init__(
        self,
        *,
        venue: str,
        rest_url: str,
        credentials: Credentials,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.venue = venue
        self._http = HttpClient(rest_url, clock=clock)
        self._clock = clock
        self._sleep = sleep
        # Without an order URL every request is spelled for REST.
        self._trading = BinanceTrading(venue, credentials, recv_window_ms=60_000)
        self._market_dialect = BinanceMarket(venue)
        self._audit = BinanceAudit(self._trading)
        self._server_ahead_ms = 0
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self.calls_count = 0

    async def close(self) -> None:
        await self._http.close()

    async def server_ms(self) -> int:
        """The venue's clock; requests are stamped by it from here on. `HttpUnanswered` where nobody answers."""
        query = VenueTimeQuery(request_no=1)
        request = self._trading.encode(query, timestamp_ms=0)
        if not isinstance(request, HttpRequest):
            raise OurFault(f"{self.venue}: time is asked over REST")
        answer = await self._http.call(request)
        for event in self._trading.decode_http(query, answer.status, answer.headers, answer.body):
            if isinstance(event, VenueTime):
                self._server_ahead_ms = event.server_ms - self._clock.wall_ns() // NS_PER_MS
                return event.server_ms
        raise VenueFault(f"{self.venue}: the time query was answered with status {answer.status}")

    async def read(self, symbols: Sequence[str], *, since_ms: int, is_whole: bool) -> LedgerBook:
        """Everything since `since_ms`: of `symbols`, and of whatever else holds a position or an open order.

        `VenueFault` where the venue refuses or cannot be read.
        """
        read_ms = await self.server_ms()
        instruments = await self._instruments()
        audit = self._audit
        account = audit.decode_account(*await self._get(lambda ms: audit.account_request(timestamp_ms=ms)))
        is_perp = instruments[0].market == "perp" if instruments else False
        positions = (
            audit.decode_positions(*await self._get(lambda ms: audit.positions_request(timestamp_ms=ms)))
            if is_perp
            else []
        )
        open_orders = audit.decode_orders(*await self._get(lambda ms: audit.open_orders_request(timestamp_ms=ms)))
        listed = {row.symbol for row in instruments}
        held = {row.symbol for row in positions} | {row.symbol for row in open_orders}
        asked = sorted(({*symbols} | held) & listed)
        spans = list(_spans(since_ms, read_ms, SPAN_MS["perp" if is_perp else "spot"]))
        orders = await _all(self._orders(symbol, spans) for symbol in asked)
        trades = await _all(self._trades(symbol, spans) for symbol in asked)
        income = await self._income(_spans(since_ms, read_ms, SPAN_MS["perp"])) if is_perp else []
        amendments = await _all(self._amendments(row) for row in orders if row.updated_ms > row.created_ms)
        return LedgerBook(
            venue=self.venue,
            since_ms=since_ms,
            read_ms=read_ms,
            instruments=tuple(instruments),
            orders=tuple(sorted(orders, key=lambda row: (row.created_ms, int(row.venue_order_id)))),
            open_orders=tuple(open_orders),
            amendments=tuple(sorted(amendments, key=lambda row: (row.time_ms, row.amendment_id))),
            trades=tuple(sorted(trades, key=lambda row: (row.fill.event_ns, row.fill.trade_id))),
            income=tuple(income),
            account=account,
            positions=tuple(positions),
            is_whole=is_whole,
        )

    # --- one kind of rows each -----------------------------------------------------------------------------------

    async def _instruments(self) -> list[Instrument]:
        answer = await self._call(self._market_dialect.instruments_request())
        if answer.status != 200:
            raise VenueFault(f"{self.venue}: exchange info was answered with status {answer.status}")
        instruments = self._market_dialect.decode_instruments(answer.body, ())
        self._trading.use(instruments)
        return instruments

    async def _orders(self, symbol: str, spans: Sequence[tuple[int, int]]) -> list[LedgerOrder]:
        async def page(from_id: int, since_ms: int, until_ms: int) -> list[LedgerOrder]:
            answer = await self._get(
                lambda ms: self._audit.all_orders_request(
                    symbol, timestamp_ms=ms, from_order_id=from_id, since_ms=since_ms, until_ms=until_ms
                )
            )
            return self._audit.decode_orders(*answer)

        return [
            row
            async for row in _paged(
                spans,
                page,
                key_of=lambda row: (int(row.venue_order_id), int(row.side)),
                time_of=lambda row: row.created_ms,
            )
        ]

    async def _trades(self, symbol: str, spans: Sequence[tuple[int, int]]) -> list[LedgerTrade]:
        async def page(from_id: int, since_ms: int, until_ms: int) -> list[LedgerTrade]:
            answer = await self._get(
                lambda ms: self._audit.trades_request(
                    symbol, timestamp_ms=ms, from_trade_id=from_id, since_ms=since_ms, until_ms=until_ms
                )
            )
            return self._audit.decode_trades(*answer)

        return [
            row
            async for row in _paged(
                spans,
                page,
                key_of=lambda row: (row.fill.trade_id, int(row.fill.side)),
                time_of=lambda row: row.fill.event_ns // NS_PER_MS,
            )
        ]

    async def _income(self, spans: Iterable[tuple[int, int]]) -> list[LedgerIncome]:
        """This list has no ids to go on by: the next page starts in the last row's millisecond, repeats are dropped."""
        found: dict[tuple[str, int, str, int], LedgerIncome] = {}
        for since_ms, until_ms in spans:
            from_ms = since_ms
            while True:
                answer = await self._get(
                    lambda ms, from_ms=from_ms, until_ms=until_ms: self._audit.income_request(  # type: ignore[misc]
                        timestamp_ms=ms, since_ms=from_ms, until_ms=until_ms
                    )
                )
                rows = self._audit.decode_income(*answer)
                found.update({(row.kind, row.tran_id, row.symbol, row.trade_id): row for row in rows})
                if len(rows) < PAGE_MAX:
                    break
                last_ms = max(row.time_ms for row in rows)
                if last_ms == from_ms and min(row.time_ms for row in rows) == from_ms:
                    raise VenueFault(f"{self.venue}: more than {PAGE_MAX} balance rows at {from_ms}: cannot be paged")
                from_ms = last_ms
        return sorted(found.values(), key=lambda row: (row.time_ms, row.tran_id))

    async def _amendments(self, row: LedgerOrder) -> list[LedgerAmendment]:
        """Newest page first; the next one ends in the oldest row's millisecond, repeats are dropped.

        More than a page in one millisecond cannot be passed: their counts tell an audit what is missing.
        """
        found: dict[int, LedgerAmendment] = {}
        until_ms = 0
        while True:
            answer = await self._get(
                lambda ms, until_ms=until_ms: self._audit.amendments_request(  # type: ignore[misc]
                    row.symbol, row.venue_order_id, timestamp_ms=ms, until_ms=until_ms
                )
            )
            rows = self._audit.decode_amendments(*answer)
            fresh = {each.amendment_id: each for each in rows if each.amendment_id not in found}
            found.update(fresh)
            if len(rows) < AMENDMENTS_PAGE_MAX or not fresh:
                return sorted(found.values(), key=lambda each: each.amendment_id)
            until_ms = min(each.time_ms for each in rows)

    # --- calls ---------------------------------------------------------------------------------------------------

    async def _get(self, request_at: Callable[[int], HttpRequest]) -> tuple[int, bytes]:
        """Sign as late as possible: a request that waited for its turn must not be out of its time window."""
        async with self._slots:
            answer = await self._call_signed(request_at)
        return answer.status, answer.body

    async def _call_signed(self, request_at: Callable[[int], HttpRequest]) -> HttpAnswer:
        return await self._repeat(lambda: request_at(self._clock.wall_ns() // NS_PER_MS + self._server_ahead_ms))

    async def _call(self, request: HttpRequest) -> HttpAnswer:
        return await self._repeat(lambda: request)

    async def _repeat(self, make: Callable[[], HttpRequest]) -> HttpAnswer:
        """Everything here only reads, so a call without an answer is made again."""
        tries = waits = 0
        while True:
            self.calls_count += 1
            try:
                answer = await self._http.call(make())
            except HttpUnanswered as error:
                tries += not error.wait_s
                waits += bool(error.wait_s)
                if tries >= TRIES_MAX or waits >= WAITS_MAX:
                    raise VenueFault(f"{self.venue}: {error}") from None
                await self._sleep(error.wait_s or 0.2 * tries)
                continue
            if answer.status in (418, 429):
                waits += 1
                if waits >= WAITS_MAX:
                    return answer
                await self._sleep(self._http.closed_for_s)
                continue
            return answer


# --- paging ------------------------------------------------------------------------------------------------------


def _spans(since_ms: int, until_ms: int, length_ms: int) -> Iterable[tuple[int, int]]:
    """[since, until] in pieces that the venue takes, both ends inclusive."""
    at_ms = since_ms
    while at_ms <= until_ms:
        end_ms = min(until_ms, at_ms + length_ms - 1)
        yield at_ms, end_ms
        at_ms = end_ms + 1


async def _paged(
    spans: Sequence[tuple[int, int]],
    page: Callable[[int, int, int], Awaitable[list[_Row]]],
    *,
    key_of: Callable[[_Row], tuple[int, int]],
    time_of: Callable[[_Row], int],
) -> AsyncIterator[_Row]:
    """Rows of every span, each once. A full page goes on by id: the venue takes ids or times, never both.

    `key_of` is (id, side): both sides of a trade with ourselves have one id, so the next page begins with the last id.
    """
    seen: set[tuple[int, int]] = set()
    for since_ms, until_ms in spans:
        rows = await page(0, since_ms, until_ms)
        while True:
            fresh = [row for row in rows if key_of(row) not in seen and time_of(row) <= until_ms]
            seen.update(key_of(row) for row in fresh)
            for row in fresh:
                yield row
            if len(rows) < PAGE_MAX or not fresh:
                break
            rows = await page(max(key_of(row)[0] for row in fresh), 0, 0)


async def _all(readings: Iterable[Awaitable[list[_Any]]]) -> list[_Any]:
    """Results of all, in order; `_slots` bounds how many calls are under way."""
    return [row for rows in await asyncio.gather(*readings) for row in rows]
