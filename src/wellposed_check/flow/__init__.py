"""Claims about flows on a periodic square."""
