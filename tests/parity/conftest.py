"""torchvision beside ours, and the table of the largest differences from it."""

from collections import defaultdict
from types import ModuleType

import numpy as np
import pytest

from tests.parity import importing

WORST = pytest.StashKey[dict]()


def _fail_without(package):
    pytest.fail(f"tests marked `parity` need {package}, which is not installed: pip install 'maskrcnn_jax[parity]'", pytrace=False)


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    try:
        return importing.import_torch()
    except ModuleNotFoundError:
        _fail_without("PyTorch")


@pytest.fixture(scope="session")
def torchvision(torch) -> ModuleType:
    try:
        return importing.import_torchvision(torch)[0]
    except ModuleNotFoundError:
        _fail_without("torchvision")


@pytest.fixture(scope="session")
def record(request):
    """record(model, seed, stage, difference): the largest of a model's seeds is printed in the end."""
    worst = request.config.stash.setdefault(WORST, defaultdict(dict))

    def record(model, seed, stage, difference):
        seeds, row = worst[model].setdefault("seeds", set()), worst[model]
        seeds.add(seed)
        row[stage] = float(np.maximum(row.get(stage, 0), difference))  # which keeps a nan

    return record


def pytest_terminal_summary(terminalreporter, config):
    """The largest difference at each stage, in Markdown."""
    worst = config.stash.get(WORST, {})
    if not worst:
        return
    stages = list(dict.fromkeys(stage for row in worst.values() for stage in row if stage != "seeds"))
    terminalreporter.section("largest differences from torchvision")
    terminalreporter.line(f"\n| model | seeds | {' | '.join(stages)} |")
    terminalreporter.line(f"| --- | ---: |{' ---: |' * len(stages)}")
    for model, row in worst.items():
        cells = (("0" if row[stage] == 0 else f"{row[stage]:.0e}") if stage in row else "" for stage in stages)
        terminalreporter.line(f"| {model} | {len(row['seeds'])} | {' | '.join(cells)} |")
