"""The commands of docs/start.md, as a newcomer enters them."""

import re
import subprocess
import unittest

import tools


def block(name: str) -> str:
    """Returns the commands of the page below `<!-- test: NAME -->`."""
    page = (tools.ROOT / "docs" / "start.md").read_text()
    found = re.search(rf"^<!-- test: {name} -->\n```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/start.md has no commands named {name}"
    return found[1]


class Start(unittest.TestCase):
    def setUp(self):
        self.place = tools.directory()
        programs = self.place / "bin"
        programs.mkdir()
        (programs / "webhook-mtls").symlink_to(tools.COMMAND)
        path = f"{programs}:{tools.environment()['PATH']}"
        self.environment = tools.environment() | {"PATH": path}

    def shell(self, script: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-euc", script],
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=tools.LIMIT,
            check=False,
        )

    def receiver(self) -> subprocess.Popen:
        """Starts the receiver of the page, but on a free port."""
        process = subprocess.Popen(
            ["bash", "-euc", f"exec {block('receiver').strip()} --address 127.0.0.1:0"],
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def test_the_page_from_top_to_bottom(self):
        made = self.shell(block("certificates"))
        assert made.returncode == 0, made

        shown = self.receiver().stdout
        url = next(line.split()[-1] for line in shown if line.startswith("Listening"))
        pin = next(line.split()[-1] for line in shown if line.startswith("our pin"))
        variables = block("variables").replace("https://127.0.0.1:8443/", url)
        variables = variables.replace("sha256/…", pin)
        assert pin in variables and url in variables, variables

        delivered = self.shell(variables + block("deliver"))
        assert delivered.returncode == 0, delivered
        assert any("spiffe://lab.test/tenant/me" in line for line in shown)

        refused = self.shell(variables + block("refusal"))
        assert refused.returncode == 1, refused
        assert pin in refused.stdout and "nothing" in refused.stdout, refused.stdout

        diagnosed = self.shell(variables + block("diagnose"))
        assert diagnosed.returncode == 0, diagnosed.stdout
