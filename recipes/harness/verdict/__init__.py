"""The word on each claim, and the table that it stands in."""
