"""Assembly: the commands a person types, and the one place where Ray is named."""
