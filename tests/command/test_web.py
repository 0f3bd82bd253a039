"""`listen --web` in a headless Chromium: clients appear as they come, and their words stay text."""

import http.client
import json
import ssl
import unittest
from urllib.parse import urlsplit

import tools
from browser import Browser

HOSTILE = "<script>caught=1</script><img src=x onerror=caught=2>"


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tools.lab()
        tools.done("lab", "issue", cls.place, "late", "--expired")
        cls.hostile_leaf()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    @classmethod
    def hostile_leaf(cls) -> None:
        """Issues a certificate whose subject is HTML. The command would refuse to request it."""
        key, request = cls.place / "hostile.key", cls.place / "hostile.csr"
        subject = "/CN=" + HOSTILE.replace("/", r"\/")
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        tools.openssl("req", "-new", *new, "-keyout", key, "-subj", subject, "-out", request)
        issuer = cls.place / "intermediate.pem"
        ca = ("-CA", issuer, "-CAkey", cls.place / "intermediate.key")
        purpose = cls.place / "purpose.cnf"
        purpose.write_text("extendedKeyUsage = clientAuth\n")
        more = ("-days", "1", "-extfile", purpose)
        text = tools.openssl("x509", "-req", "-in", request, *ca, *more)
        leaf = text[text.index("-----BEGIN") :]
        (cls.place / "hostile.crt").write_text(leaf + issuer.read_text())

    def setUp(self):
        self.receiver = tools.Receiver(self.place, "--web=0")
        self.addCleanup(self.receiver.__exit__)
        self.url = self.receiver.first["web"]

    def open(self, width=1280, height=900, scheme="light") -> Browser:
        browser = self.browser
        browser.events.clear()
        browser.look(width, height, scheme)
        browser.go(self.url)
        browser.wait("document.getElementById('state')?.dataset.state === 'live'")
        browser.wait("document.querySelector('#receiver code') !== null")
        return browser

    def send(self, path: str, body=b"", headers=None, name="sender") -> dict:
        """Sends a request as a client, and returns what the receiver has reported."""
        context = ssl.create_default_context(cafile=self.place / "ca.pem")
        context.load_cert_chain(self.place / f"{name}.crt", self.place / f"{name}.key")
        client = http.client.HTTPSConnection("localhost", self.receiver.port, context=context)
        try:
            client.request("POST", path, body, headers or {})
            client.getresponse().read()
        except (ssl.SSLError, ConnectionError):
            pass  # Refused, which the report says.
        finally:
            client.close()
        return self.receiver.next()

    def shown(self) -> str:
        return self.browser.value("document.getElementById('shown').innerText")

    def rows(self, count: int) -> list[str]:
        self.browser.wait(f"document.querySelectorAll('.row').length === {count}")
        return self.browser.value(
            "[...document.querySelectorAll('.row')].map((row) => row.textContent)"
        )

    def test_a_delivery_and_a_refusal_appear_as_they_come(self):
        browser = self.open()
        assert "No client has come yet" in self.shown()
        delivered = self.send("/orders", b'{\n\t"n": 1}', {"webhook-id": "msg_1"})
        (row,) = self.rows(1)
        assert "Delivered: POST /orders" in row, row
        text = self.shown()
        leaf = delivered["certificates"][0]
        for expected in (
            "POST /orders",
            "Answered 200",
            leaf["spki_pin"],
            leaf["certificate_pin"],
            delivered["certificates"][1]["spki_pin"],
            "clientAuth",
            "spiffe://lab.test/webhooks",
            "29 days left",
            delivered["peer"]["anchor"],
            "TLSv1.3",
            "msg_1",
            '"n": 1',
        ):
            assert expected in text, (expected, text)
        refused = self.send("/late", name="late")
        assert "Refused: certificate expired" in self.rows(2)[0]
        text = self.shown()
        for expected in (refused["error"]["message"], refused["error"]["remedy"], " minutes ago"):
            assert expected in text, (expected, text)
        assert "Answered" not in text
        # A page that is opened later shows both, and nothing came from elsewhere.
        browser.go(self.url)
        self.rows(2)
        assert browser.hosts() == {self.url.rstrip("/")}, browser.hosts()
        assert browser.complaints() == []

    def test_a_reason_is_shown_once(self):
        self.open()
        with tools.connected(self.place, self.receiver.port) as client:
            client.sendall(b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n")
            client.recv(100)
        report = self.receiver.next()
        assert report["event"] == "no_request", report
        assert "Accepted without a request" in self.rows(1)[0]
        text = self.shown()
        assert text.count(report["reason"]) == 1, text

    def test_a_subject_of_html_stays_text(self):
        browser = self.open()
        path = "/%3Cb%3E?<script>window.caught=3</script>"
        with tools.connected(self.place, self.receiver.port, "hostile") as client:
            head = f"POST {path.replace(' ', '')} HTTP/1.1\r\nhost: a\r\nx-note: {HOSTILE}\r\n"
            client.sendall(head.encode() + b"x-bytes: \xff\xfe\r\ncontent-length: 2\r\n\r\n<b")
            client.recv(100)
        report = self.receiver.next()
        assert report["event"] == "request", report
        self.rows(1)
        text = self.shown()
        assert text.count(HOSTILE) == 2, text
        assert path in text
        inside = "document.querySelectorAll('main script, main img, main b').length"
        assert browser.value(inside) == 0
        assert browser.value("window.caught") is None
        # Neither may a fault of the script make HTML of it: the browser refuses it.
        refused = "try { document.body.innerHTML = '<p>x</p>'; 'set' } catch (fault) { fault.name }"
        assert browser.value(refused) == "TypeError"

    def test_the_page_is_walked_by_keyboard(self):
        browser = self.open()
        for path in ("/one", "/two", "/three"):
            self.send(path)
        self.send("/late", name="late")
        self.rows(4)
        focused = "document.activeElement"
        seen = []
        for _ in range(12):
            browser.key("Tab")
            seen.append(browser.value(f"{focused}.id || {focused}.name || {focused}.className"))
            if seen[-1].startswith("row"):
                break
        assert seen[0] == "skip", seen
        assert "filter" in seen, seen
        assert "follow" in seen, seen
        ring = browser.value(f"getComputedStyle({focused}).outlineStyle")
        assert ring == "solid", ring
        current = "document.querySelector('.row[aria-current]').textContent"
        assert "certificate expired" in browser.value(current)
        browser.key("ArrowDown")
        assert "/three" in browser.value(current)
        assert "POST /three" in self.shown()
        browser.key("End")
        assert "/one" in browser.value(current)
        browser.key("ArrowUp")
        assert "/two" in browser.value(current)
        # Another client does not take away the one that is read.
        self.send("/four")
        self.rows(5)
        assert "POST /two" in self.shown()
        browser.key("Enter")
        assert "POST /two" in browser.value(f"{focused}.textContent")
        browser.key("Tab")
        assert browser.value(f"{focused}.className") == "copy"
        browser.key("Escape")
        assert "/two" in browser.value(f"{focused}.textContent")
        assert browser.value(f"{focused}.classList.contains('row')")
        # Only the refused ones.
        browser.value("document.querySelector('input[value=refused]').click()")
        visible = (
            "[...document.querySelectorAll('.row')].filter((it) => it.checkVisibility()).length"
        )
        assert browser.value(visible) == 1

    def test_both_color_schemes_have_contrast_at_both_widths(self):
        self.open()
        self.send("/orders", b"{}", {"x-long": "x" * 300})
        self.send("/late", name="late")
        grounds = set()
        for width, height in ((1280, 900), (390, 844)):
            for scheme in ("light", "dark"):
                browser = self.open(width, height, scheme)
                self.rows(2)
                # The colors of arriving rows fade.
                browser.value("document.getAnimations().forEach((it) => it.finish())")
                views = [browser.faintest()]
                for at in (0, 1):
                    browser.value(f"document.querySelectorAll('.row')[{at}].click()")
                    views.append(browser.faintest())
                    wide = browser.value("document.documentElement.scrollWidth")
                    assert wide <= width, (scheme, wide, width)
                for found in views:
                    assert len(found) > 5, found
                    assert found[0][0] >= 4.5, (width, scheme, found[:3])
                grounds.add(browser.value("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2, grounds

    def test_only_the_last_clients_are_kept(self):
        for at in range(205):
            self.send(f"/{at}")
        browser = self.open()
        rows = self.rows(200)
        assert "/204" in rows[0]
        assert "/5" in rows[-1]
        assert "keeps 200 of 205" in browser.value("document.body.innerText")

    def test_a_page_that_lost_the_receiver_says_so(self):
        browser = self.open()
        self.receiver.process.kill()
        browser.wait("document.getElementById('state').dataset.state === 'lost'")

    def test_other_names_methods_and_sites_get_nothing(self):
        where = urlsplit(self.url)

        def asked(method="GET", path="/", **headers) -> http.client.HTTPResponse:
            client = http.client.HTTPConnection(where.hostname, where.port, timeout=tools.LIMIT)
            self.addCleanup(client.close)
            client.request(method, path, headers=headers)
            return client.getresponse()

        policy = asked().headers["content-security-policy"]
        for part in ("default-src 'none'", "script-src 'self'", "trusted-types 'none'"):
            assert part in policy, policy
        assert "unsafe" not in policy
        for path in ("/", "/page.js", "/page.css", "/icon.svg"):
            answer = asked(path=path)
            assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
            assert b"://" not in answer.read().replace(b"http://www.w3.org/2000/svg", b"").replace(
                b"https://$", b""
            ), path
        # A name of another site that leads to this address (DNS rebinding).
        assert asked(path="/clients", host=f"evil.test:{where.port}").status == 421
        assert asked(path="/clients", **{"sec-fetch-site": "cross-site"}).status == 403
        assert asked("POST").status == 405
        assert asked(path="/etc/passwd").status == 404
        stream = asked(path="/clients")
        assert stream.headers["content-type"] == "text/event-stream"
        assert "access-control-allow-origin" not in stream.headers
        # The page is on loopback alone, wherever the receiver listens.
        with tools.Receiver(self.place, "--web=0", address="127.0.0.2:0") as other:
            assert urlsplit(other.first["web"]).hostname == "127.0.0.1"

    def test_what_cannot_go_together_is_refused(self):
        for more in (("--web=70000",), ("--web", "--once")):
            done = tools.run("listen", "--cert", "x", "--ca", "ca.pem", *more, cwd=self.place)
            assert done.returncode == 2, done
        port = urlsplit(self.url).port
        ours = ("--cert", "receiver.crt", "--key", "receiver.key", "--ca", "ca.pem")
        taken = ("listen", "--json", *ours, "--address", "127.0.0.1:0", f"--web={port}")
        done = tools.run(*taken, cwd=self.place)
        assert done.returncode == 3, done
        assert "cannot be listened on" in json.loads(done.stdout)["error"]["message"]
