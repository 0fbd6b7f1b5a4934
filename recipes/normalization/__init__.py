"""Recipes on what keeps activations in range."""
