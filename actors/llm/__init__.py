"""Model opinions: batched, limited, clamped, expiring."""
