"""Recipes on what keeps a net from overfitting."""
