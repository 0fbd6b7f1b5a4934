"""Recipes on what finds the weights of a net."""
