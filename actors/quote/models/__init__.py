"""Pricing models: where the centre of our quotes lies and how far apart they stand. `protocol.py` first.

One file a model: its formulas as pure functions, which know no units (γ, σ, k and the horizon only have to agree),
and a small class that feeds them the fleet's units (`vocab/config/quote.py`). `catalogue.py` makes them by name.
"""
