"""Signals, pricing models, ladder, reconcile: one engine per symbol."""
