"""Experiments with the models on markets of their own making: pure, seeded by the caller; `pipelines.study` prints."""
