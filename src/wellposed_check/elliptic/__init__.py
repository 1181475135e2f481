"""Claims about solutions of -div(a grad u) = f on the unit square."""
