"""The command of docs/receive/README.md prints the configuration that the page shows below it."""

import re
import shlex
import subprocess
import unittest

import tools


class ReceivePage(unittest.TestCase):
    def test_the_command_prints_what_the_page_shows(self):
        page = (tools.ROOT / "docs" / "receive" / "README.md").read_text()
        [script] = re.findall(r"```sh\n(webhook-mtls .*?)```", page, re.DOTALL)
        [shown] = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
        words = shlex.split(script.replace("\\\n", ""))
        printed = subprocess.run(
            [tools.COMMAND, *words[1:]],
            env=tools.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=tools.LIMIT,
            check=False,
        )
        assert printed.returncode == 0, printed
        assert printed.stdout == shown, printed.stdout
