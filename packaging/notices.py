#!/usr/bin/env python3
"""Prints the notices of the crates that are linked into the programs: name, version, licence and each licence file."""

import json
import subprocess
import sys
from pathlib import Path

TARGET = "x86_64-unknown-linux-gnu"


def linked(metadata: dict) -> set[str]:
    """The identities of the packages that the programs are made of: no tests, no build scripts, no macros."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    found: set[str] = set()
    left = [metadata["resolve"]["root"]]
    while left:
        package = left.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            targets = packages[dependency["pkg"]]["targets"]
            macro = any("proc-macro" in target["kind"] for target in targets)
            if normal and not macro:
                left.append(dependency["pkg"])
    found.discard(metadata["resolve"]["root"])
    return found


def main() -> None:
    """Once for each crate."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={TARGET}"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    wanted = linked(metadata)
    packages = sorted((p for p in metadata["packages"] if p["id"] in wanted), key=lambda p: (p["name"], p["version"]))
    texts: dict[str, str] = {}
    print("The programs of ikeep contain these crates, from https://crates.io.\n")
    for package in packages:
        print(f"== {package['name']} {package['version']}: {package['license'] or 'see below'}")
        folder = Path(package["manifest_path"]).parent
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT")):
                text = file.read_text(encoding="utf-8", errors="replace").strip()
                first = texts.setdefault(text, f"{package['name']}, {file.name}")
                own = first == f"{package['name']}, {file.name}"
                print(f"-- {file.name}\n{text}\n" if own else f"-- {file.name}: as that of {first}")
        print()


if __name__ == "__main__":
    sys.exit(main())
