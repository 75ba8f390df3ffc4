"""From what the actors say of themselves to what the operator sees: table rows, samples, the summary's facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from actors.console.audit_views import AuditResult
from actors.console.report import RunRecord
from actors.console.report_charts import Sample
from actors.console.series import Series, SymbolSample
from actors.console.summary import RunFacts, merge_counts
from actors.console.table import FleetLine, SymbolRow, symbol_row
from actors.risk.markouts import FillTrace
from actors.transport.meters import Histogram
from actors.vocab.config import RiskSettings
from actors.vocab.reasons import Reason
from pipelines.model_figures import model_figures, operator_lines
from pipelines.plan import RunPlan

Status = Mapping[str, Any]
PARTS = ("spread_capture", "inventory", "fees", "funding")
SIDES = ("bid", "ask")
# Latency -> who measures it. Counted from when all symbols quote: fifty processes that start share the same cores.
LATENCIES = {
    "frame_to_quote": "quote:",
    "frame_to_order": "gateway:",
    "feed_lag": "quote:",
    "pacer_wait": "gateway:",
    "order_to_ack": "gateway:",
}
SATURATED_SHARE = 0.8
SAMPLES_MAX = 10_000  # of the fleet: a curve has no more points on paper
LARGEST_COUNT = 10  # positions that the risk model is told of


class Uptime:
    """Two-sided time of each symbol since all quoted, over restarts of its actor."""

    def __init__(self) -> None:
        self._seen_ns: dict[str, int] = {}  # symbol -> newest two_sided_ns of the current life
        self._sum_ns: dict[str, int] = {}  # symbol -> two-sided time since `start`
        self._started = False

    def start(self) -> None:
        """All symbols quote: from here on the share counts."""
        self._started = True
        self._sum_ns = dict.fromkeys(self._seen_ns, 0)

    def add(self, symbol: str, two_sided_ns: int) -> None:
        """Take the newest reading; a smaller one than before is a new life, counting from zero."""
        before = self._seen_ns.get(symbol, 0)
        gained = two_sided_ns - before if two_sided_ns >= before else two_sided_ns
        self._seen_ns[symbol] = two_sided_ns
        if self._started:
            self._sum_ns[symbol] = self._sum_ns.get(symbol, 0) + gained

    def shares(self, duration_s: float) -> dict[str, float]:
        return {symbol: min(1.0, ns / 1e9 / duration_s) for symbol, ns in self._sum_ns.items()} if duration_s else {}


class Reasons:
    """Which reason each side of each symbol had, look by look; `QUOTING` is one."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], dict[str, Counter[str]]] = {}  # (symbol, venue) -> side -> codes

    def add(self, symbol: str, row: Status) -> None:
        sides = self._seen.setdefault((symbol, row["venue"]), {side: Counter() for side in SIDES})
        for side in SIDES:
            if row[f"{side}_code"] != Reason.STOPPING.name:  # every run ends with it, which explains nothing
                sides[side][row[f"{side}_code"]] += 1

    def shares(self) -> dict[str, Any]:
        """symbol -> venue, and for each side the share of all looks at each reason, the most frequent first."""
        return {
            symbol: {"venue": venue}
            | {
                side: {code: round(count / codes.total(), 4) for code, count in codes.most_common()}
                for side, codes in sides.items()
            }
            for (symbol, venue), sides in self._seen.items()
        }


class Figures:
    """Newest status of every actor, and everything derived from it."""

    def __init__(self, plan: RunPlan, *, dashboard: str) -> None:
        self._plan = plan
        self._dashboard = dashboard
        self.statuses: dict[str, Status] = {}  # role -> newest
        self.uptime = Uptime()
        self._reasons = Reasons()
        self._samples: Series[Sample] = Series(SAMPLES_MAX)
        self._series: Series[SymbolSample] = Series()
        self.restarts: Counter[str] = Counter()
        self._incarnations: dict[str, str] = {}
        # (role, incarnation) -> last status of each life: what it counted must outlive it.
        self._lives: dict[tuple[str, str], Status] = {}
        self._frames_before = 0.0  # received before all symbols quoted
        self._frames_after: float | None = None  # received when the run was over
        self._latencies_before: dict[str, Histogram] = {}
        self._cpu_s: dict[str, float] = {}  # role -> CPU seconds of its lives since all quoted
        self._cpu_seen_s: dict[str, float] = {}  # role -> newest reading of its current life
        self._counting = False

    def take(self, statuses: Mapping[str, Status]) -> None:
        """Newest statuses; a new incarnation counts as a restart."""
        for role, status in statuses.items():
            incarnation = status.get("incarnation", "")
            if incarnation and self._incarnations.get(role, incarnation) != incarnation:
                self.restarts[role] += 1
            if incarnation:
                self._incarnations[role] = incarnation
            self._lives[role, incarnation] = status
            self.statuses[role] = status
            self._take_cpu(role, float(status.get("cpu_s", 0.0)))
            if role.startswith("quote:"):
                for symbol, row in status.get("symbols", {}).items():
                    self.uptime.add(symbol, int(row["two_sided_ns"]))
                    self._reasons.add(symbol, row)

    def start_counting(self) -> None:
        """All symbols quote: shares of time and CPU, and frames a second, and latencies, count from here."""
        self._counting = True
        self._latencies_before = {name: self.histogram(name) for name in LATENCIES}
        self._frames_before = self._feed_counts().get("frames", 0.0)
        self._cpu_s = {}
        self.uptime.start()

    def stop_counting(self) -> None:
        """The run is over, the feeds are not: they go on while orders are cancelled."""
        self._frames_after = self._feed_counts().get("frames", 0.0)

    def _take_cpu(self, role: str, cpu_s: float) -> None:
        """A smaller reading than before is a new life, counting from zero."""
        before_s = self._cpu_seen_s.get(role, cpu_s)
        self._cpu_seen_s[role] = cpu_s
        if self._counting:
            self._cpu_s[role] = self._cpu_s.get(role, 0.0) + (cpu_s - before_s if cpu_s >= before_s else cpu_s)

    # --- reading ---------------------------------------------------------------------------------------------

    def of(self, prefix: str) -> list[Status]:
        """Newest statuses of the roles that begin so."""
        return [status for role, status in self.statuses.items() if role.startswith(prefix)]

    def lives(self, prefix: str) -> list[Status]:
        """The same, and the last ones of those that have died."""
        return [status for (role, _), status in self._lives.items() if role.startswith(prefix)]

    def quotes(self) -> dict[str, Status]:
        """By symbol, or symbol@venue where an actor quotes it at one more."""
        return {symbol: row for status in self.of("quote:") for symbol, row in status.get("symbols", {}).items()}

    def codes(self) -> dict[tuple[str, str, str], str]:
        """(symbol, venue, side) -> the code of its reason now."""
        return {
            (symbol, row["venue"], side): row[f"{side}_code"] for symbol, row in self.quotes().items() for side in SIDES
        }

    def replay(self) -> Status:
        """Where a replay stands, as the venue said last; empty without one."""
        return next((status["replay"] for status in self.of("sim:") if status.get("replay")), {})

    @property
    def risk(self) -> Status:
        return self.statuses.get("risk", {})

    def quoting_count(self) -> int:
        """Symbols that are quoted on both sides, at one venue at least."""
        return len({symbol_of(key) for key, row in self.quotes().items() if row["two_sided"]})

    def quoted_count(self) -> int:
        """Symbols whose both sides have stood at least once, at one venue at least."""
        return len({symbol_of(key) for key, row in self.quotes().items() if row["first_quote_ns"]})

    def _money(self) -> dict[str, Status]:
        """Risk's rows by the keys of `quotes`."""
        rows = {(row["symbol"], row["venue"]): row for row in self.risk.get("symbols", [])}
        return {key: rows.get((symbol_of(key), row["venue"]), {}) for key, row in self.quotes().items()}

    def in_sync_count(self) -> int:
        return sum(int(status.get("books_ok_count", 0)) for status in self.of("feed:"))

    def histogram(self, name: str) -> Histogram:
        """All actors' histograms of one of `LATENCIES`, merged, those of dead ones too."""
        merged = Histogram()
        for status in self.lives(LATENCIES[name]):
            encoded = status.get("histograms", {}).get(name)
            if encoded:
                merged.merge(encoded.encode() if isinstance(encoded, str) else encoded)
        return merged

    def _latency(self, name: str) -> Histogram:
        whole, before = self.histogram(name), self._latencies_before.get(name)
        return whole.since(before) if before is not None else whole

    def cpu_by_kind(self, duration_s: float) -> dict[str, float]:
        """Shares of one core since all symbols quoted, summed over the actors of a kind."""
        shares: dict[str, float] = {}
        for role, cpu_s in self._cpu_s.items():
            kind = role.partition(":")[0]
            shares[kind] = shares.get(kind, 0.0) + (cpu_s / duration_s if duration_s else 0.0)
        return {kind: round(share, 4) for kind, share in shares.items()}

    # --- showing ---------------------------------------------------------------------------------------------

    def fleet_line(self, elapsed_s: float, cpu_share: float) -> FleetLine:
        risk = self.risk.get("risk", {})
        return FleetLine(
            elapsed_s=elapsed_s,
            symbols_count=len(self._plan.symbols),
            quoting_count=self.quoting_count(),
            net_usd=float(self.risk.get("pnl", {}).get("net_usd", 0.0)),
            gross_usd=float(risk.get("gross_usd_now", 0.0)),
            gross_limit_usd=float(risk.get("gross_limit_usd", 0.0)),
            state=str(risk.get("state", "starting")),
            frames_per_s=sum(float(status.get("frames_per_s", 0.0)) for status in self.of("feed:")),
            orders_open=sum(int(status.get("orders_open_count", 0)) for status in self.of("gateway:")),
            fills_count=int(self.risk.get("fills_count", 0)),
            cpu_share=cpu_share,
            dashboard=self._dashboard,
        )

    def rows(self) -> list[SymbolRow]:
        """One row a symbol and venue; those without a status yet say so."""
        money, quotes = self._money(), self.quotes()
        keys: dict[str, list[str]] = {}
        for key in quotes:
            keys.setdefault(symbol_of(key), []).append(key)
        latency = {
            symbol: float(status.get("frame_to_quote_us", {}).get("p50", 0.0))
            for status in self.of("quote:")
            for symbol in status.get("symbols", {})
        }
        return [
            symbol_row(key, quotes[key], money[key], latency_us=latency.get(key, 0.0))
            if key in quotes
            else SymbolRow(key, "", reason="starting")
            for symbol in self._plan.symbols
            for key in keys.get(symbol, [symbol])
        ]

    def sample(self, at_s: float) -> Sample:
        pnl, risk = self.risk.get("pnl", {}), self.risk.get("risk", {})
        spreads = sorted(float(row["spread_bps"]) for row in self.quotes().values() if row["two_sided"])
        latency = self._latency("frame_to_order")
        one = Sample(
            at_s=round(at_s, 1),
            net_usd=float(pnl.get("net_usd", 0.0)),
            spread_capture_usd=float(pnl.get("spread_capture_usd", 0.0)),
            inventory_usd=float(pnl.get("inventory_usd", 0.0)),
            fees_usd=float(pnl.get("fees_usd", 0.0)),
            gross_usd=float(risk.get("exposed_usd_now", risk.get("gross_usd_now", 0.0))),
            net_exposure_usd=sum(float(row["position_usd"]) for row in self.quotes().values()),
            quoting_count=self.quoting_count(),
            spread_bps=spreads[len(spreads) // 2] if spreads else 0.0,
            frame_to_order_p50_us=latency.p50,
            frame_to_order_p99_us=latency.p99,
            orders_open=sum(int(status.get("orders_open_count", 0)) for status in self.of("gateway:")),
        )
        self._samples.add((one,))
        money = self._money()
        self._series.add(
            SymbolSample(
                at_s=one.at_s,
                symbol=symbol,
                fair=float(row["fair"]),
                position_usd=float(row["position_usd"]),
                net_usd=float(money[symbol].get("net_usd", 0.0)),
                spread_bps=float(row["spread_bps"]),
                market_spread_bps=float(row["market_spread_bps"]),
            )
            for symbol, row in self.quotes().items()
        )
        return one

    def risk_question(self, limits: RiskSettings) -> tuple[dict[str, float], float, float]:
        """What the risk model is asked about: figures of the whole book, our position limit, drawdown in percent."""
        risk, quotes = self.risk.get("risk", {}), self.quotes()
        largest = sorted(quotes, key=lambda symbol: -abs(float(quotes[symbol]["position_usd"])))[:LARGEST_COUNT]
        figures = {
            "gross_usd": float(risk.get("gross_usd_now", 0.0)),
            "net_usd": float(self.risk.get("pnl", {}).get("net_usd", 0.0)),
            "orders_open": float(sum(int(status.get("orders_open_count", 0)) for status in self.of("gateway:"))),
            "volatility_bps_mean": sum(float(row["volatility_bps"]) for row in quotes.values()) / max(1, len(quotes)),
            **{f"position_usd.{symbol}": float(quotes[symbol]["position_usd"]) for symbol in largest},
        }
        drawdown_pct = 100 * float(risk.get("drawdown_usd", 0.0)) / limits.capital_usd
        return figures, limits.symbol_usd_max, drawdown_pct

    # --- at the end ------------------------------------------------------------------------------------------

    def facts(
        self,
        *,
        duration_s: float,
        startup: Mapping[str, float],
        ray_call: Histogram,
        cpu_share: float,
        ray_pss_mb: float,
        audit: AuditResult | str | None,
        orders_alive: tuple[str, ...],
    ) -> RunFacts:
        """Everything `summary.json` needs. `audit` is the venue's own word, or why it was not read; net is then what
        risk says."""
        unread = audit if isinstance(audit, str) else ""
        audit = None if isinstance(audit, str) else audit
        risk = self.risk
        exact = risk.get("pnl_exact", {})
        pnl = {name: Decimal(exact.get(f"{name}_usd", "0")) for name in PARTS}
        net = audit.net_usd if audit is not None else None
        if net is None:
            net = Decimal(exact.get("net_usd", "0"))
        reconcile = self._reconcile()
        for name, count in (audit.reconcile() if audit is not None else {}).items():
            reconcile[name] = max(reconcile.get(name, 0), count)
        latency = {name: self._latency(name) for name in LATENCIES} | {"ray_call": ray_call}
        injected = sum(int(row["gaps_injected_count"]) for one in self.of("sim:") for row in one["venues"].values())
        feed = self._feed_counts()
        frames = feed.get("frames", 0.0) if self._frames_after is None else self._frames_after
        frames_per_s = (frames - self._frames_before) / duration_s if duration_s else 0.0
        feed_part = {
            "frames": feed.get("frames", 0),
            "frames_per_s": round(frames_per_s, 1),
            "gaps_injected": injected,
            "gaps_unexplained": max(0, feed.get("gaps", 0) - injected),
            **{name: feed.get(name, 0) for name in ("resyncs", "reconnects", "conflated", "unparsed")},
        }
        return RunFacts(
            run_id=self._plan.run_id,
            mode="replay" if self._plan.replay else self._plan.mode,
            venues=self._plan.venues,
            symbols=self._plan.symbols,
            seed=self._plan.seed,
            duration_s=duration_s,
            startup=startup,
            two_sided_share=_least(self.uptime.shares(duration_s)),
            orders={
                key: int(value)
                for key, value in merge_counts([one["orders"] for one in self.lives("gateway:")]).items()
            },
            fills_by_symbol={
                symbol: int(count)
                for symbol, count in merge_counts(
                    [{row["symbol"]: row["fills_count"]} for row in risk.get("symbols", [])]
                ).items()
            },
            pnl={**pnl, "net": net, "stock": Decimal(exact.get("stock_usd", "0"))},
            risk=self._risk_figures(),
            latency_us={name: one.summary() for name, one in latency.items()},
            cpu_share={"total": round(cpu_share, 4), "by_actor_kind": self.cpu_by_kind(duration_s)},
            feed=feed_part,
            llm=self._llm(),
            reconcile=reconcile,
            markout_bps={key: float(value) for key, value in risk.get("markout_bps", {}).items() if value is not None},
            memory_mb=self._memory(ray_pss_mb),
            restarts=dict(self.restarts),
            reasons=self._reasons.shares(),
            saturated=cpu_share > SATURATED_SHARE,
            orders_alive=orders_alive,
            audit={
                "result": "not read" if audit is None else "equal" if audit.is_good else "differs",
                "why": unread,
            },
        )

    def record(self, summary: Mapping[str, Any], fills: Sequence[FillTrace], duration_s: float) -> RunRecord:
        """What the report is made of."""
        return RunRecord(summary, self._samples.rows, self._symbol_rows(duration_s), fills, self._series.rows)

    def _symbol_rows(self, duration_s: float) -> list[dict[str, Any]]:
        shares = self.uptime.shares(duration_s)
        keys = {(symbol_of(key), row["venue"]): key for key, row in self.quotes().items()}
        rows = [(keys.get((row["symbol"], row["venue"]), row["symbol"]), row) for row in self.risk.get("symbols", [])]
        return [
            {
                "symbol": key,
                "two_sided_share": round(shares.get(key, 0.0), 4),
                "fills": int(row["fills_count"]),
                "net_usd": float(row["net_usd"]),
                **{f"{name}_usd": float(row[f"{name}_usd"]) for name in PARTS},
                "turnover_usd": float(row["turnover_usd"]),
                "markout_5s_bps": float(row["markout_bps"].get("5s") or 0.0),
                "position_usd": float(row["position_usd"]),
            }
            for key, row in rows
            if key in shares or row["fills_count"]
        ]

    def operator_lines(self) -> list[str]:
        """What the operator should hear once about the models."""
        return operator_lines(self.of("llm:"), self.statuses.get("treasury", {}))

    def _llm(self) -> dict[str, Any]:
        relay: Status = next((status["relay"] for status in self.of("sim:") if status.get("relay")), {})
        return model_figures(self.lives("llm:"), self.lives("treasury"), relay)

    def _feed_counts(self) -> dict[str, float]:
        return merge_counts([_numbers(status.get("counters", {})) for status in self.lives("feed:")])

    def _risk_figures(self) -> dict[str, Any]:
        """Risk's newest; what it has counted and the highest it has seen are of all its lives."""
        newest: Mapping[str, Any] = self.risk.get("risk", {})
        earlier = [one for life in self.lives("risk") if (one := life.get("risk", {})) is not newest]
        merged = dict(newest)
        for name in newest:
            values = [one[name] for one in earlier if name in one]
            if name.endswith("_max"):
                merged[name] = max([newest[name], *values])
            elif name.endswith("_count"):
                merged[name] = newest[name] + sum(values)
        return merged

    def _reconcile(self) -> dict[str, int]:
        """Risk's and the gateways' counts, added up. Fills that a dead risk was waiting for are the next one's."""
        names = ("position_mismatch_count", "orphan_orders_count", "lost_fills_count", "foreign_orders_count")
        rows = [_numbers(status.get("reconcile", {})) for status in self.lives("gateway:")]
        for status in self.lives("risk"):
            row = _numbers(status.get("reconcile", {}))
            if status is not self.risk:
                row.pop("lost_fills_count", None)
            rows.append(row)
        return {**{name: 0 for name in names}, **{name: int(value) for name, value in merge_counts(rows).items()}}

    def _memory(self, ray_pss_mb: float) -> dict[str, float]:
        quotes = [float(status.get("pss_mb", 0.0)) for status in self.of("quote:")]
        total = sum(float(status.get("pss_mb", 0.0)) for status in self.statuses.values())
        return {
            "total_pss": total,
            "quote_actor_pss_mean": sum(quotes) / len(quotes) if quotes else 0.0,
            "ray_pss": ray_pss_mb,
        }


def symbol_of(key: str) -> str:
    """The symbol of a key of `Figures.quotes`."""
    return key.partition("@")[0]


def _least(shares: Mapping[str, float]) -> dict[str, float]:
    """Of each symbol, where it was quoted least."""
    least: dict[str, float] = {}
    for key, share in shares.items():
        least[symbol_of(key)] = min(share, least.get(symbol_of(key), share))
    return least


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if isinstance(value, int | float)}
