"""Who is alive: names, incarnations, addresses, keys."""
