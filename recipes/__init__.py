"""Recipes by topic, the harness that runs them, and the `regimen` command."""
