"""Is this text a relay key? Checked at the start, so that a placeholder is found before the first call."""

from __future__ import annotations

from actors.vocab.errors import ConfigError

PLACEHOLDER = "YOUR_HOLYSHEEP_API_KEY"
RELAY_DOMAIN = "holysheep.ai"
KEY_LENGTH_MIN = 32


def checked_key(text: str, *, where: str, any_vendor: bool = False) -> str:
    """Return the key without blanks, or raise ConfigError saying what is wrong with it and where it came from.

    `any_vendor` skips the checks that only the relay's own keys pass.
    """
    key = text.strip()
    if not key:
        raise ConfigError(f"{where}: no relay key; set it, or run with --no-llm")
    if key == PLACEHOLDER or key.upper().startswith("YOUR_"):
        raise ConfigError(f"{where}: still holds the placeholder; put your own key there, or run with --no-llm")
    if not all("!" <= letter <= "~" for letter in key):
        # It goes into a header, where such a letter would fail at every call instead of here.
        raise ConfigError(f"{where}: holds blanks, line ends or letters that no key has; is there more than the key?")
    if any_vendor:
        return key
    if key.startswith("sk-"):
        raise ConfigError(f"{where}: that is another provider's key (sk-…); the relay's look like hs_live_…")
    if len(key) < KEY_LENGTH_MIN:
        raise ConfigError(f"{where}: {len(key)} characters are too few for a relay key; was it cut?")
    return key
