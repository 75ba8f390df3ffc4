"""What a chain leaves behind: statuses as the actors would give them, and the run folder of `pipelines.mm`."""

from __future__ import annotations

from typing import Any

from actors.console.audit_views import AuditResult
from actors.console.summary import build_summary, failures
from actors.journal.store import Store
from actors.quote.figures import figures
from actors.sim.saved import file_name, save_venue
from actors.transport.meters import Histogram
from actors.transport.step_times import Step
from actors.vocab.control import RunDescription, VenueAccount
from actors.vocab.units import NS_PER_S
from pipelines.audit_ledger import audit_run
from pipelines.chain.fleet import Chain
from pipelines.chain.venue import ACCOUNT
from pipelines.figures import Figures, Status
from pipelines.plan import RunPlan
from pipelines.run_folder import write_risk, write_run
from pipelines.run_tables import write_report

SAMPLES_MAX = 2_000  # charts need no more


class Recorder:
    """Looks at a chain while it plays; writes its folder afterwards. All times are the recording's."""

    def __init__(self, plan: RunPlan, chain: Chain, *, last_ns: int) -> None:
        self._plan = plan
        self._chain = chain
        self._figures = Figures(plan, dashboard="")
        self._startup: dict[str, float] = {}
        length_ns = last_ns - chain.first_ns
        if plan.duration_s:
            length_ns = min(length_ns, int(plan.duration_s * NS_PER_S))
        self._interval_ns = max(NS_PER_S, length_ns // SAMPLES_MAX)
        self._due_ns = chain.first_ns
        self._quoting_since_ns = 0
        self._looked_ns = chain.first_ns

    def look(self, step: Step) -> None:
        """After each step; costs nothing between samples."""
        if step.now_ns < self._due_ns or step.ending:
            return
        self._due_ns = step.now_ns + self._interval_ns
        self._looked_ns = step.now_ns
        shown, since_s = self._figures, (step.now_ns - self._chain.first_ns) / NS_PER_S
        shown.take(statuses(self._chain))
        if shown.quoting_count():
            self._startup.setdefault("first_quote_s", round(since_s, 3))
        if not self._quoting_since_ns and shown.quoted_count() == len(self._plan.symbols):
            self._startup["all_quoting_s"] = round(since_s, 3)
            self._startup.setdefault("first_quote_s", round(since_s, 3))
            self._quoting_since_ns = step.now_ns
            shown.start_counting()
        if self._quoting_since_ns:
            shown.sample((step.now_ns - self._quoting_since_ns) / NS_PER_S)

    def never_quoted(self) -> dict[str, str]:
        """symbol -> why its two sides never stood together."""
        return {
            symbol: "; ".join(dict.fromkeys((row["bid_reason"], row["ask_reason"])))
            for symbol, row in self._figures.quotes().items()
            if not row["first_quote_ns"]
        }

    async def audited(self) -> AuditResult:
        """Write what an audit needs, and have the venue's ledger compared with ours."""
        folder, chain = self._plan.run_dir, self._chain
        quotes = {role: one for role, one in self._figures.statuses.items() if role.startswith("quote:")}
        self._figures.take({**statuses(chain), **quotes})  # the quotes' last word is from before the cancels
        write_run(folder, self._described())
        write_risk(folder, self._figures.risk)
        for market, venue in chain.venues.items():
            saved = save_venue(venue.exchange, market=market, now_ns=chain.now_ns)
            (folder / file_name(venue.venue)).write_bytes(saved)
        store = Store(f"sqlite:///{self._plan.journal_path}", self._plan.namespace)
        store.write(chain.risk.rows)
        store.close()
        return await audit_run(folder)

    def write(self, audit: AuditResult | None) -> tuple[dict[str, Any], list[str]]:
        """orders.jsonl, summary.json, tables and report.html; returns the summary and its lines that should be zero."""
        folder, chain = self._plan.run_dir, self._chain
        (folder / "orders.jsonl").write_bytes(b"".join(line + b"\n" for line in chain.order_lines()))
        facts = self._figures.facts(
            duration_s=(self._looked_ns - self._quoting_since_ns) / NS_PER_S if self._quoting_since_ns else 0.0,
            startup=self._startup,
            ray_call=Histogram(),
            cpu_share=0.0,
            ray_pss_mb=0.0,
            audit=audit,
            orders_alive=tuple(
                repr(order) for gateway in chain.gateways.values() for order in gateway.engine.live_orders()
            ),
        )
        summary = build_summary(facts)
        failed = failures(summary)
        fills = list(chain.risk.engine.core.markouts.traces)
        write_report(folder, self._figures.record(summary, fills, facts.duration_s), failed)
        return summary, failed

    def _described(self) -> RunDescription:
        plan, folder = self._plan, self._plan.run_dir
        return RunDescription(
            run_id=plan.run_id,
            mode="replay",
            namespace=plan.namespace,
            settings_json=plan.settings.model_dump_json(),
            accounts=tuple(
                VenueAccount(one.venue, "binance", market, "", "", "", str(folder / "no-key"), "", ACCOUNT, one.streams)
                for market, one in self._chain.venues.items()
            ),
            symbols=plan.symbols,
            quote_groups=plan.quote_groups(),
            runtime_dir=str(folder),
            run_dir=str(folder),
            journal_url=f"sqlite:///{plan.journal_path}",
            relay_url="",
            relay_key_file="",
            seed=plan.seed,
            lock_step=True,
        )


def statuses(chain: Chain) -> dict[str, Status]:
    """Every actor's figures, under the names and keys that a fleet's actors use."""
    found: dict[str, Status] = {
        "risk": chain.risk.engine.summary(),
        "sim:binance": {
            "venues": {
                venue.venue: {"gaps_injected_count": venue.exchange.faults.gaps_injected}
                for venue in chain.venues.values()
            }
        },
    }
    for feed in chain.feeds:
        found[feed.role] = {"counters": feed.engine.health_row(), "books_ok_count": feed.engine.in_sync_count()}
    for gateway in chain.gateways.values():
        histograms = {name: one.encode().decode() for name, one in gateway.histograms.items()}
        found[gateway.role] = {**gateway.engine.figures(), "histograms": histograms}
    for quote in chain.quotes:
        symbols: dict[str, Any] = {}
        for symbol, by_venue in quote.engines.items():
            for engine in by_venue.values():
                symbols[symbol if symbol not in symbols else f"{symbol}@{engine.venue}"] = figures(engine, chain.now_ns)
        found[quote.role] = {"symbols": symbols}
    return found
