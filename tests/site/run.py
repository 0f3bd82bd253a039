"""Looks at the built site in headless Chromium. The last line is `site: N passed, …`.

Arguments: the directory of the site, and a directory for the browser.
"""

import argparse
import functools
import http.server
import sys
import threading
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "command"))

import tools
from browser import Browser

SITE = Path()
PAGES = ("index.html", "start.html", "options.html", "errors/pin_mismatch.html", "compare.html")
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")

# The texts whose contrast with their background is below 4.5 (WCAG 2.2, success criterion 1.4.3).
FAINT = """
(() => {
  const channels = (color) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => {
    const alpha = top[3] / 255;
    return [0, 1, 2].map((i) => top[i] * alpha + below[i] * (1 - alpha)).concat(255);
  };
  const backdrop = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(channels(getComputedStyle(at).backgroundColor));
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 255]);
  };
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  const texts = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ opacityProperty: true })) continue;
    const below = backdrop(element);
    const [a, b] = [over(channels(getComputedStyle(element).color), below), below].map(luminance);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${node.data.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return faint;
})()
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        handler = functools.partial(Quiet, directory=str(SITE))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        cls.address = f"http://127.0.0.1:{server.server_port}"
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def show(self, page: str, width: int = 1280, scheme: str = "light") -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.call("Emulation.setEmulatedMedia", features=features)
        self.browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.browser.go(f"{self.address}/{page}")
        wanted = f"location.pathname === '/{page}' && document.readyState === 'complete'"
        self.browser.wait(wanted)

    def test_text_is_readable_and_no_page_is_too_wide(self):
        for page in PAGES:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    with self.subTest(page=page, width=width, scheme=scheme):
                        self.show(page, width, scheme)
                        drawn = self.browser.value("document.documentElement.scrollWidth")
                        assert drawn <= width, f"{drawn} pixels"
                        faint = self.browser.value(FAINT)
                        assert faint == [], faint

    def test_tabs_and_links_are_reached_by_keyboard(self):
        self.show("start.html")
        assert self.browser.value("document.querySelectorAll('.tabbed-set').length") == 1
        self.browser.value("document.querySelector('.tabbed-set input').focus()")
        arrow = {"key": "ArrowRight", "windowsVirtualKeyCode": 39}
        self.browser.call("Input.dispatchKeyEvent", type="rawKeyDown", **arrow)
        self.browser.call("Input.dispatchKeyEvent", type="keyUp", **arrow)
        chosen = "[...document.querySelectorAll('.tabbed-set input')].findIndex((i) => i.checked)"
        assert self.browser.value(chosen) == 1
        self.show("index.html")
        for _ in range(30):
            self.browser.key("Tab")
            where = "document.activeElement.closest('article')?.tagName"
            if self.browser.value(where):
                return
        self.fail("the keyboard does not reach the text")

    def test_no_page_asks_another_host(self):
        for page in PAGES:
            self.show(page)
        asked = {
            event["params"]["request"]["url"]
            for event in self.browser.events
            if event.get("method") == "Network.requestWillBeSent"
        }
        assert asked, "the browser has made no request"
        elsewhere = {url for url in asked if not url.startswith((self.address, "data:", "blob:"))}
        assert elsewhere == set(), elsewhere

    def test_the_search_finds_a_kind(self):
        self.show("index.html")
        self.browser.value("document.querySelector('.md-search__button').click()")
        found = "[...document.querySelectorAll('*')].find((e) => e.shadowRoot)?.shadowRoot"
        self.browser.wait(f"{found}?.querySelector('input')")
        self.browser.call("Input.insertText", text="pin_mismatch")
        self.browser.wait(f"{found}.querySelector('a[href*=\"errors/pin_mismatch\"]')")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    given = parser.parse_args()
    global SITE
    SITE, tools.WORK = given.site.resolve(), given.work.resolve()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Site)
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stderr).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.skipped)
    print(f"site: {result.testsRun - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
