"""Wire dialects: one file tells what a venue's bytes mean, for the client and for the simulated server. No I/O."""
