"""How far from the reference's a number may be.

The bounds are float32 noise, by the same references in float64: FPN 2e-5, boxes 0.014 px and scores 2e-4 where the input moves by
1e-5, as it does with another order of the resize's sums (README.md).
"""

INPUT = 1e-5  # of the normalised canvas: its pixels reach 2.6, or 150
FPN = 1e-4  # of a map, its largest value
ANCHOR_PX = 1e-4  # 1,000 px are good to 6e-5
BOX_PX, SCORE, MASK = 0.05, 5e-4, 2e-3
SWAPPED = 0.005  # of proposals: ranks and overlaps that noise turns
PASTED, PASTE_MARGIN_PX = 1e-4, 1e-2  # a probability this near one half may fall either way; a box this near an integer is cut to either
LOSS = 2e-4
# Of a gradient, the norm; and up to 64 of its values, which feel single ReLUs that float32 noise turns on or off.
GRADIENT, LISTED = 1e-3, 3e-3
