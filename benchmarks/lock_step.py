"""How fast a recording replays in lock-step: `python benchmarks/lock_step.py RECORDING [--set sim.moment_us=20]`.

Runs the main job as typed, over Ray, links and sockets, and prints one JSON line. The time is from the gateway's
opening to its stop, as its log says: start-up and report are left out.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path


def main(recording: str, *options: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pipelines.mm", "--replay", recording, "--speed", "max", "--seed", "1"]
        done = subprocess.run([*command, "--run-dir", folder, *options], capture_output=True, text=True, check=False)
        summary = json.loads((Path(folder) / "summary.json").read_text())
        took_s = _playing_s(Path(folder) / "logs")
        frames = summary["feed"]["frames"]
        orders = (Path(folder) / "orders.jsonl").read_bytes()
    print(
        json.dumps(
            {
                "recording": Path(recording).name,
                "options": options,
                "exit_code": done.returncode,
                "frames": frames,
                "frames_per_s": round(frames / took_s, 1),
                "recorded_seconds_per_second": round(summary["duration_s"] / took_s, 2),
                "cpu_share_total": summary["cpu_share"]["total"],
                "orders_blake2s": hashlib.blake2s(orders).hexdigest()[:16],
            }
        )
    )


def _playing_s(logs: Path) -> float:
    stamps = [
        datetime.fromisoformat(line.split()[0])
        for log in logs.glob("gateway_*.log")
        for line in log.read_text().splitlines()
        if line.endswith(": open") or line.endswith(": stopping")
    ]
    return (max(stamps) - min(stamps)).total_seconds()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("which recording? python benchmarks/lock_step.py RECORDING")
    main(*sys.argv[1:])
