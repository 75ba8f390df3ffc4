"""In the drill every way of failing has its time, alone, and the relay says what it did."""

from __future__ import annotations

import pytest

from actors.sim.relay_faults import EXCLUSIVE, MIXES, STAGES, RelayDrill, RelayFaults, drill_s
from actors.vocab.config import SimSettings
from actors.vocab.units import NS_PER_S

START_NS = 77 * NS_PER_S


def stages(fault_s: float, step_s: float = 0.5) -> list[str]:
    """What a drill is at, each half second until its last stage has had its time."""
    drill = RelayDrill(fault_s=fault_s)
    return [drill.at(START_NS + int(n * step_s * NS_PER_S)).name for n in range(int(drill_s(fault_s) / step_s))]


def test_every_way_of_failing_has_a_stage() -> None:
    told = {
        name for stage in STAGES for name in EXCLUSIVE if getattr(stage.faults, name) != getattr(RelayFaults(), name)
    }
    assert told == set(EXCLUSIVE)
    assert {stage.name for stage in STAGES} == {*EXCLUSIVE, "slow", "down", "rule_breaking", "key_revoked"}
    assert STAGES[-1].faults.key_revoked  # nothing comes after it


def test_stages_follow_each_other_with_pauses_where_breakers_open() -> None:
    seen = stages(fault_s=30.0)
    order = [name for name, before in zip(seen, [None, *seen], strict=False) if name != before]
    wanted = ["none"]
    for stage in STAGES:
        wanted += [stage.name, *(["none"] if stage.opens_breakers and stage is not STAGES[-1] else [])]
    assert order == wanted
    assert {name: seen.count(name) for name in order if name != "none"} == {stage.name: 60 for stage in STAGES}
    assert len(seen) / 2 == pytest.approx(660, abs=15)  # the ten minutes of a whole drill


def test_the_last_stage_never_ends() -> None:
    drill = RelayDrill(fault_s=1.0)
    drill.at(0)
    assert drill.at(10**9 * NS_PER_S).name == "key_revoked"


def test_the_named_mixes_are_those_of_the_settings() -> None:
    for name in (*MIXES, "drill"):
        assert SimSettings.model_validate({"relay_faults": name}).relay_faults == name
