"""The page in a browser: headless Chromium, on a live server with a model made of paper."""

import contextlib
import re
import shutil
from io import BytesIO

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("selenium")

from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from web_server import Paper, encoded, models, paper_mask, running, three_fields

from gluonvision.web import Limits

# As root, and without looking for anything beyond this machine.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE, PHONE = (1280, 900), (390, 844)
SHOWN = ".tile.done, .tile.failed"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, with an empty profile; downloads go to its ``folder``."""
    programs = (
        shutil.which("chromium") or shutil.which("google-chrome"),
        shutil.which("chromedriver"),
    )
    if None in programs:
        pytest.skip("no Chromium with its driver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(programs[1]))
    driver.folder = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(driver.folder), "eventsEnabled": True},
    )
    yield driver
    driver.quit()


@pytest.fixture
def folder(tmp_path):
    """Pictures and one file that is none."""
    for name, pixels in (("a.png", three_fields(240, 160)), ("b.png", three_fields(160, 240))):
        (tmp_path / name).write_bytes(encoded(pixels))
    (tmp_path / "c.tiff").write_bytes(encoded(three_fields(240, 160), "TIFF"))
    (tmp_path / "bad.jpg").write_text("no picture", encoding="utf-8")
    return tmp_path


class Page:
    """What a person does on the page, and sees."""

    def __init__(self, browser, port, size=WIDE, scheme="light"):
        self.browser = browser
        phone = size == PHONE
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": phone}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        browser.get(f"http://127.0.0.1:{port}/")
        self.until(lambda: self.all("#model option"))

    def until(self, met):
        return WebDriverWait(self.browser, 30, 0.02).until(lambda _: met())

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector):
        self.one(selector).click()

    def choose(self, *files):
        """Choose files, and wait until all that are there are done or have failed."""
        self.one("#files").send_keys("\n".join(map(str, files)))
        self.until(lambda: self.all(".tile:not(:last-child)"))
        self.wait()

    def wait(self):
        self.until(lambda: len(self.all(SHOWN)) == len(self.all(".tile")) - 1)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def legend(self):
        """Names and shares, as they are read."""
        return [tuple(row.text.split("\n")) for row in self.all("#legend li")]

    def pixel(self, canvas, x, y):
        """The colour of a canvas at a place, each of its coordinates 0 to 1."""
        script = """
            const canvas = document.querySelector(arguments[0]);
            const at = [arguments[1] * canvas.width, arguments[2] * canvas.height].map(Math.floor);
            return [...canvas.getContext("2d").getImageData(...at, 1, 1).data];"""
        return self.run(script, canvas, x, y)

    def press(self, *keys, shift=False):
        """Press keys, wherever the focus is."""
        actions = ActionChains(self.browser, 0)
        if shift:
            actions.key_down(Keys.SHIFT)
        actions.send_keys(*keys).key_up(Keys.SHIFT).perform()

    def focused(self):
        """What has the focus: its id, else its text."""
        return self.run("return document.activeElement.id || document.activeElement.innerText")

    def view(self):
        """The button that is pressed below the picture, and the mask's opacity."""
        opacity = self.run("return document.querySelector('#mask').style.opacity")
        return self.one(".views [aria-pressed=true]").text, opacity

    def point_at(self, x, y):
        """Move the mouse over the picture, to a place from 0 to 1."""
        size = self.one("#frame").size
        off = round((x - 0.5) * size["width"]), round((y - 0.5) * size["height"])
        ActionChains(self.browser, 0).move_to_element_with_offset(
            self.one("#frame"), *off
        ).perform()

    def picture(self):
        """What is seen, uint8 (H, W, 3)."""
        return np.asarray(Image.open(BytesIO(self.browser.get_screenshot_as_png())).convert("RGB"))

    def downloaded(self, name):
        """The file of that name, when it is whole."""
        file = self.browser.folder / name
        return self.until(lambda: file.is_file() and Image.open(BytesIO(file.read_bytes())))

    def errors(self):
        """What the browser complained of: a policy broken, a script that failed."""
        logged = [each["message"] for each in self.browser.get_log("browser")]
        return [line for line in logged if not re.search("willRead|status of (415|503)", line)]


@contextlib.contextmanager
def page(browser, *names, limits=None, load=None, **options):
    """The page of a server that runs until the block ends, and left no error behind."""
    with running(models(*names, load=load), limits) as port:
        opened = Page(browser, port, **options)
        yield opened
        assert opened.errors() == []


def test_pictures_and_a_bad_file(browser, folder):
    with page(browser) as shown:
        assert shown.one("#welcome").is_displayed()
        assert "nothing, red thing, green" in shown.one("#about").text
        shown.choose(folder / "a.png", folder / "bad.jpg", folder / "b.png")
        assert not shown.one("#welcome").is_displayed()
        assert shown.legend() == [
            ("nothing", "33.1 %"), ("red thing", "22.3 %"), ("green", "22.3 %"), ("blue", "22.3 %")
        ]  # fmt: skip
        assert shown.pixel("#mask", 0.1, 0.9) == [200, 30, 20, 255]
        assert shown.pixel("#mask", 0.1, 0.1) == [0, 0, 0, 0]  # the background is not painted
        states = [tile.get_attribute("class") for tile in shown.all(".tile:not(:last-child)")]
        assert states == ["tile done", "tile failed", "tile done"]
        assert "240 \u00d7 160" in shown.one("#facts").text

        shown.click(".failed .thumb")
        assert shown.one("#notice").text.startswith("bad.jpg: The file is not a supported image")
        assert not shown.one("[data-do=again]").is_displayed()
        assert not shown.one("[data-do=save-mask]").is_enabled()
        shown.click("#notice [data-do=remove]")
        assert len(shown.all(".tile")) == 3
        assert "b.png, 160 \u00d7 240" in shown.one("#facts").text


def test_the_example(browser):
    with page(browser) as shown:
        shown.click("[data-do=example]")
        shown.until(lambda: shown.all(".tile.done"))
        assert shown.one("#facts").text.startswith("example.jpg, 288")


def test_a_format_that_no_browser_shows(browser, folder):
    with page(browser) as shown:
        shown.choose(folder / "c.tiff")
        shown.until(
            lambda: shown.run("return document.querySelector('#picture').naturalWidth") == 240
        )
        assert shown.one(".thumb img").is_displayed()


def test_the_class_under_the_pointer_is_named_and_marked(browser, folder):
    with page(browser) as shown:
        shown.choose(folder / "a.png")
        shown.point_at(0.9, 0.8)
        assert shown.one("#tip").text == "blue"
        assert [row.text.split("\n")[0] for row in shown.all("#legend .lit")] == ["blue"]
        assert shown.pixel("#mark", 0.9, 0.8)[3] == 0
        assert shown.pixel("#mark", 0.1, 0.8)[3] > 0
        shown.point_at(0.1, 0.8)
        assert shown.one("#tip").text == "red thing"
        assert shown.pixel("#mark", 0.1, 0.8)[3] == 0
        ActionChains(browser, 0).move_to_element(shown.one(".brand")).perform()
        assert not shown.one("#tip").is_displayed()
        assert shown.all("#legend .lit") == []


def test_by_keyboard_alone(browser, folder):
    with page(browser) as shown:
        order = []
        for _ in range(3):
            shown.press(Keys.TAB)
            order.append(shown.focused())
        assert order == ["model", "Choose images", "Try an example"]
        assert shown.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"

        shown.choose(folder / "a.png", folder / "b.png")
        assert shown.focused() == "frame"
        shown.press(Keys.ARROW_DOWN)
        assert shown.one("#tip").text == "green"
        shown.press(Keys.ARROW_LEFT * 3, shift=True)
        assert shown.one("#tip").text == shown.one("#live").text == "red thing"
        shown.press(Keys.ESCAPE)
        assert not shown.one("#tip").is_displayed()

        shown.one("#legend li:nth-child(2) button").send_keys(Keys.ENTER)
        assert shown.one("#legend [aria-pressed=true]").text.startswith("red thing")
        assert "on" in shown.one("#mark").get_attribute("class")

        shown.one("#strip .thumb").send_keys(Keys.ARROW_RIGHT)
        assert "b.png" in shown.one("#facts").text
        shown.press(Keys.DELETE)
        assert "a.png" in shown.one("#facts").text
        shown.press(Keys.DELETE)
        assert shown.one("#welcome").is_displayed()
        assert shown.focused() == "Choose images"


def test_opacity(browser, folder):
    with page(browser) as shown:
        shown.choose(folder / "a.png")
        assert shown.view() == ("Overlay", "0.55")
        shown.one("#opacity").send_keys(Keys.ARROW_RIGHT)
        assert (*shown.view(), shown.one("output").text) == ("Overlay", "0.56", "56 %")
        shown.click("[data-opacity='100']")
        assert shown.view() == ("Mask", "1")
        assert shown.pixel("#mask", 0.1, 0.1) == [0, 0, 0, 255]  # the whole mask, background too
        shown.click("[data-opacity='0']")
        assert shown.view() == ("Image", "0")


def test_saving(browser, folder):
    pixels = three_fields(240, 160)
    with page(browser, limits=Limits(side=120)) as shown:
        shown.choose(folder / "a.png")
        shown.click("[data-do=save-mask]")
        mask = shown.downloaded("a_mask.png")
        assert (mask.mode, mask.size) == ("P", (240, 160))
        assert (np.asarray(mask) == paper_mask(pixels)).mean() > 0.98  # but for reduced edges
        shown.click("[data-do=save-overlay]")
        overlay = np.asarray(shown.downloaded("a_overlay.png").convert("RGB"))
        assert overlay.shape[1] == 240
        assert overlay.shape[0] > 160  # the legend
        blend = 0.45 * pixels[150, 10] + 0.55 * np.array([200, 30, 20])
        np.testing.assert_allclose(overlay[150, 10], blend, atol=2)
        np.testing.assert_array_equal(overlay[20, 100], pixels[20, 100])  # not painted


def test_another_model_looks_at_all_pictures_again(browser, folder):
    with page(browser, "one", "two") as shown:
        shown.choose(folder / "a.png", folder / "b.png")
        assert "by one" in shown.one("#facts").text
        Select(shown.one("#model")).select_by_value("two")
        shown.until(lambda: "by two" in shown.one("#facts").text)
        shown.wait()
        shown.all(".thumb")[1].click()
        assert "b.png" in shown.one("#facts").text
        assert "by two" in shown.one("#facts").text


def test_while_a_picture_is_looked_at(browser, folder):
    paper = Paper()
    paper.may_go.clear()
    with page(browser, load=lambda source: paper) as shown:
        try:
            shown.one("#files").send_keys(str(folder / "a.png"))
            shown.until(lambda: "Segmenting" in shown.one("#notice").text)
            assert not shown.one("[data-do=save-overlay]").is_enabled()
        finally:
            paper.may_go.set()
        shown.wait()
        assert not shown.one("#notice").is_displayed()


def test_a_busy_server_is_asked_again(browser, folder):
    paper = Paper()
    with page(browser, limits=Limits(waiting=1), load=lambda source: paper) as shown:
        shown.choose(*[folder / name for name in ("a.png", "b.png", "c.tiff")])
        assert len(shown.all(".tile.done")) == 3
        assert paper.most == 1


def test_files_that_are_too_large_are_not_sent(browser, folder):
    paper = Paper()
    with page(browser, limits=Limits(upload=20), load=lambda source: paper) as shown:
        shown.choose(folder / "a.png")
        assert "accepts at most 0 MB" in shown.one("#notice").text
        assert paper.seen == []


def test_a_server_that_has_ended(browser, folder):
    with running(models()) as port:
        shown = Page(browser, port)
    shown.choose(folder / "a.png")
    assert "does not respond" in shown.one("#notice").text
    assert shown.one("[data-do=again]").is_displayed()
    assert "ERR_CONNECTION_REFUSED" in shown.errors()[0]


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_how_it_looks(browser, folder, size, scheme, tmp_path):
    with page(browser, size=size, scheme=scheme) as shown:
        before = shown.picture()
        shown.choose(folder / "a.png", folder / "b.png", folder / "bad.jpg")
        after = shown.picture()
        assert shown.run("return document.documentElement.scrollWidth") <= size[0]
        # The paper is light, or dark, and text on it can be read.
        paper, ink = (
            before[-5, 5].mean(),
            before[5:60].min() if scheme == "light" else before[5:60].max(),
        )
        assert abs(paper - (250 if scheme == "light" else 23)) < 12
        assert abs(float(paper) - float(ink)) > 140
        assert (before != after).mean() > 0.1
        stage = shown.one("#frame").rect
        assert stage["width"] > 0.5 * min(size[0], 600)
        row, column = (
            int(stage["y"] + 0.8 * stage["height"]),
            int(stage["x"] + 0.1 * stage["width"]),
        )
        red = 0.45 * np.array([250, 0, 0]) + 0.55 * np.array([200, 30, 20])
        np.testing.assert_allclose(after[row, column], red, atol=3)
