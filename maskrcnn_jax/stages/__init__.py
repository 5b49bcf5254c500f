"""Room `stages`."""
