"""A placeholder, a cut key or another provider's key is refused before the first call."""

from __future__ import annotations

import pytest

from actors.llm.keys import checked_key
from actors.vocab.errors import ConfigError

GOOD = "hs_live_" + "a1" * 16


def test_blanks_around_a_good_key_are_forgiven() -> None:
    assert checked_key(f"  {GOOD}\n", where="x") == GOOD


@pytest.mark.parametrize(
    "text", ["", "YOUR_HOLYSHEEP_API_KEY", "hs_live_short", "sk-" + "a" * 48, GOOD + "\n" + GOOD, GOOD + "é"]
)
def test_a_bad_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_key(text, where="HOLYSHEEP_API_KEY")
    assert "HOLYSHEEP_API_KEY" in str(caught.value)
    assert not text or text not in str(caught.value).replace("HOLYSHEEP_API_KEY", "")
