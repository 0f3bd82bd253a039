"""A program that follows a SPIFFE Workload API while it delivers."""

import json
import subprocess
from pathlib import Path

import tools


class Workload(tools.Running):
    """A program that delivers every 100 ms."""

    def __init__(self, language: str, url: str, socket: Path, server_uri: str, **more: str):
        self.language = language
        self.failed: list[dict] = []
        self.outcomes: list[str] = []
        self.files = tools.directory()
        self.rotated: list[str] = []
        self.left: list[str] | None = None
        self.unknown = ""
        env = {
            "SPIFFE_ENDPOINT_SOCKET": f"unix:{socket}",
            "TMPDIR": str(self.files),
            "WMTLS_URL": url,
            "WMTLS_SERVER_URI": server_uri,
        }
        call = tools.WORKLOADS[language]
        super().__init__(call, self.files, tools.environment(**env, **more), stdin=subprocess.PIPE)

    def heard(self, line: str) -> None:
        # Others are of gRPC, or of a program that cannot go on.
        said = json.loads(line) if line.startswith("{") else {}
        if "failed" in said:
            self.failed.append(said["failed"])
            self.outcomes.append(said["failed"]["kind"])
        if "delivered" in said:
            self.outcomes.append("delivered")
        if said.get("event", {}).get("name") == "rotated":
            self.rotated.append(json.dumps(said["event"]))
        self.unknown = said.get("unknown", self.unknown)
        self.left = said.get("left", self.left)

    def wait_for_outcome(self, kind: str) -> None:
        """Waits for a later delivery that ends so."""
        known = len(self.outcomes)
        self.wait_for(lambda: kind in self.outcomes[known:])

    def wait_for_rotation(self, file: str) -> None:
        """Waits until the dispatcher has used a new content of this file."""
        self.wait_for(lambda: any(file in event for event in self.rotated))

    def finish(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(tools.LIMIT) == 0, self.lines[-5:]
        self.reader.join()

    def stop(self) -> None:
        self.process.stdin.close()
        super().stop()
