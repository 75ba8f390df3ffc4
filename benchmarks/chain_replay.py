"""In-process replay: frames/s and decisions/s of the whole chain of brains on a recording, one core. Prints JSON.

python benchmarks/chain_replay.py RECORDING
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from actors.transport.venue_recording import merge_frames, survey_file
from pipelines.chain import Chain
from pipelines.settings import load_settings

RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    path: Path = parser.parse_args().recording
    facts = survey_file(path)
    frames = list(merge_frames([path]))
    settings = load_settings()
    rates, ledgers = [], []
    for _ in range(RUNS):
        chain = Chain([facts], settings, seed=1)
        began_s = time.process_time()
        chain.run(frames)
        rates.append((chain.frames_count / (spent := time.process_time() - began_s), chain.decisions_count / spent))
        ledgers.append(chain.order_lines())
    summary = chain.risk.engine.summary()
    print(
        json.dumps(
            {
                "recording": path.name,
                "frames": len(frames),
                "frames_per_s": round(statistics.median(rate for rate, _ in rates)),
                "decisions_per_s": round(statistics.median(rate for _, rate in rates)),
                "decisions": chain.decisions_count,
                "order_lines": len(ledgers[-1]),
                "fills": summary["fills_count"],
                "net_usd": round(summary["pnl"]["net_usd"], 4),
                "runs_identical": all(one == ledgers[0] for one in ledgers),
            }
        )
    )


if __name__ == "__main__":
    main()
