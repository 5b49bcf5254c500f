"""Room `weights`."""
