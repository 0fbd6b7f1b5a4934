"""Recipes on what training is made of."""
