"""Numerical pieces that more than one room needs."""
