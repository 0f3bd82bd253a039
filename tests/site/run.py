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


# The tables and the blocks of code that do not fit, so that the reader must scroll them.
SCROLLED = """
[...document.querySelectorAll('article *')].filter((element) =>
  ['auto', 'scroll'].includes(getComputedStyle(element).overflowX) &&
  element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1
).map((element) => element.textContent.trim().slice(0, 40))
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
        self.browser.look(width, 900, scheme)
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
                        wide = self.browser.value(SCROLLED) if width == 390 else []
                        assert wide == [] or page == "options.html", wide
                        texts = self.browser.faintest("article")
                        assert len(texts) > 5 and texts[0][0] >= 4.5, texts[:3]

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
        assert self.browser.hosts() == {self.address}, self.browser.hosts()

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
