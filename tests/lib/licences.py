#!/usr/bin/env python3
"""Enforces deny.toml (licences, bans, sources) on the locked dependencies, with nothing but cargo and Python.

The same file serves `cargo deny`, which takes longer to build than the whole test run. Of deny.toml this reads
`licenses.allow`, `bans.deny`, `bans.wildcards`, `sources.allow-registry` and `graph.targets`.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def licence_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met by the allowed licences alone.

    `/` is the old spelling of OR; `X WITH Y` counts only if it stands in the list as such.
    """
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def either() -> bool:
        met = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = both() or met
        return met

    def both() -> bool:
        met = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = one() and met
        return met

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            met = either()
            tokens.pop(0)
            return met
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0)}"
        return token in allowed

    try:
        met = either()
    except IndexError:
        return False
    return met and not tokens


def self_test() -> None:
    """A check that lets everything pass would be worse than none."""
    allowed = {"MIT", "ISC"}
    good = ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR MIT", "(MIT OR X) AND ISC", "X WITH Y OR MIT"]
    bad = ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR X) AND Y", "MIT WITH exception", "", "(MIT", "MIT ISC"]
    for expression in good:
        assert licence_allowed(expression, allowed), expression
    for expression in bad:
        assert not licence_allowed(expression, allowed), expression


def locked_packages(targets: list[str]) -> dict[str, dict]:
    """All packages of the lock file that are built for one of the targets, by id."""
    packages = {}
    for target in targets:
        command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"]
        output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        packages |= {package["id"]: package for package in json.loads(output)["packages"]}
    return packages


def findings(rules: dict, packages: dict[str, dict]) -> list[str]:
    """What breaks the rules, a line each."""
    allowed = set(rules["licenses"]["allow"])
    registries = {f"registry+{address}" for address in rules["sources"]["allow-registry"]}
    banned = {entry["crate"]: entry.get("reason", "") for entry in rules["bans"]["deny"]}
    found = []
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if not licence_allowed(package["license"] or "", allowed):
            found.append(f"{name}: licence {package['license']!r} is not in deny.toml's list")
        if package["source"] is not None and package["source"] not in registries:
            found.append(f"{name}: comes from {package['source']}")
        if package["name"] in banned:
            found.append(f"{name}: banned ({banned[package['name']]})")
        if package["source"] is None and rules["bans"]["wildcards"] == "deny":
            for dependency in package["dependencies"]:
                if dependency["req"] == "*" and dependency["source"]:
                    found.append(f"{name}: depends on any version of {dependency['name']}")
    return found


def main() -> int:
    self_test()
    rules = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    packages = locked_packages(rules["graph"]["targets"])
    found = findings(rules, packages)
    for line in found:
        print(line, file=sys.stderr)
    print(f"{len(packages)} packages checked against deny.toml, {len(found)} findings")
    return 1 if found or len(packages) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
