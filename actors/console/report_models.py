"""The report's part about language models: what was asked, what it cost and earned, and what went wrong.

Made of the summary's `llm` figures alone, so it can be made again from a run's folder.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from actors.console.report_tables import rows_table

Figures = Mapping[str, Any]
VERDICTS = {
    "earns": "it earns its cost",
    "loses": "it has not earned its cost",
    "open": "which way is not settled yet",
}
STAKE = (
    "Supposing that {:g} USD would be filled a side within the 30 seconds that an opinion is about. Worth is what was "
    "spared less what was paid; its share of the run's net only compares: fills that were left out are not in the net."
)
ABOUT = {"signal": "symbols", "risk": "the whole book"}
ROUNDS_FOR_BOUNDS = 2  # fewer have no deviation
# Net is shared out only where there is some; below this a percentage says nothing.
NET_USD_MIN = 0.01


def model_sections(llm: Figures, *, net_usd: float) -> list[str]:
    """Sentences first, then tables; one sentence where nothing was asked."""
    refused = [_alarm(f"No call was made: {llm['refused']}")] if llm.get("refused") else []
    if not llm.get("requests"):
        return [*refused, "<p class=muted>It was not asked.</p>"]
    models = llm.get("models", {})
    sections = [*refused, *(f"<p>{html.escape(text)}</p>" for text in _sentences(llm))]
    sections += [_alarm(line) for line in stopped_lines(models)]
    sections.append(rows_table([_model_row(name, row) for name, row in models.items()]))
    if llm.get("scorecard"):
        sections.append("<h3>What the opinions were worth</h3>")
        sections += [f"<p>{html.escape(sentence(name, row))}</p>" for name, row in llm["scorecard"].items()]
        sections += [_worth_table(models, net_usd), f"<p class=muted>{html.escape(STAKE.format(llm['stake_usd']))}</p>"]
    if llm.get("faults"):
        sections += ["<h3>What went wrong with calls and answers</h3>", _faults_table(llm)]
    if llm.get("relay_faults"):
        sections += [
            "<h3>What the simulated relay was told to do wrong</h3>",
            rows_table([{"fault": name.replace("_", " "), "times": n} for name, n in llm["relay_faults"].items()]),
        ]
    return sections


def stopped_lines(models: Mapping[str, Figures]) -> list[str]:
    """A line for each reason why models are asked no more."""
    reasons = dict.fromkeys(row["stopped"] for row in models.values() if row["stopped"])
    return [
        f"asked no more: {', '.join(name for name, row in models.items() if row['stopped'] == why)}: {why}"
        for why in reasons
    ]


def sentence(model: str, row: Figures) -> str:
    """What a trader wants to know of a model, from its row of the scorecard."""
    earned_usd = row["earned_usd"]
    effect = f"spared {earned_usd:.4f} USD of losing" if earned_usd >= 0 else f"given up {-earned_usd:.4f} USD of good"
    said = (
        f"{model}: {row['opinions']} opinions in {row['rounds']} rounds would have {effect} fills and cost "
        f"{row['cost_usd']:.4f} USD to ask. "
    )
    if row["rounds"] < ROUNDS_FOR_BOUNDS:
        return said + "That is too little to say more."
    net, low, high = (row[name] * 1e3 for name in ("net_usd_mean", "net_usd_low", "net_usd_high"))
    return (
        f"{said}Net of an opinion {net:+.4f} thousandths of a USD ({low:+.4f} to {high:+.4f} at "
        f"{row['confidence']:.0%}): {VERDICTS[row['verdict']]}."
    )


def _sentences(llm: Figures) -> list[str]:
    rows = llm.get("models", {}).values()
    opinions, applied = sum(row["opinions"] for row in rows), sum(row["applied"] for row in rows)
    said = [
        f"{llm['requests']:,} calls asked {llm['items']:,} questions, {llm['items_per_request_mean']:.1f} a call; "
        f"{llm['cache_hits']:,} more were answered from memory. {opinions:,} opinions on symbols came of it, of which "
        f"{applied:,} shaped quotes and the others were only measured.",
        f"The calls cost {llm['paid_usd']:.4f} USD. Of the day's {llm['budget_usd']:g} USD {llm['cost_usd']:.4f} are "
        f"used, what a crash left reserved included; at this pace it is {llm['forecast_usd']:.2f} by midnight UTC.",
    ]
    interval_s, now_s = llm.get("interval_s", 0.0), llm.get("interval_now_s", 0.0)
    if now_s > interval_s:
        money = llm.get("interval_stretch", 1.0) * interval_s >= now_s
        why = "so that the day's money lasts until midnight UTC" if money else "as no model earns its cost"
        said.append(f"In the end opinions came each {now_s:.0f} s instead of each {interval_s:g} s, {why}.")
    said += [
        f"For {idle_s:,.0f} s nobody could be asked about {ABOUT[purpose]}: {why}. Quotes went on without an answer."
        for purpose, waits in llm["idle_s"].items()
        for why, idle_s in waits.items()
        if idle_s >= 1
    ]
    return said


def _model_row(name: str, row: Figures) -> dict[str, Any]:
    return {
        "model": name,
        "calls": row["calls"],
        "of use": row["answered"],
        "opinions": row["opinions"],
        "applied": row["applied"],
        "cost, USD": float(row["paid_usd"]),
        "breaker opened": row["breaker_opens"],
        "now": "stopped" if row["stopped"] else "muted" if row["muted"] else "asked",
    }


def _worth_table(models: Mapping[str, Figures], net_usd: float) -> str:
    """Of this run; the sentences above count every opinion in the journal."""
    rows = []
    for name, row in models.items():
        if row["opinions"]:
            worth_usd = row["earned_usd"] - row["opinions_usd"]
            share = f"{worth_usd / abs(net_usd):+.1%}" if abs(net_usd) >= NET_USD_MIN else "–"
            rows.append(
                {
                    "model": name,
                    "would have spared, USD": float(row["earned_usd"]),
                    "cost of these, USD": float(row["opinions_usd"]),
                    "worth, USD": float(worth_usd),
                    "share of the run's net": share,
                }
            )
    return rows_table(rows)


def _faults_table(llm: Figures) -> str:
    models = [name for name, row in llm["models"].items() if row["faults"]]
    return rows_table(
        [
            {"fault": fault, "times": count, **{name: llm["models"][name]["faults"].get(fault, 0) for name in models}}
            for fault, count in sorted(llm["faults"].items(), key=lambda pair: -pair[1])
        ]
    )


def _alarm(text: str) -> str:
    return f"<p class=bad>{html.escape(text)}</p>"
