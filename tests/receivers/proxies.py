"""Starts the proxies, each with the configuration that the library writes."""

import os
import shutil
import subprocess
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


def start(kind: str, pki: Pki, writer: str, application: int, work: Path) -> Running:
    """Starts a proxy in front of the application on this port."""
    work.mkdir(parents=True)
    port = free_port()
    given = {
        "server_name": "localhost",
        "application": f"127.0.0.1:{application}",
        "listen": f"127.0.0.1:{port}",
        "certificate": pki.path("server.pem" if kind == "haproxy" else "server.crt"),
        "key": pki.path("server.key"),
        "client_ca": pki.path("root.pem"),
        "crl": pki.path("crls.pem"),
    }
    pairs = [f"{name}={value}" for name, value in given.items()]
    written = subprocess.run([writer, kind, *pairs], capture_output=True, text=True, check=True)
    frame = {"nginx": NGINX, "haproxy": HAPROXY, "apache": APACHE, "caddy": CADDY}[kind]
    config = work / "Caddyfile" if kind == "caddy" else work / f"{kind}.conf"
    config.write_text(frame.format(ours=written.stdout, work=work, port=port, modules=MODULES))
    log = work / "log"
    log.touch()
    running = Running(kind, port, spawn(kind, config, work, log), log)
    try:
        running.wait_until_it_accepts()
    except BaseException:
        running.stop()
        raise
    return running


def spawn(kind: str, config: Path, work: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts the program in the foreground."""
    program = {"apache": "apache2"}.get(kind, kind)
    found = shutil.which(program) or f"/usr/sbin/{program}"
    command = {
        "nginx": [found, "-e", "stderr", "-p", str(work), "-c", str(config)],
        "haproxy": [found, "-db", "-f", str(config)],
        "apache": [found, "-D", "FOREGROUND", "-d", str(work), "-f", str(config)],
        "caddy": [found, "run", "--config", str(config), "--adapter", "caddyfile"],
    }[kind]
    homes = {"HOME": str(work), "XDG_DATA_HOME": str(work), "XDG_CONFIG_HOME": str(work)}
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | homes,
            start_new_session=True,
        )
