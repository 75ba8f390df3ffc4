"""The operator's page, metrics, report."""
