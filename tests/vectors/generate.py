#!/usr/bin/env python3
"""Writes the six files of cases (config.json and so on) beside this file.

    python3 -m venv /tmp/vectors && /tmp/vectors/bin/pip install 'cryptography>=48'
    /tmp/vectors/bin/python tests/vectors/generate.py            # writes
    /tmp/vectors/bin/python tests/vectors/generate.py --check    # fails if a file would change

Needs Python 3.11 or later. The output is committed and always has equal bytes. forge.py describes
how keys and signatures are made; README.md describes the format.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import forwarded_cases
import path_cases
import signatures
import trust_cases

import circuit_cases
import config_cases
import deliver_cases
import header_cases
import revocation_cases
import verify_cases
import webhook_cases

HERE = Path(__file__).resolve().parent
LEAST = {
    "config": 70,
    "verify": 110,
    "deliver": 36,
    "circuit": 30,
    "forwarded": 400,
    "webhook": 120,
}


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    stale = []
    for name, content in files().items():
        cases = content["cases"]
        twice = [
            case for case, times in Counter(each["name"] for each in cases).items() if times > 1
        ]
        assert not twice, f"{name}: names used twice: {twice}"
        assert len(cases) >= LEAST[name], f"{name}: only {len(cases)} cases"
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        path = HERE / f"{name}.json"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {len(cases)} cases, {len(text.encode()) // 1024} KiB")
    if signatures.is_stale():
        stale.append(signatures.FILE.name)
        if not check:
            signatures.write()
    if check and stale:
        sys.exit(f"differs from what the generator writes: {', '.join(stale)}")


def files():
    return {
        "config": {
            "fixtures": config_cases.fixtures(),
            "cases": [*config_cases.cases(), *header_cases.config_cases()],
        },
        "verify": {
            "cases": verify_cases.cases()
            + path_cases.cases()
            + revocation_cases.cases()
            + trust_cases.cases()
            + list(header_cases.verify_cases())
        },
        "deliver": {"cases": deliver_cases.cases()},
        "circuit": {"cases": circuit_cases.cases()},
        "forwarded": {
            "fixtures": forwarded_cases.fixtures(),
            "cases": forwarded_cases.cases(),
        },
        "webhook": {"fixtures": webhook_cases.fixtures(), "cases": webhook_cases.cases()},
    }


if __name__ == "__main__":
    main()
