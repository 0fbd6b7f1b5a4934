"""What the command shows: tables, progress, colours."""
