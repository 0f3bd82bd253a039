"""The command `webhook-mtls` of the package. `tests/command` tests what it does."""

import subprocess
import sys

import webhook_mtls as wm


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a process of this interpreter to its end."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_module_runs_it() -> None:
    result = ran("-m", "webhook_mtls", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"webhook-mtls {wm.__version__}\n"
    assert ran("-m", "webhook_mtls", "inspect", "--jsn").returncode == 2
    assert ran("-m", "webhook_mtls", "inspect", "/nowhere/tls.crt").returncode == 3


def test_a_name_that_is_no_text_reaches_it() -> None:
    # In Python, such a byte of an argument is a lone surrogate.
    result = ran("-m", "webhook_mtls", "inspect", b"\xff.pem".decode(errors="surrogateescape"))
    assert result.returncode == 2, result
    assert "UTF-8" in result.stderr, result


def test_an_import_changes_no_signal_and_only_the_command_does() -> None:
    source = """
import signal
before = {number: signal.getsignal(number) for number in signal.valid_signals()}
import webhook_mtls, webhook_mtls._cli
assert before == {number: signal.getsignal(number) for number in signal.valid_signals()}
assert "command" not in " ".join(dir(webhook_mtls))
webhook_mtls._cli.sys.argv[1:] = ["--version"]
assert webhook_mtls._cli.main() == 0
assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
"""
    result = ran("-c", source)
    assert (result.returncode, result.stderr) == (0, "")
