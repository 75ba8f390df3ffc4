"""Two Ray nodes that share neither a runtime folder nor a clock: one offers slots for quote actors, the other the rest.

Both run on this machine; MANTA_HOST makes them hosts of their own to each other, so that their links go by tcp with
CURVE keys, and MANTA_CLOCK_OFFSET_NS sets their monotonic clocks hours apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ray.cluster_utils import Cluster

from actors.vocab.units import NS_PER_S
from pipelines.topology import HEAD_SLOT, QUOTE_SLOT, set_ray_environment

# Ray counts a node as dead after missed health checks; its own settings take half a minute, and shorter ones than
# these have buried the living head of a busy machine.
RAY_ENVIRONMENT = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "5",
}


def pretended_host(name: str, offset_s: int) -> dict[str, str]:
    return {
        "MANTA_HOST": name,
        "MANTA_TCP_HOST": "127.0.0.1",
        "MANTA_CLOCK_OFFSET_NS": str(offset_s * NS_PER_S),
    }


@contextmanager
def two_nodes(*, quote_slots: int = 10) -> Iterator[Cluster]:
    """Node "a" with everything that stays on the head, node "b" with `quote_slots`; both end with the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY_ENVIRONMENT.items():
            patch.setenv(name, value)
        set_ray_environment()
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 2,
                "resources": {HEAD_SLOT: 100},
                "env_vars": pretended_host("a", 3_600),
                "include_dashboard": False,
            },
        )
        made.add_node(num_cpus=2, resources={QUOTE_SLOT: quote_slots}, env_vars=pretended_host("b", -7_200))
        yield made
        made.shutdown()
