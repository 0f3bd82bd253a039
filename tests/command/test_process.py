"""The command as a process: its signals, its streams and its exit codes."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import unittest

import tools


def window(columns: int, *arguments: str) -> str:
    """Runs the command at a terminal of this width. Returns what was shown."""
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.chdir(tools.FILES)
        environment = tools.environment(TERM="dumb")
        os.execve(tools.COMMAND, [str(tools.COMMAND), *arguments], environment)
    shown = read_until(terminal, None)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    return shown


def read_until(terminal: int, word: str | None) -> str:
    """Reads from a terminal until a word is shown, or to its end."""
    shown = ""
    while word is None or word not in shown:
        assert select.select([terminal], [], [], tools.LIMIT)[0], shown
        try:
            part = os.read(terminal, 4096).decode()
        except OSError:  # the terminal's other side has closed
            part = ""
        if not part:
            assert word is None, shown
            break
        shown += part
    return shown


class Signals(unittest.TestCase):
    def test_signals_end_it_as_they_end_any_program(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with tools.Receiver(tools.lab()) as receiver:
                receiver.process.send_signal(number)
                assert receiver.process.wait(tools.LIMIT) == -number, number

    def test_the_keys_of_a_terminal_end_it(self):
        place = tools.lab()
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(place)
            arguments = "listen --cert receiver.crt --key receiver.key --ca ca.pem".split()
            arguments += ["--address", "127.0.0.1:0"]
            environment = tools.environment(TERM="dumb")
            os.execve(tools.COMMAND, [str(tools.COMMAND), *arguments], environment)
        read_until(terminal, "accepted")
        os.write(terminal, b"\x03")
        shown = read_until(terminal, None)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGINT
        assert "Traceback" not in shown, shown


class Streams(unittest.TestCase):
    def test_the_width_is_that_of_the_window(self):
        widths = [
            max(len(line) for line in window(columns, "inspect", "--help").splitlines())
            for columns in (60, 110)
        ]
        assert widths[0] <= 60 < widths[1] <= 110, widths

    def test_it_reads_the_standard_input(self):
        certificate = (tools.FILES / "ca.pem").read_bytes()
        assert "CN=" in tools.done("inspect", "-", stdin=certificate)

    def test_the_shell_sees_where_a_pipe_was_closed(self):
        script = '"$0" inspect "$@" | head -n 1; echo "${PIPESTATUS[*]}"'
        # More than the buffer of a pipe holds.
        many = [str(tools.FILES / "chain.pem")] * 400
        done = subprocess.run(
            ["bash", "-c", script, str(tools.COMMAND), *many],
            capture_output=True,
            env=tools.environment(),
            timeout=tools.LIMIT,
            check=True,
        )
        assert done.stdout.decode().splitlines()[-1] == "141 0"
        assert done.stderr == b""


class Codes(unittest.TestCase):
    def test_the_version(self):
        assert tools.done("--version").split()[0] == "webhook-mtls"

    def test_each_fault_has_its_code(self):
        files = tools.FILES
        for code, arguments in [
            (2, ["inspect", "--jsn"]),
            (2, []),
            (3, ["inspect", files / "missing.pem"]),
            (3, ["inspect", "--as", "anchor", files / "server.pem"]),
            (4, ["inspect", "--strict", files / "expired.pem"]),
        ]:
            result = tools.run(*arguments)
            assert result.returncode == code, (arguments, result)

    def test_a_diagnosis_and_a_delivery_say_who_is_at_fault(self):
        place = tools.lab()
        tools.done("lab", "issue", place, "late", "--uri", "spiffe://lab.test/late", "--expired")
        with tools.Receiver(place) as receiver:
            url = f"https://localhost:{receiver.port}/"
            way = [url, "--ca", "ca.pem", "--allow", "127.0.0.0/8", "--allow", "::1/128", "--json"]

            def code(verb: str, who: str, *more: str) -> tuple[int, dict]:
                ours = ["--cert", f"{who}.crt", "--key", f"{who}.key"]
                result = tools.run(verb, *way, *ours, *more, cwd=place)
                return result.returncode, json.loads(result.stdout)

            done, report = code("diagnose", "sender")
            assert (done, report["report"]["ok"]) == (0, True), report
            done, report = code("diagnose", "late")
            assert (done, report["exit"]) == (3, 3), report
            pin = "sha256/" + "A" * 43 + "="
            done, report = code("diagnose", "sender", "--pin", pin)
            assert (done, report["exit"]) == (1, 1), report
            done, shown = code("deliver", "sender", "--data", "{}")
            assert (done, shown["receipt"]["status"]) == (0, 200), shown
            done, shown = code("deliver", "sender", "--data", "{}", "--pin", pin)
            assert (done, shown["error"]["kind"]) == (1, "pin_mismatch"), shown
