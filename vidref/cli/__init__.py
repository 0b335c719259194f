"""One click command per file, and no logic."""
