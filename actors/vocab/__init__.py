"""Words every room shares: messages, units, configuration, errors. Standard library, msgspec and pydantic only."""
