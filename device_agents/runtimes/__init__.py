"""One runtime a file, imported when it is asked for."""
