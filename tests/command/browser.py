"""A headless Chromium, driven by its DevTools protocol over two pipes."""

import json
import os
import select
import subprocess
import tempfile
import time
from typing import Self

import tools

# No request of the browser itself, no other host, and no first-run page.
FLAGS = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

# Returns, for each text of a part of the page, its contrast (WCAG 2) with the color behind it.
CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const color = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) =>
    top.slice(0, 3).map((part, at) => part * top[3] + below[at] * (1 - top[3]));
  const behind = (element) => {
    if (!element) return color('canvas').slice(0, 3);
    const own = color(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const light = (parts) => {
    const linear = parts.map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const walker = document.createTreeWalker(document.querySelector(ROOT), NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim()) continue;
    if (!element.checkVisibility({ opacityProperty: true })) continue;
    if (element.closest('script, noscript')) continue;
    const ground = behind(element);
    const text = over(color(getComputedStyle(element).color), ground);
    const [high, low] = [light(text), light(ground)].sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), element.className, walker.currentNode.data.trim()]);
  }
  return found.sort((a, b) => a[0] - b[0]);
})()
"""


class Browser:
    """One browser with one page."""

    def __init__(self):
        self.home = tempfile.TemporaryDirectory(dir=tools.WORK, ignore_cleanup_errors=True)
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        flags = [*FLAGS, f"--user-data-dir={self.home.name}"]
        if os.geteuid() == 0:
            # The sandbox of Chromium refuses to run as root. The only site is our own.
            flags.append("--no-sandbox")
        # The browser reads from descriptor 3 and writes to 4.
        plumbing = f'exec chromium "$@" 3<&{to_browser} 4>&{from_browser}'
        self.process = subprocess.Popen(
            ["bash", "-c", plumbing, "chromium", *flags, "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=tools.environment(HOME=self.home.name),
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.buffer = b""
        self.number = 0
        self.session = None
        self.events = []
        try:
            self.open_page()
        except BaseException:
            self.close()
            raise

    def open_page(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict:
        """Calls a method of the protocol and returns its result. Events on the way are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def receive(self) -> dict:
        deadline = time.monotonic() + tools.LIMIT
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], deadline - time.monotonic())
            chunk = os.read(self.read, 1 << 16) if ready else b""
            assert chunk, "the browser does not answer"
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def value(self, expression: str):
        """Returns the value of an expression in the page. Promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, expression: str):
        """Waits until an expression in the page is true, and returns its value."""
        deadline = time.monotonic() + tools.LIMIT
        while not (value := self.value(expression)):
            assert time.monotonic() < deadline, (expression, self.value("document.body.innerText"))
            time.sleep(0.02)
        return value

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def key(self, key: str) -> None:
        """Presses a key, such as `Tab`, `ArrowDown` or `Enter`."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "ArrowUp": 38, "ArrowDown": 40}
        text = "\r" if key == "Enter" else ""
        same = {"key": key, "windowsVirtualKeyCode": codes[key], "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **same)
        self.call("Input.dispatchKeyEvent", type="keyUp", **same)

    def look(self, width: int, height: int, scheme: str) -> None:
        """Sets the size of the window, and the color scheme that the user prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def faintest(self, root: str = "body") -> list[list]:
        """Returns the contrast, the class and the words of visible texts, the faintest first."""
        return self.value(CONTRAST.replace("ROOT", json.dumps(root)))

    def hosts(self) -> set[str]:
        """Returns the origins of all requests so far."""
        sent = (it["params"] for it in self.events if it["method"] == "Network.requestWillBeSent")
        urls = [it["request"]["url"] for it in sent]
        return {"/".join(it.split("/")[:3]) for it in urls if not it.startswith(("data:", "blob:"))}

    def complaints(self) -> list[str]:
        """Returns the errors of the page so far, such as what its policy has refused."""
        found = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
            if event["method"] == "Log.entryAdded":
                entry = event["params"]["entry"]
                if entry["level"] == "error":
                    found.append(entry["text"])
        return found

    def close(self) -> None:
        # Its session has the processes of the browser alone.
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.write)
        os.close(self.read)
        self.home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()
