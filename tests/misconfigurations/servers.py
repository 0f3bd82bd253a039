"""The real servers: nginx, HAProxy, Node and tinyproxy. Each program runs once with all its
settings, and once more on a clock that is three days ahead."""

import json
import shutil
import subprocess
from pathlib import Path

import tinyproxy
from certificates import Certificates

from server import Server, Setting, free_port

AHEAD = Setting("require", late=True)
NOW = Setting("require")

NGINX = """\
daemon off;
master_process off;
pid {work}/nginx.pid;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    ssl_certificate "{chain}";
    ssl_certificate_key "{key}";
    ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 64k;
{servers}
}}
"""

NGINX_SERVER = """\
    server {{
        listen 127.0.0.1:{port} {tls};
        {settings}
        location / {{ return 200 "ok"; }}
        location /down {{ proxy_pass http://127.0.0.1:9; }}
        location /large {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:9; }}
{statuses}
    }}
"""

# Statuses whose meaning depends on a header or on the text of the application.
PARTICULAR = {
    **dict.fromkeys((301, 302, 307, 308), "return {status} https://hooks2.acme.test/in;"),
    **dict.fromkeys((429, 503), "add_header Retry-After 30 always; return {status};"),
    401: 'default_type text/plain; return 401 "bearer token is missing";',
}
PLAIN = (400, 403, 404, 405, 410, 415, 421, 425, 495, 496, 500)

HAPROXY = """\
global
    log stderr format raw local0
defaults
    mode http
    log global
    timeout client 10s
    timeout server 300ms
    timeout connect 300ms
{frontends}
backend down
    server app 127.0.0.1:9
backend slow
    server app {silent}
backend none
"""

HAPROXY_FRONTEND = """\
frontend {name}
    bind 127.0.0.1:{port} ssl crt "{pem}" alpn http/1.1 {asks}
    http-request wait-for-body time 5s
    {rules}
    http-request return status 200 content-type text/plain string ok
"""

NODE = Path(__file__).with_name("node_server.mjs")


def statuses() -> str:
    """Returns the paths of nginx that answer with a status."""
    rules = dict.fromkeys(PLAIN, "return {status};") | PARTICULAR
    return "".join(
        f"        location = /status/{status} {{ {rule.format(status=status)} }}\n"
        for status, rule in rules.items()
    )


class Programs:
    """Starts programs, and ends all of them."""

    def __init__(self, certificates: Certificates, work: Path, node: str, silent: int) -> None:
        self.certificates = certificates
        self.work = work
        work.mkdir(parents=True)
        self.node = node
        self.silent = silent
        self.running: list[Server] = []
        self.ports: dict[str, int] = {}

    def stop(self) -> None:
        """Ends every program that was started."""
        for server in self.running:
            server.stop()

    def port(self, name: str) -> int:
        """Returns the port of a server by its name, such as `nginx strict`."""
        program = name.split(" ")[0]
        if name not in self.ports:
            start = {"nginx": self._nginx, "haproxy": self._haproxy, "node": self._node}[program]
            start("ahead" in name)
        return self.ports[name]

    def proxy(self, name: str, settings: str) -> int:
        """Starts a tinyproxy with these settings, unless it runs."""
        if name not in self.ports:
            work = self._directory(name)
            port = free_port()
            config = work / "tinyproxy.conf"
            config.write_text(tinyproxy.CONFIG.format(port=port, work=work, settings=settings))
            (work / "log").touch()
            self._start(name, ["tinyproxy", "-d", "-c", str(config)], port, NOW, work)
            self.ports[name] = port
        return self.ports[name]

    def _root(self, name: str) -> Path:
        return self.certificates.of(name).cert

    def _crls(self) -> Path:
        """The CRLs of every CA of the sender, in one file."""
        file = self.work / "crls.pem"
        names = ("Sender Issuing CA", "Sender Root")
        file.write_bytes(b"".join(self.certificates.crl(name).read_bytes() for name in names))
        return file

    def _nginx(self, ahead: bool) -> None:
        root, other = self._root("Sender Root"), self._root("Other Root")
        strict = f'ssl_client_certificate "{root}"; ssl_verify_client on;'
        settings = {
            "strict": f"{strict} ssl_verify_depth 3;",
            "shallow": strict,
            "other CA": f'ssl_client_certificate "{other}"; ssl_verify_client on;',
            "crl": f"{strict} ssl_verify_depth 3; ssl_crl {self._crls()};",
            "lax": "ssl_verify_client off;",
            "older": f"{strict} ssl_protocols TLSv1.2;",
            "plain": "",
        }
        if ahead:
            settings = {"ahead": settings["strict"]}
        work = self._directory("nginx ahead" if ahead else "nginx")
        blocks = []
        for name, text in settings.items():
            port = self.ports[f"nginx {name}"] = free_port()
            tls = "" if name == "plain" else "ssl"
            form = {"port": port, "tls": tls, "settings": text, "statuses": statuses()}
            blocks.append(NGINX_SERVER.format(**form))
        good = self.certificates.shown_by("good")
        config = work / "nginx.conf"
        config.write_text(
            NGINX.format(work=work, chain=good.chain, key=good.key, servers="".join(blocks))
        )
        command = ["nginx", "-e", "stderr", "-p", str(work), "-c", str(config)]
        self._start("nginx", command, port, AHEAD if ahead else NOW, work)

    def _haproxy(self, ahead: bool) -> None:
        root, other = self._root("Sender Root"), self._root("Other Root")
        strict = f'ca-file "{root}" verify required'
        refused = "http-request deny deny_status 403 if { ssl_c_verify gt 0 }"
        settings = {
            "strict": (strict, ""),
            "other CA": (f'ca-file "{other}" verify required', ""),
            "crl": (f"{strict} crl-file {self._crls()}", ""),
            "rules": (f"{strict} ca-ignore-err all crt-ignore-err all", refused),
            "down": (strict, "use_backend down"),
            "slow": (strict, "use_backend slow"),
            "none": (strict, "use_backend none"),
        }
        if ahead:
            settings = {"ahead": settings["strict"]}
        work = self._directory("haproxy ahead" if ahead else "haproxy")
        good = self.certificates.shown_by("good")
        pem = work / "server.pem"
        pem.write_bytes(good.chain.read_bytes() + good.key.read_bytes())
        blocks = []
        for name, (asks, rules) in settings.items():
            port = self.ports[f"haproxy {name}"] = free_port()
            form = {"name": name.replace(" ", "-"), "port": port, "pem": pem, "asks": asks}
            text = HAPROXY_FRONTEND.format(**form, rules=rules)
            if "use_backend" in rules:
                # A backend answers, so the frontend must not.
                text = text.rpartition("    http-request return")[0]
            blocks.append(text)
        config = work / "haproxy.cfg"
        silent = f"127.0.0.1:{self.silent}"
        config.write_text(HAPROXY.format(frontends="".join(blocks), silent=silent))
        command = ["haproxy", "-db", "-f", str(config)]
        self._start("haproxy", command, port, AHEAD if ahead else NOW, work)

    def _node(self, ahead: bool) -> None:
        names = ["ahead"] if ahead else ["strict", "other CA", "crl", "http2", "lax"]
        good = self.certificates.shown_by("good")
        work = self._directory("node ahead" if ahead else "node")
        settings = {
            "chain": str(good.chain),
            "key": str(good.key),
            "roots": {
                name: str(self._root("Other Root" if name == "other CA" else "Sender Root"))
                for name in names
            },
            "crls": str(self._crls()),
        }
        log = work / "log"
        setting = AHEAD if ahead else NOW
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [self.node, str(NODE), json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=setting.environment,
            )
        self.running.append(Server("node", 0, process, log))
        assert process.stdout is not None
        for name, port in json.loads(process.stdout.readline()).items():
            self.ports[f"node {name}"] = port

    def _directory(self, name: str) -> Path:
        work = self.work / name.replace(" ", "-")
        work.mkdir(parents=True)
        return work

    def _start(
        self, kind: str, command: list[str], port: int, setting: Setting, work: Path
    ) -> None:
        log = work / "log"
        program = shutil.which(command[0]) or f"/usr/sbin/{command[0]}"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=setting.environment,
            )
        server = Server(kind, port, process, log)
        self.running.append(server)
        server.wait_until_it_accepts()
