"""Orders through the ordinary client at a simulated venue, journalled as a fleet would, then audited over REST."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from actors.console.audit_views import AuditResult
from actors.gateway.keys import read_credentials
from actors.journal.history import read_history
from actors.journal.rows import GrantRow, HolderRow, LedgerRow, MetaRow, Row, RunRow
from actors.journal.store import Store
from actors.risk.ledger import Ledger
from actors.sim.actor import SimVenueActor, VenueEndpoint
from actors.sim.saved import SavedExchange, file_name, load_venue
from actors.transport import venue_audit
from actors.transport.http import HttpClient
from actors.transport.identity import SystemClock
from actors.transport.venue_audit import LedgerReader
from actors.transport.venue_saved import serve_saved
from actors.venues.binance import audit as audit_dialect
from actors.venues.binance.market import BinanceMarket
from actors.venues.binance.trading import BinanceTrading
from actors.venues.dialect import HttpRequest
from actors.vocab.config import FleetSettings, SimSettings
from actors.vocab.control import RunDescription, VenueAccount
from actors.vocab.errors import ConfigError, VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.orders import Fill, OrderRow, OrderState
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    VenueAck,
    VenueCancel,
    VenueEvent,
    VenueFill,
    VenuePlace,
    VenueReject,
    VenueReplace,
    VenueRequest,
    VenueTrades,
    VenueTradesQuery,
)
from pipelines.audit_ledger import app, audit_run
from pipelines.run_folder import read_marks, read_run, write_risk, write_run
from pipelines.universe import read_universe

VENUE = "binance_perp"
# Nobody trades but us, so that what happens is what the test does.
SETTINGS = FleetSettings(sim=SimSettings(taker_rate_per_s=0, informed_share=0, order_latency_ms=0, frames_per_s=20))


class Client:
    """The ordinary client dialect over REST; keeps what it sent as a gateway's journal would."""

    def __init__(self, account: VenueAccount, instruments: Sequence[Instrument]) -> None:
        self._trading = BinanceTrading(account.venue, read_credentials(account, {}), instruments)
        self.http = HttpClient(account.rest_url, clock=SystemClock())
        self.rows: list[OrderRow] = []
        self._number = 0

    async def ask(self, request: VenueRequest) -> list[VenueEvent]:
        call = self._trading.encode(request, timestamp_ms=SystemClock().wall_ns() // NS_PER_MS)
        assert isinstance(call, HttpRequest)
        answer = await self.http.call(call)
        events = self._trading.decode_http(request, answer.status, answer.headers, answer.body)
        assert not any(isinstance(event, VenueReject) for event in events), events
        return events

    async def place(self, symbol: str, side: Side, ticks: int, lots: int, *, post_only: bool = True) -> str:
        self._number += 1
        name = f"mnt-{self._number}"
        events = await self.ask(VenuePlace(self._number, symbol, name, side, ticks, lots, post_only))
        stamp = next(event.event_ns for event in events if isinstance(event, VenueAck))
        self.rows.append(
            OrderRow(VENUE, symbol, name, "quote-1", 1, OrderState.OPEN, side, ticks, lots, 0, 1, 1, "", stamp)
        )
        return name

    async def fills(self, symbol: str) -> list[VenueFill]:
        events = await self.ask(VenueTradesQuery(99, symbol))
        return [fill for event in events if isinstance(event, VenueTrades) for fill in event.fills]


class Scene:
    """What the run left, and what the venue said while it lived."""

    folder: Path
    live: AuditResult
    equity_usd: Decimal
    lots: int


def account_of(endpoint: VenueEndpoint) -> VenueAccount:
    return VenueAccount(
        venue=endpoint.venue,
        dialect="binance",
        market=endpoint.market,
        rest_url=endpoint.rest_url,
        stream_url=endpoint.stream_url,
        order_url="",
        key_file=endpoint.key_file,
        key_env="",
        account_id=endpoint.account_id,
    )


async def trade_a_little(client: Client, symbol: str, bid: int, ask: int, lots: int) -> None:
    """Buy at once, rest on both sides, amend one side, cancel everything, sell a part."""
    await client.place(symbol, Side.BUY, ask + 20, lots, post_only=False)
    low = await client.place(symbol, Side.BUY, bid - 50, lots)
    high = await client.place(symbol, Side.SELL, ask + 50, lots)
    await asyncio.sleep(0.002)  # an order that dies in its first millisecond is not asked for amendments
    await client.ask(VenueReplace(50, symbol, high, "", "", Side.SELL, ask + 60, lots + 1))
    for name in (low, high):
        await client.ask(VenueCancel(51, symbol, name))
    await client.place(symbol, Side.SELL, bid - 20, lots // 2, post_only=False)


def fill_of(row: VenueFill, number: int, position_lots: int, client_id: str) -> Fill:
    return Fill(
        VENUE,
        row.symbol,
        number,
        row.trade_id,
        client_id,
        "quote-1",
        0,
        0,
        row.side,
        row.price_ticks,
        row.lots,
        row.maker,
        row.fee,
        row.fee_asset,
        row.event_ns,
        position_lots,
    )


def journal_rows(
    fills: Sequence[VenueFill], orders: Sequence[OrderRow], instrument: Instrument, mid2: int
) -> list[Row]:
    """What risk would have written, its clock being the venue's."""
    ledger = Ledger(instrument)
    ledger.mark(mid2)
    rows: list[Row] = [*orders]
    start_ms = orders[0].event_ns // NS_PER_MS
    for number, one in enumerate(fills, start=1):
        ledger.fill(one.side, one.price_ticks, one.lots)
        ledger.fee(Decimal(one.fee))
        rows.append(fill_of(one, number, ledger.known_lots, ""))
    symbol = instrument.symbol
    price_nusd = int(mid2 / 2 * instrument.usd_per_tick_lot * 1e9) + 1
    return [
        RunRow("run-1", 1, "1000000", start_ms - 10),
        MetaRow(f"venue_ahead_ms:1:{VENUE}", "0"),
        GrantRow(VENUE, symbol, "quote-1", 1, 1, 100, 100, price_nusd, start_ms - 5),
        HolderRow(VENUE, symbol, "quote-1", 1, start_ms - 5, start_ms + 1_000, "released"),
        *rows,
        LedgerRow(VENUE, symbol, "run-1", ledger.known_lots, 0.0, 1, ledger.state().to_json()),
    ]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("run")
    made = Scene()
    made.folder = folder

    async def play() -> None:
        rows = read_universe().symbols[:2]
        actor = SimVenueActor(
            "sim:binance", SETTINGS.model_dump_json(), key_dir=str(folder / "keys"), universe=rows, seed=5
        )
        account = account_of((await actor.start())[VENUE])
        market = BinanceMarket(VENUE)
        http = HttpClient(account.rest_url, clock=SystemClock())
        listed = market.decode_instruments((await http.call(market.instruments_request())).body, ())
        market.use(listed)
        coin = listed[0]
        book = market.decode_snapshot(coin.symbol, (await http.call(market.snapshot_request(coin.symbol, 20))).body)
        bid, ask = book.bids[0][0], book.asks[0][0]
        client = Client(account, listed)
        made.lots = 2 * coin.lots_for_notional(bid)
        await trade_a_little(client, coin.symbol, bid, ask, made.lots)
        fills = await client.fills(coin.symbol)
        assert fills
        mid2 = bid + ask
        store = Store(f"sqlite:///{folder / 'journal.sqlite'}", "sim")
        store.write(journal_rows(fills, client.rows, coin, mid2))
        store.close()
        write_run(folder, description(folder, account, [row.symbol for row in listed]))
        ledger = Ledger(coin)
        ledger.mark(mid2)
        for one in fills:
            ledger.fill(one.side, one.price_ticks, one.lots)
            ledger.fee(Decimal(one.fee))
        parts = ledger.parts()
        write_risk(
            folder,
            {
                "pnl_exact": {name: str(getattr(parts, name)) for name in type(parts).__struct_fields__},
                "symbols": [{"venue": VENUE, "symbol": coin.symbol, "mid2": mid2, "net_usd": float(parts.net_usd)}],
            },
        )
        made.live = await audit_run(folder)
        await actor.save_ledgers(str(folder))
        state = (await actor.status())["venues"][VENUE]["equity"]
        made.equity_usd = Decimal(state["sim"]) - Decimal(str(SETTINGS.sim.balance_usd))
        for each in (http, client.http):
            await each.close()
        await actor.stop()

    asyncio.run(play())
    return made


def description(folder: Path, account: VenueAccount, symbols: Sequence[str]) -> RunDescription:
    return RunDescription(
        run_id="run-1",
        mode="sim",
        namespace="manta-sim",
        settings_json=SETTINGS.model_dump_json(),
        accounts=(account,),
        symbols=tuple(symbols),
        quote_groups=(),
        runtime_dir=str(folder),
        run_dir=str(folder),
        journal_url=f"sqlite:///{folder / 'journal.sqlite'}",
        relay_url="",
        relay_key_file="",
    )


def copy_of(scene: Scene, folder: Path) -> Path:
    for path in scene.folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def spoil(folder: Path, *statements: str) -> None:
    import sqlite3

    with sqlite3.connect(folder / "journal.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_the_venue_itself_and_its_saved_ledger_say_the_same(scene: Scene) -> None:
    assert scene.live.is_good, [one for one in scene.live.verdicts if not one.is_good]
    saved = asyncio.run(audit_run(scene.folder))

    assert saved.is_good, [one for one in saved.verdicts if not one.is_good]
    assert saved.net_usd == scene.live.net_usd
    assert [one.theirs for one in saved.verdicts] == [one.theirs for one in scene.live.verdicts]
    assert saved.uses == scene.live.uses
    # All that was ever held or bid for: the position, and as much again resting.
    assert saved.uses[0].usd_max > 0


def test_the_net_is_the_change_of_equity(scene: Scene) -> None:
    """The venue's own equity stands at its mark, ours at the mid: they may differ by that, on what is held."""
    assert scene.live.net_usd is not None
    assert abs(scene.live.net_usd - scene.equity_usd) < Decimal("1")
    assert scene.live.net_usd < 0  # it crossed the spread and paid fees


def test_the_command_prints_a_table_and_says_0(scene: Scene) -> None:
    told = CliRunner().invoke(app, [str(scene.folder)])

    assert told.exit_code == 0, told.output
    assert "all equal" in told.output
    assert "worst-case exposure" in told.output


def test_a_lost_fill_and_an_overrun_say_1(scene: Scene, tmp_path: Path) -> None:
    folder = copy_of(scene, tmp_path)
    spoil(folder, "DELETE FROM fills WHERE fill_no = 1", "UPDATE grants SET price_nusd = '999999999999999'")
    told = CliRunner().invoke(app, [str(folder), "--json"])

    assert told.exit_code == 1
    result = json.loads(told.output)
    assert result["lost_fills_count"] == 1
    assert result["overruns_count"] > 0
    assert {one["check"] for one in result["checks"] if not one["is_good"]} == {
        f"{VENUE}: fills",
        f"{VENUE}: fees",
        "worst-case exposure",
    }


def test_a_dead_holders_order_says_1(scene: Scene, tmp_path: Path) -> None:
    folder = copy_of(scene, tmp_path)
    spoil(folder, "UPDATE holders SET last_ms = last_ms - 60000, first_ms = first_ms - 60000")
    result = asyncio.run(audit_run(folder))

    assert [one.check for one in result.verdicts if not one.is_good] == [f"{VENUE}: orders after their holder's death"]


@pytest.mark.parametrize(
    ("gone", "text"),
    [
        ("run.json", "holds no run.json"),
        ("journal.sqlite", "there is no journal"),
        (file_name(VENUE), "does not answer and"),
    ],
)
def test_a_folder_with_nothing_to_read_says_2(scene: Scene, tmp_path: Path, gone: str, text: str) -> None:
    folder = copy_of(scene, tmp_path)
    (folder / gone).unlink()
    if gone == "journal.sqlite":
        named = msgspec.structs.replace(read_run(folder), journal_url=f"sqlite:///{folder / gone}")
        (folder / "run.json").write_bytes(msgspec.json.encode(named))
    told = CliRunner().invoke(app, [str(folder)])

    assert told.exit_code == 2
    assert text in told.output
    assert told.output.count("\n") == 1


def test_damaged_files_say_2(scene: Scene, tmp_path: Path) -> None:
    folder = copy_of(scene, tmp_path)
    for name, text in (
        (file_name(VENUE), "not a saved venue ledger"),
        ("risk.json", "not readable"),
        ("run.json", "not readable"),
        ("journal.sqlite", "the journal cannot be read"),
    ):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(b"x" * 1_000 if name == "journal.sqlite" else whole[: len(whole) // 2])
        told = CliRunner().invoke(app, [str(folder)])
        (folder / name).write_bytes(whole)
        assert told.exit_code == 2, name
        assert text in told.output


def test_pages_are_turned(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows an answer, as if the venue had thousands; and a span of a minute for the hour before."""
    saved = load_venue((scene.folder / file_name(VENUE)).read_bytes(), "it").accounts[0]
    at_once = Counter(row.time_ms for row in saved.income).most_common(1)[0][1]
    assert len(saved.income) > at_once + 1
    for where in (venue_audit, audit_dialect):
        monkeypatch.setattr(where, "PAGE_MAX", at_once + 1)
    monkeypatch.setattr(venue_audit, "SPAN_MS", {"perp": 60_000})
    whole = asyncio.run(audit_run(scene.folder))

    assert whole.is_good, [one for one in whole.verdicts if not one.is_good]


def test_more_balance_rows_in_a_millisecond_than_a_page_holds_are_not_passed_over(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in (venue_audit, audit_dialect):
        monkeypatch.setattr(where, "PAGE_MAX", 1)

    with pytest.raises(VenueFault, match="cannot be paged"):
        asyncio.run(audit_run(scene.folder))


def test_a_saved_venue_takes_no_order(scene: Scene) -> None:
    saved = load_venue((scene.folder / file_name(VENUE)).read_bytes(), "it")
    exchange = SavedExchange(saved)
    assert exchange.advance(0) == []
    assert exchange.account_state("sim") == saved.accounts[0].state
    assert exchange.equity("sim") == Decimal(saved.accounts[0].equity)

    async def scene_of_one() -> list[VenueEvent]:
        async with serve_saved(scene.folder / file_name(VENUE)) as opened:
            account = msgspec.structs.replace(read_run(scene.folder).accounts[0], rest_url=opened.rest_url)
            trading = BinanceTrading(VENUE, opened.credentials, saved.instruments)
            http = HttpClient(account.rest_url, clock=SystemClock())
            place = VenueCancel(1, saved.instruments[0].symbol, "mnt-1")
            call = trading.encode(place, timestamp_ms=saved.saved_ns // NS_PER_MS)
            assert isinstance(call, HttpRequest)
            answer = await http.call(call)
            await http.close()
            return trading.decode_http(place, answer.status, answer.headers, answer.body)

    (told,) = [event for event in asyncio.run(scene_of_one()) if isinstance(event, VenueReject)]
    assert "read-only" in told.text


def test_a_key_that_the_venue_does_not_know_is_the_venues_refusal(scene: Scene) -> None:
    async def read() -> None:
        async with serve_saved(scene.folder / file_name(VENUE)) as opened:
            other = msgspec.structs.replace(opened.credentials, api_key="f" * 64)
            reader = LedgerReader(venue=VENUE, rest_url=opened.rest_url, credentials=other, clock=SystemClock())
            try:
                await reader.read(("BTCUSDT",), since_ms=1, is_whole=True)
            finally:
                await reader.close()

    with pytest.raises(VenueFault, match="refuses"):
        asyncio.run(read())


def test_risk_that_did_not_answer_leaves_no_marks(tmp_path: Path) -> None:
    write_risk(tmp_path, {})

    assert read_marks(tmp_path) is None
    with pytest.raises(ConfigError, match=r"no run\.json"):
        read_run(tmp_path)


def test_a_run_that_the_journal_does_not_know_is_refused(scene: Scene, tmp_path: Path) -> None:
    folder = copy_of(scene, tmp_path)
    spoil(folder, "UPDATE runs SET run_id = 'other'")
    assert read_history(folder / "journal.sqlite").runs[0].run_id == "other"

    with pytest.raises(ConfigError, match="knows no run run-1"):
        asyncio.run(audit_run(folder))
