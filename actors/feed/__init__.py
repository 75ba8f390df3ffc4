"""Market data in: sequencing, books, conflation, health."""
