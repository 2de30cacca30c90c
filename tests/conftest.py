"""Settings for all tests."""

import shutil
import signal

import pytest
from hypothesis import settings

# The same examples on every machine, no time limit on a busy one, and no folder left behind.
settings.register_profile("harness", deadline=None, derandomize=True, database=None)
settings.load_profile("harness")

# What runs in the background, as a job of CI may, ignores Ctrl-C, and all that it starts does as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium without a window, for tests that have made sure of it."""
    selenium = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = selenium.ChromeOptions()
    for option in [*OPTIONS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(option)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """Takes programs and says what is wrong with them; they share what it has imported."""
    from observed import Clinic

    clinic = Clinic(tmp_path_factory.mktemp("clinic"))
    yield clinic
    clinic.close()
