"""Orders out: lifecycle, pacing, reconciliation; one per venue account."""
