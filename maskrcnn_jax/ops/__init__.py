"""Room `ops`."""
