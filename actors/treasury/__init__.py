"""The model account, for the whole pool: limits, money, breakers, scorecard."""
