"""Backtest speed on one recording, in one run: ours, hftbacktest's, NautilusTrader's. Prints JSON.

python benchmarks/backtest_speed.py RECORDING --python PYTHON

PYTHON is an interpreter with both libraries (`pip install hftbacktest nautilus_trader`). All three get the recording's
depth and trades; what they do with a frame differs, and the output says how. Time is CPU time of the playing alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from actors.sim.recording import survey
from actors.transport.venue_recording import merge_frames
from pipelines.chain import Chain
from pipelines.hft_events import event_array, rows_of_recording
from pipelines.settings import load_settings

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recording", type=Path)
    parser.add_argument("--python", required=True)
    given = parser.parse_args()
    everything = list(merge_frames([given.recording]))
    bare = [item for item in everything if item[1].channel in ("depth", "trade", "snapshot")]
    facts = survey((frame for _, frame in bare), name=given.recording.name)
    (symbol,) = facts.symbols
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        rows = rows_of_recording((frame for _, frame in bare), symbol=symbol.symbol, venue_time=False)
        np.savez(folder / "market.npz", data=event_array(rows))
        asked = {
            "actions": [],
            "end_ns": bare[-1][1].recv_ns,
            "entry_ns": 1_000_000,
            "response_ns": 1_000_000,
            "queue_n": 2.0,
            "maker_fee": 0.0,
            "taker_fee": 0.0,
            "tick_size": 10.0**-symbol.price_decimals,
            "lot_size": 10.0**-symbol.size_decimals,
        }
        (folder / "orders.json").write_text(json.dumps(asked))
        subprocess.run([given.python, str(HERE / "hftbacktest_side.py"), made], check=True)
        theirs = json.loads((folder / "fills.json").read_text())
        steps = [str(symbol.price_decimals), str(symbol.size_decimals)]
        nautilus = subprocess.run(
            [given.python, str(HERE / "nautilus_side.py"), str(folder / "market.npz"), *steps],
            check=True,
            capture_output=True,
            text=True,
        )
    print(
        json.dumps(
            {
                "recording": given.recording.name,
                "ours, every frame decided on, wire and risk included": ours(everything, given.recording.name),
                "ours, depth and trades alone": ours(bare, given.recording.name),
                "hftbacktest, compiled loop, best prices read, nothing decided": {
                    "frames": len(bare),
                    "frames_per_s": round(len(bare) / theirs["watch_s"]),
                },
                "NautilusTrader, Python strategy, quotes looked at each 100 ms": json.loads(
                    nautilus.stdout.splitlines()[-1]
                ),
            },
            indent=1,
        )
    )


def ours(frames: list, name: str) -> dict[str, int]:  # type: ignore[type-arg]
    facts = survey((frame for _, frame in frames), name=name)
    chain = Chain([facts], load_settings(overrides=["quote.model=fixed"]), seed=1)
    began_s = time.process_time()
    chain.run(frames)
    took_s = time.process_time() - began_s
    return {
        "frames": chain.frames_count,
        "decisions": chain.decisions_count,
        "order_lines": len(chain.order_lines()),
        "frames_per_s": round(chain.frames_count / took_s),
        "decisions_per_s": round(chain.decisions_count / took_s),
    }


if __name__ == "__main__":
    main()
