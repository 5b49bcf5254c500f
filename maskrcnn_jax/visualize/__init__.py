"""Room `visualize`."""
