"""The man pages and the completions name every verb and option, and bash completes with them."""

import re
import subprocess
import unittest

import tools


def options(*verb: str) -> set[str]:
    """Returns the long options that the help of a verb lists."""
    shown = tools.done(*verb, "--help")
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", shown, re.MULTILINE))


def verbs() -> list[str]:
    listed = tools.done("--help").split("Commands:", 1)[1].split("Options:", 1)[0]
    return re.findall(r"^  ([\w-]+) ", listed, re.MULTILINE)


def completed(*words: str) -> list[str]:
    """Returns what bash offers for the last word."""
    script = """
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        function=$(complete -p webhook-mtls); function=${function##*-F }; function=${function%% *}
        "$function" webhook-mtls "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    made = tools.PAGES / "webhook-mtls.bash"
    done = subprocess.run(
        ["bash", "-c", script, "bash", made, *words],
        capture_output=True,
        check=False,
        timeout=tools.LIMIT,
    )
    assert done.stderr == b"", done.stderr
    return done.stdout.decode().split()


class Pages(unittest.TestCase):
    def test_every_verb_has_a_man_page_with_its_options(self):
        assert {"deliver", "diagnose", "inspect", "listen", "csr", "lab", "proxy-config"} <= set(
            verbs()
        )
        for verb in verbs():
            page = (tools.PAGES / f"webhook-mtls-{verb}.1").read_text().replace("\\-", "-")
            for option in options(verb):
                assert option in page, (verb, option)
        assert "Exit codes" in (tools.PAGES / "webhook-mtls.1").read_text()

    def test_bash_completes_verbs_and_options(self):
        assert completed("webhook-mtls", "ins") == ["inspect"]
        assert completed("webhook-mtls", "inspect", "--pass") == ["--passphrase-file"]
        assert completed("webhook-mtls", "lab", "rev") == ["revoke"]
        assert completed("webhook-mtls", "proxy-config", "--appl") == ["--application"]
        assert set(completed("webhook-mtls", "listen", "--")) >= options("listen")

    def test_the_other_shells_know_every_verb(self):
        for file in ("_webhook-mtls", "webhook-mtls.fish"):
            text = (tools.PAGES / file).read_text()
            for verb in verbs():
                assert verb in text, (file, verb)
