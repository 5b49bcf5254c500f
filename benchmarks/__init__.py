"""What `scripts/benchmark.py` measures: this package and torchvision side by side."""
