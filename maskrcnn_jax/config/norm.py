"""The normalisation layers there are, and the groups of a group norm: the one place that knows their size."""

from typing import Literal

Norm = Literal["none", "frozen_bn", "batch_norm", "group_norm"]

GROUPS, MIN_CHANNELS = 32, 8  # Wu and He 2018: 32 groups, unless a group would have fewer than 8 channels
WIDTHS = f"a positive number, with group_norm a multiple of {MIN_CHANNELS}, above {GROUPS * MIN_CHANNELS} of {GROUPS}"


def norm_groups(channels: int) -> int:
    """Groups of a group norm over `channels` that it fits."""
    return min(GROUPS, channels // MIN_CHANNELS)


def fits_norm(channels: int, norm: Norm) -> bool:
    """Whether a layer of so many channels can be made and normalised: a group norm's groups are equal, see `WIDTHS`."""
    unit = MIN_CHANNELS if channels <= GROUPS * MIN_CHANNELS else GROUPS
    return channels > 0 and (norm != "group_norm" or channels % unit == 0)
