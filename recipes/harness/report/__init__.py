"""Pages that anybody can read, written from rows of evidence alone."""
