"""Studies for a reader with a question about models or markets: `python -m pipelines.study --help`."""
