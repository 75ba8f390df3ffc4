"""The whole fleet's brains in one process on recordings: feed → quote → gateway → venue → fills → risk.

No Ray, no socket, no clock but the recording's, and the same schedule as a lock-step replay of the fleet: the steps of
`transport/step_times.py`, each actor's order of `transport/step_turn.py`, and against the flow of market data (acks,
fills, leases) one step later, as `transport/step_plan.py` says. So it gives the same orders, and the same ones twice.
"""

from pipelines.chain.fleet import Chain
from pipelines.chain.venue import ACCOUNT

__all__ = ["ACCOUNT", "Chain"]
