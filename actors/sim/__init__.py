"""Simulated venues and relay: matching, flow, fill models, faults."""
