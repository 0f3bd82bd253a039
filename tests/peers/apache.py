"""Apache's httpd. With `SSLVerifyClient require` it refuses a certificate with an alert. If only a
path (`Location`) requires a certificate, it does not request one in the handshake.
"""

import shutil
import subprocess
from pathlib import Path

from pki import Pki
from server import Server, Setting, free_port

MODULES = Path("/usr/lib/apache2/modules")

CONFIG = """\
ServerRoot {work}
ServerName localhost
PidFile {work}/httpd.pid
DefaultRuntimeDir {work}
Mutex file:{work} default
ErrorLog {work}/log
LogLevel info
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule ssl_module {modules}/mod_ssl.so
StartServers 1
ThreadsPerChild 4
MaxRequestWorkers 4
ServerLimit 1
SSLProtocol -all {versions}
SSLSessionCache none
SSLEngine on
SSLCertificateFile {server}/tls.crt
SSLCertificateKeyFile {server}/tls.key
SSLCACertificateFile {root}
SSLVerifyDepth 3
{crl}
{asks}
Redirect 204 /in
"""


def start(pki: Pki, setting: Setting, work: Path) -> Server:
    """Starts it in the foreground, with all its files below `work`."""
    port = free_port()
    asks = {
        "require": "SSLVerifyClient require",
        "optional": "SSLVerifyClient optional",
        "never": "SSLVerifyClient none",
        "location": "SSLVerifyClient none\n<Location /in>\nSSLVerifyClient require\n</Location>",
    }[setting.asks]
    crl = f"SSLCARevocationFile {pki.crl}\nSSLCARevocationCheck leaf"
    config = work / "httpd.conf"
    config.write_text(
        CONFIG.format(
            work=work,
            port=port,
            modules=MODULES,
            server=pki.server,
            root=pki.root,
            crl="" if setting.late else crl,
            asks=asks,
            versions="+TLSv1.2" if setting.older else "+TLSv1.2 +TLSv1.3",
        )
    )
    log = work / "log"
    log.touch()
    program = shutil.which("apache2") or "/usr/sbin/apache2"
    command = [program, "-D", "FOREGROUND", "-d", str(work), "-f", str(config)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=setting.environment,
    )
    return Server("apache", port, process, log)
