"""What the programs of the runtimes share: the material that the test has put into a directory."""

import os
from pathlib import Path

import webhook_mtls as wm

DIRECTORY = Path(os.environ.get("WMTLS_DIRECTORY", "."))


def identity() -> wm.Identity:
    return wm.Identity.from_files(DIRECTORY / "tls.crt", DIRECTORY / "tls.key")


def trust() -> wm.Trust:
    return wm.Trust.from_files(DIRECTORY / "ca.pem")


def dispatcher() -> wm.Dispatcher:
    egress = wm.Egress(allow=["127.0.0.0/8"])
    return wm.Dispatcher(identity=identity(), trust=trust(), egress=egress, timeout=100)
