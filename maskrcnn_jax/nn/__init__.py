"""Room `nn`."""
