"""The scene of the tests of file rotation."""

from pathlib import Path

import webhook_mtls as wm
from webhook_mtls.testing import Authority, Consumer, Lab

OTHER_PIN = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


class Scene:
    """A dispatcher and a verifier that watch the files of a directory."""

    def __init__(self, lab: Lab, files: Path) -> None:
        self.lab, self.files = lab, files
        self.acme: Consumer = lab.consumer("acme")
        self.lay(files)
        self.dispatcher = lab.dispatcher(identity=self.identity(), trust=self.trust(), reload=0)
        self.endpoint = self.dispatcher.endpoint(
            "acme", self.acme.url, pins=wm.Pins.from_file(files / "pins")
        )

    def lay(self, into: Path) -> None:
        cert, key = self.lab.identity_pem
        texts = {
            "tls.crt": cert,
            "tls.key": key,
            "ca.pem": self.lab.trust_pem,
            "crl.pem": self.lab.authority.crl(),
            "pins": self.acme.pin.encode(),
        }
        for name, text in texts.items():
            (into / name).write_bytes(text)
        (into / "tls.key").chmod(0o600)

    def identity(self) -> wm.Identity:
        return wm.Identity.from_files(self.files / "tls.crt", self.files / "tls.key")

    def trust(self) -> wm.Trust:
        return wm.Trust.from_files(self.files / "ca.pem", crls=self.files / "crl.pem")

    def next(self) -> dict[str, bytes]:
        """Returns the new content of each file."""
        issued = self.lab.authority.issue("second")
        return {
            "tls.crt": issued.cert_pem,
            "tls.key": issued.key_pem,
            "ca.pem": self.lab.trust_pem + Authority("stranger").root_pem,
            "crl.pem": self.lab.authority.crl(),
            "pins": f"{self.acme.pin}\nnext {OTHER_PIN}\n".encode(),
        }

    def replace(self, name: str, text: bytes) -> None:
        """Writes beside the file and renames it into place."""
        (self.files / "beside").write_bytes(text)
        (self.files / "beside").chmod(0o600)
        (self.files / "beside").replace(self.files / name)

    def told(self) -> list[str]:
        return [event.name for event in self.dispatcher.reload()]

    def rotated(self) -> list[str]:
        events = self.dispatcher.reload()
        assert {event.name for event in events} <= {"rotated"}, events
        return sorted(event.fields["what"] for event in events)
