"""Parameters chosen on recordings, walk-forward: `python -m pipelines.tune`."""
