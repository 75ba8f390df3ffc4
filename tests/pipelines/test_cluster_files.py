"""Every cluster file passes Ray's own validation and keeps authentication on."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
FILES = sorted([ROOT / "cluster.yaml", *(ROOT / "conf" / "cluster").glob("*.yaml")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")  # Ray's own imports warn
def test_ray_accepts_the_cluster_file(path: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(path.read_text()))
    validate_config(config)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_node_starts_with_token_authentication(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    for command in starts:
        if "ray start" in command:
            assert "RAY_AUTH_MODE=token" in command
    assert "auth_token" in str(config["file_mounts"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_quote_actors_have_slots_to_scale_on(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    assert any("quote_slot" in kind["resources"] for kind in config["available_node_types"].values())
