"""Recipes on the shape of a net."""
