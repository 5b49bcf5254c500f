"""The pictures of the README, from the run of `make demo`: `make pictures`.

Ground truth beside detections; and of `maskrcnn inspect` and `maskrcnn report`, as Chromium shows them (Debian's packages `chromium`
and `chromium-driver`).
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from selenium import webdriver

from maskrcnn_jax import checkpoint, inference, training, visualize
from maskrcnn_jax.cli import main as maskrcnn
from maskrcnn_jax.data import open_source
from maskrcnn_jax.training.pictures import picture_grid

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
SHOWN, INSPECTED = 4, "1000000008"  # images of the grid, and the validation image whose stages are shown
WIDTH = 1200  # pixels


def main() -> None:
    """Make all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder of the config `shapes`")
    run = parser.parse_args().run
    FOLDER.mkdir(exist_ok=True)
    config = checkpoint.load(run).config
    source, few = open_source(config.data, "val"), replace(config, eval=replace(config.eval, max_images=SHOWN))
    grid = picture_grid(source, training.validate(inference.load(run), source, few), SHOWN)
    _save("detections", grid)
    with tempfile.TemporaryDirectory() as folder:
        inspected, reported = Path(folder) / "inspect.html", Path(folder) / "report"
        maskrcnn.main(["inspect", str(run), INSPECTED, "--out", str(inspected)])
        maskrcnn.main(["report", str(run), "--out", str(reported)])
        _save("inspect", _shown(inspected, ".bench", 770))
        _save("report", _shown(reported / "report.html", "h2:nth-of-type(3)", 1150))


def _shown(page: Path, selector: str, height: int) -> np.ndarray:
    """A window of a page, from the element that `selector` finds down."""
    options = webdriver.ChromeOptions()
    options.binary_location = _installed("chromium")
    for flag in ("headless=new", "no-sandbox", "hide-scrollbars", f"window-size={WIDTH},{height}"):
        options.add_argument(f"--{flag}")
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(_installed("chromedriver")))
    try:
        window.get(page.as_uri())
        window.execute_script("document.querySelector(arguments[0]).scrollIntoView()", selector)
        with Image.open(BytesIO(window.get_screenshot_as_png())) as picture:
            return np.asarray(picture.convert("RGB"))
    finally:
        window.quit()


def _installed(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SystemExit(f"no {name} on this machine; install Debian's packages chromium and chromium-driver")
    return path


def _save(name: str, picture: np.ndarray) -> None:
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    visualize.save(FOLDER / f"{name}.jpg", cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main()
