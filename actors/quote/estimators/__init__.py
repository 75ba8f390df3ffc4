"""What the market says about itself: pure estimators of one symbol.

Each class states its unit, its warm-up, when it is stale, and its neutral value. Those that live in an engine never
answer with anything but a finite number inside their bounds: bad input is passed over, and before the warm-up or once
stale they say the neutral value, at which a model does what it would do without them.
"""
