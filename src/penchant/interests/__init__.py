"""Interests: the tree found in the items, and each user's ties to it (affinity, layers, states)."""
