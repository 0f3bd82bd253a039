"""Checks what wheels and source distributions contain.

python contents.py 0.1.0 webhook_mtls-….whl webhook_mtls_testing-….whl webhook_mtls-….tar.gz …
"""

import json
import re
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

LICENSES = ["LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY-NOTICES.txt"]
MODULES = {"webhook_mtls": "_native", "webhook_mtls_testing": "_kit"}
URLS = {"webhook_mtls": 5, "webhook_mtls_testing": 3}
EXTRAS = {
    "celery",
    "dramatiq",
    "fastapi",
    "gunicorn",
    "hypercorn",
    "opentelemetry",
    "pkcs11",
    "prometheus",
    "spiffe",
    "testing",
    "uvicorn",
}

# A word of the testing kit: the name of its thread.
KIT = b"webhook-mtls-lab"

# A word of the command: one of its variables.
COMMAND = b"WEBHOOK_MTLS_PASSPHRASE"

# Paths of a build machine.
PRIVATE = [b"/.cargo/registry", b"/root/", b"/home/", b"/rustup/"]


def check_wheel(path: Path, version: str) -> int:
    """Checks a wheel; returns the number of checks."""
    name = path.name.split("-")[0]
    assert re.fullmatch(rf"{name}-{version}-cp311-abi3-\w+[\w.]*\.whl", path.name), path.name
    with zipfile.ZipFile(path) as wheel:
        assert wheel.testzip() is None
        names = wheel.namelist()
        info = f"{name}-{version}.dist-info"
        for license_file in LICENSES:
            assert f"{info}/licenses/{license_file}" in names, (license_file, names)
        notices = wheel.read(f"{info}/licenses/THIRD-PARTY-NOTICES.txt").decode()
        assert "aws-lc-sys" in notices
        # The command makes certificates with this crate, as the kit does.
        assert "rcgen" in notices
        assert ("clap_builder" in notices) == (name == "webhook_mtls")
        stub = f"{name}/{MODULES[name]}.pyi"
        for needed in (f"{name}/py.typed", stub, f"{name}/__init__.py"):
            assert needed in names, (needed, names)
        assert not [n for n in names if "test_" in n or "__pycache__" in n], names
        check_bills(wheel, info, version)
        library = wheel.read(f"{name}/{MODULES[name]}.abi3.so")
        assert (KIT in library) == (name == "webhook_mtls_testing")
        assert (COMMAND in library) == (name == "webhook_mtls")
        check_entry_points(wheel, info, name)
        page = f"{name}/docs/errors/pin_mismatch.md"
        assert (page in wheel.namelist()) == (name == "webhook_mtls")
        for private in PRIVATE:
            assert private not in library, library[library.index(private) - 80 :][:160]
        check_metadata(wheel.read(f"{info}/METADATA").decode(), name, version)
    return 6


def check_entry_points(wheel: zipfile.ZipFile, info: str, name: str) -> None:
    """Checks that the package installs the command, and the kit nothing."""
    path = f"{info}/entry_points.txt"
    if name == "webhook_mtls":
        lines = wheel.read(path).decode().split("\n")
        assert "webhook-mtls=webhook_mtls._cli:main" in [line.replace(" ", "") for line in lines]
    else:
        assert path not in wheel.namelist()


def check_bills(wheel: zipfile.ZipFile, info: str, version: str) -> None:
    """Checks the bills of materials: CycloneDX, with the core and its cryptographic library."""
    bills = [n for n in wheel.namelist() if n.startswith(f"{info}/sboms/")]
    assert bills, wheel.namelist()
    for bill in bills:
        text = wheel.read(bill).decode()
        for private in PRIVATE:
            assert private.decode() not in text, (bill, private)
        content = json.loads(text)
        assert content["bomFormat"] == "CycloneDX", bill
        components = {one["name"]: one["version"] for one in content["components"]}
        assert components["webhook-mtls"] == version, components
        assert "aws-lc-sys" in components, components


def check_metadata(text: str, name: str, version: str) -> None:
    """Checks the metadata that PyPI shows."""
    metadata = message_from_string(text)
    assert metadata["Name"].replace("-", "_") == name
    assert metadata["Version"] == version
    assert metadata["License-Expression"] == "Apache-2.0 OR MIT"
    assert sorted(metadata.get_all("License-File", [])) == LICENSES
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    assert len(metadata.get_all("Project-URL", [])) == URLS[name]
    assert len(metadata.get_all("Classifier", [])) >= 10
    needs = metadata.get_all("Requires-Dist", [])
    if name == "webhook_mtls":
        assert f"webhook-mtls-testing=={version} ; extra == 'testing'" in needs, needs
        assert all("; extra ==" in need for need in needs), needs
        assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS
    else:
        assert needs == [f"webhook-mtls=={version}"], needs
    assert "](docs/" not in metadata.get_payload(), "a relative link does not work on PyPI"


def check_source(path: Path, version: str) -> int:
    """Checks a source distribution; returns the number of checks."""
    name = path.name.split("-")[0]
    with tarfile.open(path) as archive:
        names = [member.name.removeprefix(f"{name}-{version}/") for member in archive]
        for needed in ["Cargo.lock", "Cargo.toml", "pyproject.toml", "PKG-INFO", *LICENSES]:
            assert needed in names, (needed, names)
        lock = archive.extractfile(f"{name}-{version}/Cargo.lock")
        assert lock is not None
        # The lock file has the crates of this distribution alone, so that `--locked` accepts it.
        text = lock.read().decode()
        assert 'name = "pyo3"' in text
        assert 'name = "napi"' not in text
    return 3


if __name__ == "__main__":
    passed = 0
    for given in sys.argv[2:]:
        check = check_wheel if given.endswith(".whl") else check_source
        passed += check(Path(given), sys.argv[1])
    print(f"{passed} passed, 0 failed")
