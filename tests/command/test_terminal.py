"""The command at a terminal, and where none is."""

import os
import pty
import select
import signal
import subprocess
import unittest
from pathlib import Path

import tools


def at_terminal(*arguments, typed: bytes = b"", **variables: str) -> tuple[int, str]:
    """Runs the command at a terminal of its own. Returns its exit code and what was shown."""
    environment = tools.environment(**{"TERM": "xterm", **variables})
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tools.FILES)
        os.execve(tools.COMMAND, [str(tools.COMMAND), *arguments], environment)
    shown = b""
    while True:
        if not select.select([terminal], [], [], tools.LIMIT)[0]:
            os.kill(child, signal.SIGKILL)
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the terminal's other side has closed
            break
        if not part:
            break
        shown += part
        if typed and b"Passphrase of" in shown and shown.rstrip().endswith(b":"):
            os.write(terminal, typed)
            typed = b""
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


class Terminals(unittest.TestCase):
    def test_colors_only_at_a_terminal_and_never_under_no_color(self):
        assert "\x1b[32m✓ ok\x1b[0m" in at_terminal("inspect", "ca.pem")[1]
        for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            assert "\x1b" not in at_terminal("inspect", "ca.pem", **variables)[1]
        assert b"\x1b" not in tools.run("inspect", tools.FILES / "ca.pem").stdout

    def test_the_width_is_that_of_columns(self):
        for columns in (60, 80, 120):
            env = tools.environment(COLUMNS=str(columns))
            shown = tools.run("inspect", "--as", "server", "weak.pem", cwd=tools.FILES, env=env)
            lines = shown.stdout.decode().splitlines()
            words = [line for line in lines if "sha256/" not in line and "fingerprint" not in line]
            assert max(map(len, words)) <= columns
            assert max(map(len, words)) > columns - 25

    def test_a_passphrase_is_asked_for_and_not_shown(self):
        code, shown = at_terminal("inspect", "client.p12", typed=b"correct horse\n")
        assert code == 0, shown
        assert "Passphrase of client.p12:" in shown
        assert "CN=webhook-sender" in shown
        assert "horse" not in shown
        code, shown = at_terminal("inspect", "client.p12", typed=b"wrong\n")
        assert code == 3, shown

    def fleet(self, more: str = "") -> Path:
        """Writes a fleet of forty endpoints, whose address the policy denies, and more."""
        row = '[[endpoint]]\nconsumer = "acme {}"\nurl = "https://127.0.0.1:9/"\n'
        defaults = '[defaults]\ncert = "chain.pem"\nkey = "client.key"\nca = "ca.pem"\n'
        fleet = tools.directory() / "fleet.toml"
        fleet.write_text(defaults + "".join(row.format(number) for number in range(40)) + more)
        return fleet

    def test_a_fleet_shows_its_progress_and_removes_it(self):
        fleet = self.fleet()
        for verb in ("check", "diagnose"):
            code, shown = at_terminal(verb, "--config", str(fleet))
            assert code == 3, shown
            for count in (1, 20, 40):
                assert f"\r{count} of 40 endpoints" in shown, shown
            before, _, after = shown.rpartition("40 of 40 endpoints")
            assert before and after.startswith("\r" + " " * len("40 of 40 endpoints") + "\r"), shown
            silent = tools.run(verb, "--config", fleet, cwd=tools.FILES)
            assert silent.returncode == 3 and silent.stderr == b"", silent.stderr
            assert b"of 40 endpoints\r" not in silent.stdout

    def test_a_failure_removes_the_progress_of_a_fleet(self):
        bad = '[[endpoint]]\nconsumer = "bad"\nurl = "https://127.0.0.1:9/"\npin = ["x"]\n'
        fleet = self.fleet(bad)
        for verb in ("check", "diagnose"):
            code, shown = at_terminal(verb, "--config", str(fleet))
            assert code == 2, shown
            before, _, after = shown.rpartition(" of 41 endpoints")
            progress = before.rpartition("\r")[2] + " of 41 endpoints"
            assert after.startswith("\r" + " " * len(progress) + "\r"), shown
            assert "--pin" in after, shown

    def test_nobody_is_asked_where_no_terminal_is(self):
        result = tools.run("inspect", tools.FILES / "client.p12")
        assert result.returncode == 3
        assert b"--passphrase-file" in result.stdout

    def test_a_closed_pipe_ends_it_quietly(self):
        many = [str(tools.FILES / "chain.pem")] * 400
        process = subprocess.Popen(
            [str(tools.COMMAND), "inspect", *many], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(tools.LIMIT) == 141
        assert process.stderr.read() == b""
        process.stderr.close()
