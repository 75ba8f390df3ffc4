"""Are our fills, positions, fees and profit those of the venue? Trade by trade, then by the cent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from actors.console.audit_views import CENT, Ours, Verdict, held_lots, traded_lots, verdict
from actors.risk.accounts import USD_LIKE
from actors.venues.ledger import LedgerBook, LedgerTrade
from actors.vocab.instruments import Instrument
from actors.vocab.orders import Fill, PositionAdjust
from actors.vocab.units import NS_PER_MS

ZERO = Decimal(0)
_TradeKey = tuple[str, int, int]  # symbol, trade id, side: both sides of a trade with ourselves have one id


class FillsReport(msgspec.Struct, frozen=True):
    verdict: Verdict
    lost_count: int  # the venue's, not in our journal


class Money(msgspec.Struct, frozen=True):
    """What the venue's rows say was earned, in USD."""

    net_by_symbol: dict[str, Decimal]
    fees: Decimal
    funding: Decimal
    unvalued: tuple[str, ...]  # assets of fees that no price is known for

    @property
    def net(self) -> Decimal:
        return sum(self.net_by_symbol.values(), ZERO)


def our_fills(ours: Ours, book: LedgerBook) -> list[Fill]:
    """Journalled fills of this account since the book begins."""
    since_ns = book.since_ms * NS_PER_MS
    return [fill for fill in ours.history.fills if fill.venue == book.venue and fill.event_ns >= since_ns]


def compare_fills(ours: Ours, book: LedgerBook) -> FillsReport:
    """Each trade of the venue is in the journal exactly once, and nothing else is."""
    fills = our_fills(ours, book)
    theirs = {_trade_key(row): row for row in book.trades}
    client_ids = {row.venue_order_id: row.client_id for row in book.orders}
    mine: defaultdict[_TradeKey, list[Fill]] = defaultdict(list)
    for fill in fills:
        mine[_fill_key(fill)].append(fill)
    lost = [f"{_name(row)} is not in the journal" for key, row in theirs.items() if key not in mine]
    doubled = [
        f"{_name(theirs[key])} is in the journal {len(rows)} times: fill numbers "
        + ", ".join(str(row.fill_no) for row in rows)
        for key, rows in mine.items()
        if len(rows) > 1 and key in theirs
    ]
    invented = [
        f"fill {row.fill_no} of {row.symbol}, trade {row.trade_id}: the venue has no such trade"
        for key, rows in mine.items()
        if key not in theirs
        for row in rows
    ]
    differing = [
        f"{_name(theirs[key])}: " + "; ".join(faults)
        for key, rows in mine.items()
        if key in theirs and (faults := _differences(rows[0], theirs[key], client_ids))
    ]
    findings = [*lost, *doubled, *invented, *differing]
    return FillsReport(verdict(f"{book.venue}: fills", len(fills), len(book.trades), findings), len(lost))


def compare_positions(ours: Ours, book: LedgerBook) -> Verdict:
    """The position of each symbol, by the venue, by the gateway's last entry and by risk's ledger."""
    by_risk = {row.symbol: row.position_lots for row in ours.history.ledgers if row.venue == book.venue}
    entries: list[Fill | PositionAdjust] = [*ours.history.fills, *ours.history.adjustments]
    by_gateway = {
        row.symbol: row.position_lots
        for row in sorted(entries, key=lambda row: row.fill_no)
        if row.venue == book.venue and row.symbol
    }
    findings: list[str] = []
    ours_count = theirs_count = 0
    for instrument in _traded(ours, book):
        symbol = instrument.symbol
        # A stock that we took for larger or smaller than it was shows here as a position that differs.
        theirs = held_lots(book, instrument) - ours.stock_lots((book.venue, symbol))
        risk, gateway = by_risk.get(symbol, 0), by_gateway.get(symbol, by_risk.get(symbol, 0))
        ours_count += risk != 0
        theirs_count += theirs != 0
        if not theirs == risk == gateway:
            findings.append(f"{symbol}: venue {theirs} lots, risk {risk}, gateway {gateway}")
    return verdict(f"{book.venue}: positions", f"{ours_count} open", f"{theirs_count} open", findings)


def compare_orders_with_trades(book: LedgerBook) -> Verdict:
    """The venue's order rows and trades must tell one story, or nothing below can be trusted."""
    filled: Counter[str] = Counter()
    for row in book.trades:
        filled[row.fill.venue_order_id] += row.fill.lots
    findings = [
        f"{row.symbol} order {row.venue_order_id}: its row says {row.filled_lots} lots filled, "
        f"its trades {filled[row.venue_order_id]}"
        for row in book.orders
        # Orders from before the book may have been filled before it.
        if row.filled_lots != filled[row.venue_order_id] and row.created_ms >= book.since_ms
    ]
    orders_lots = sum(row.filled_lots for row in book.orders)
    return verdict(
        f"{book.venue}: venue's orders and trades", f"{orders_lots} lots", f"{sum(filled.values())} lots", findings
    )


def compare_amendments(book: LedgerBook) -> Verdict:
    """Each change tells how many there were: one that was not read may have been an order beyond every limit."""
    read: Counter[tuple[str, str]] = Counter()
    told: Counter[tuple[str, str]] = Counter()
    for row in book.amendments:
        key = (row.symbol, row.venue_order_id)
        read[key] += 1
        told[key] = max(told[key], row.amendments_count)
    findings = [
        f"{symbol} order {order_id}: {read[symbol, order_id]} of {count} changes could be read"
        for (symbol, order_id), count in told.items()
        if read[symbol, order_id] != count
    ]
    check = f"{book.venue}: changes of orders, read and told"
    return verdict(check, f"{read.total()} read", f"{told.total()} told", findings)


def compare_fees(ours: Ours, book: LedgerBook) -> list[Verdict]:
    """Fees by asset; on perpetuals also the venue's balance rows against its trades, and its wallet against them."""
    mine = _sums((fill.fee_asset, Decimal(fill.fee or "0")) for fill in our_fills(ours, book))
    theirs = _sums((row.fill.fee_asset, Decimal(row.fill.fee or "0")) for row in book.trades)
    verdicts = [_amounts(f"{book.venue}: fees", mine, theirs)]
    if not book.income:
        return verdicts
    charged = _sums((row.asset, -Decimal(row.amount)) for row in book.income if row.kind == "COMMISSION")
    verdicts.append(_amounts(f"{book.venue}: venue's commissions and trades", charged, theirs))
    if book.is_whole:
        booked = _sums((row.asset, Decimal(row.amount)) for row in book.income)
        wallet = _sums((row.asset, Decimal(row.wallet)) for row in book.account.balances)
        verdicts.append(_amounts(f"{book.venue}: venue's balance rows and wallet", booked, wallet))
    return verdicts


def compare_funding(ours: Ours, book: LedgerBook) -> Verdict:
    since_ns = book.since_ms * NS_PER_MS
    mine = _sums(
        (row.asset, Decimal(row.amount))
        for row in ours.history.adjustments
        if row.venue == book.venue and row.event_ns >= since_ns and "funding" in row.reason.lower()
    )
    theirs = _sums((row.asset, Decimal(row.amount)) for row in book.income if row.kind == "FUNDING_FEE")
    return _amounts(f"{book.venue}: funding", mine, theirs)


def venue_money(ours: Ours, book: LedgerBook) -> Money | None:
    """Trades' cash, plus position at risk's final mark, minus fees, plus funding. None without marks."""
    if ours.marks is None:
        return None
    net: dict[str, Decimal] = {}
    fees_total, unvalued = ZERO, set[str]()
    trades = _by_symbol(book.trades)
    for instrument in _traded(ours, book):
        symbol = instrument.symbol
        unit = instrument.usd_per_tick_lot_exact
        cash = ZERO
        for row in trades.get(symbol, ()):
            fill = row.fill
            cash -= int(fill.side) * fill.price_ticks * fill.lots * unit
            fee = _fee_usd(row, instrument)
            if fee is None:
                unvalued.add(fill.fee_asset)
            else:
                fees_total += fee
                cash -= fee
        held = held_lots(book, instrument)
        if held != traded_lots(book, symbol):
            cash += _untraded_cash(ours, book, instrument)
        mark = Decimal(ours.marks.mid2.get((book.venue, symbol), 0)) / 2
        net[symbol] = cash + held * mark * unit
    funding = ZERO
    for income in book.income:
        if income.kind == "FUNDING_FEE":
            funding += Decimal(income.amount)
            net[income.symbol] = net.get(income.symbol, ZERO) + Decimal(income.amount)
    return Money(net, fees_total, funding, tuple(sorted(unvalued)))


def compare_net(ours: Ours, books: Sequence[LedgerBook], money: Sequence[Money | None]) -> list[Verdict]:
    """Net profit to the cent: risk's own, and the report's with its residual."""
    known = [each for each in money if each is not None]
    if ours.marks is None or len(known) < len(money):
        return [Verdict("net pnl", "?", "?", False, ("risk left no final marks (risk.json): not checked",))]
    parts = ours.marks.parts
    mine = parts["spread_capture"] + parts["inventory"] - parts["fees"] + parts["funding"]
    theirs = sum((each.net for each in known), ZERO)
    findings = _net_by_symbol(ours, books, known)
    if abs(mine - theirs) >= CENT and not findings:
        findings.append(f"ours minus the venue's: {mine - theirs:.6f} USD")
    verdicts = [verdict("net pnl", f"{mine:.4f} USD", f"{theirs:.4f} USD", findings)]
    if ours.summary is not None:
        verdicts.append(_compare_summary(ours, theirs, known))
    return verdicts


# --- parts -------------------------------------------------------------------------------------------------------


def _compare_summary(ours: Ours, net: Decimal, money: Sequence[Money]) -> Verdict:
    assert ours.summary is not None
    told = {name: Decimal(str(value)) for name, value in ours.summary.get("pnl", {}).items()}
    wanted = {
        "net_usd": net,
        "fees_usd": sum((each.fees for each in money), ZERO),
        "funding_usd": sum((each.funding for each in money), ZERO),
        "residual_usd": ZERO,
    }
    findings = [
        f"summary.json says pnl.{name} {told.get(name)}, the venue {value:.4f}"
        for name, value in wanted.items()
        if name not in told or abs(told[name] - value) >= CENT
    ]
    return verdict("summary.json pnl", f"{told.get('net_usd')} USD", f"{net:.4f} USD", findings)


def _net_by_symbol(ours: Ours, books: Sequence[LedgerBook], money: Sequence[Money]) -> list[str]:
    assert ours.marks is not None
    findings = []
    for book, each in zip(books, money, strict=True):
        for symbol, theirs in each.net_by_symbol.items():
            mine = ours.marks.net_by_symbol.get((book.venue, symbol))
            if mine is None and not theirs:
                continue
            if mine is None or abs(mine - theirs) >= CENT:
                findings.append(f"{book.venue} {symbol}: ours {mine}, the venue's {theirs:.6f} USD")
    return findings


def _untraded_cash(ours: Ours, book: LedgerBook, instrument: Instrument) -> Decimal:
    """What our ledger paid for lots that no trade of the book moved: stock, positions from before, base coin fees.

    The venue has no price for those; risk took them over at its mid of that moment, and so do we.
    """
    state = ours.ledger((book.venue, instrument.symbol))
    if state is None:
        return ZERO
    fills = [fill for fill in ours.history.fills if (fill.venue, fill.symbol) == (book.venue, instrument.symbol)]
    traded = sum(
        (
            -int(fill.side) * fill.price_ticks * fill.lots * instrument.usd_per_tick_lot_exact
            for fill in sorted(fills, key=lambda fill: fill.fill_no)[len(fills) - state.fills_count :]
        ),
        ZERO,
    )
    return Decimal(state.cash_usd) - traded - Decimal(state.stock_paid_usd or "0")


def _fee_usd(row: LedgerTrade, instrument: Instrument) -> Decimal | None:
    fill = row.fill
    amount = Decimal(fill.fee or "0")
    if not amount or fill.fee_asset in USD_LIKE or fill.fee_asset == instrument.quote:
        return amount
    if fill.fee_asset == instrument.base:
        return amount * fill.price_ticks * instrument.tick
    return None


def _differences(fill: Fill, row: LedgerTrade, client_ids: dict[str, str]) -> list[str]:
    theirs = row.fill
    faults = [
        f"{name} ours {mine}, the venue's {other}"
        for name, mine, other in (
            ("price", fill.price_ticks, theirs.price_ticks),
            ("size", fill.lots, theirs.lots),
            ("fee asset", fill.fee_asset, theirs.fee_asset),
            ("maker", fill.maker, theirs.maker),
        )
        if mine != other
    ]
    if Decimal(fill.fee or "0") != Decimal(theirs.fee or "0"):
        faults.append(f"fee ours {fill.fee}, the venue's {theirs.fee}")
    client_id = theirs.client_id or client_ids.get(theirs.venue_order_id, "")
    if fill.client_id and client_id and fill.client_id != client_id:
        faults.append(f"order ours {fill.client_id}, the venue's {client_id}")
    return faults


def _amounts(check: str, mine: dict[str, Decimal], theirs: dict[str, Decimal]) -> Verdict:
    findings = [
        f"{asset}: {mine.get(asset, ZERO)} against {theirs.get(asset, ZERO)}"
        for asset in sorted(mine.keys() | theirs.keys())
        if abs(mine.get(asset, ZERO) - theirs.get(asset, ZERO)) >= _cent_of(asset)
    ]
    return verdict(check, _spell(mine), _spell(theirs), findings)


def _cent_of(asset: str) -> Decimal:
    """Coins may be worth anything: the venue's smallest step for them."""
    return CENT if asset in USD_LIKE else Decimal("0.00000001")


def _spell(sums: dict[str, Decimal]) -> str:
    return ", ".join(_spell_one(asset, amount) for asset, amount in sorted(sums.items())) or "none"


def _spell_one(asset: str, amount: Decimal) -> str:
    return f"{amount:.4f} {asset}" if asset in USD_LIKE else f"{amount:.8f} {asset}"


def _sums(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for asset, amount in amounts:
        sums[asset] = sums.get(asset, ZERO) + amount
    return {asset: amount for asset, amount in sums.items() if amount}


def _traded(ours: Ours, book: LedgerBook) -> list[Instrument]:
    """Instruments of the run and whatever else the account traded."""
    wanted = {*ours.symbols, *(row.fill.symbol for row in book.trades), *(row.symbol for row in book.positions)}
    return [instrument for instrument in book.instruments if instrument.symbol in wanted]


def _by_symbol(trades: Iterable[LedgerTrade]) -> dict[str, list[LedgerTrade]]:
    found: dict[str, list[LedgerTrade]] = {}
    for row in trades:
        found.setdefault(row.fill.symbol, []).append(row)
    return found


def _trade_key(row: LedgerTrade) -> _TradeKey:
    return (row.fill.symbol, row.fill.trade_id, int(row.fill.side))


def _fill_key(fill: Fill) -> _TradeKey:
    return (fill.symbol, fill.trade_id, int(fill.side))


def _name(row: LedgerTrade) -> str:
    fill = row.fill
    return f"{fill.symbol} trade {fill.trade_id} ({fill.side.name} {fill.lots} lots at {fill.price_ticks} ticks)"
