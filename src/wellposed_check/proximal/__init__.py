"""Checks of learned proximal networks and of reconstructions with them."""
