"""Headless Chromium for the tests of pages, through selenium and Debian's packages `chromium` and `chromium-driver`."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WIDTH, HEIGHT = 1280, 900
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND"


class Browser:
    """A browser window; `driver` is selenium's."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        """Show a page from its file; what others wrote on the console is forgotten."""
        self.driver.get_log("browser")
        self.driver.get(page.resolve().as_uri())

    def complaints(self) -> list[str]:
        """What the page has written on the console, errors of loading and of scripts among it."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def count(self, selector: str) -> int:
        """Elements that a CSS selector finds."""
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def text(self, selector: str) -> str:
        """The text of the first element that a CSS selector finds, shown or not."""
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def slide(self, selector: str, value: float) -> None:
        """Move a slider as a user does, as far as its script can tell."""
        self.run("document.querySelector(arguments[0]).value = arguments[1]", selector, value)
        self.run("document.querySelector(arguments[0]).dispatchEvent(new Event('input', {bubbles: true}))", selector)

    def click(self, selector: str) -> None:
        """Click on the first element that a CSS selector finds."""
        self.run("document.querySelector(arguments[0]).click()", selector)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script in the page returns."""
        return self.driver.execute_script(script, *arguments)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests of a process; they are skipped where Chromium or its driver is not installed."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("no chromium and chromedriver on this machine; install Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={WIDTH},{HEIGHT}", NO_NETWORK)
    for argument in flags:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield Browser(window)
    window.quit()
