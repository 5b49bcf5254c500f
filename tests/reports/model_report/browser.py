"""Debian's Chromium without a window, and what tests ask of a page in it."""

import shutil
from contextlib import contextmanager

from selenium import webdriver

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NO_NETWORK = "host-resolver-rules=MAP * ~NOTFOUND"
FLAGS = ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1300,1000", NO_NETWORK)


@contextmanager
def chromium():
    """A browser that has no network and tells what a page writes to its console."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
