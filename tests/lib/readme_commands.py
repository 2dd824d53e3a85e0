#!/usr/bin/env python3
"""Prints the commands of a Markdown file's marked code blocks, one a line: those opened by ```sh tested.

Comments and a leading `$ ` are left out; a trailing backslash joins lines.
"""

import re
import sys
from pathlib import Path


def commands(text: str) -> list[str]:
    """The commands in order."""
    found = []
    for block in re.findall(r"^```sh tested\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s)#.*$", "", line).strip().removeprefix("$ ")
            if command:
                found.append(command)
    return found


if __name__ == "__main__":
    print("\n".join(commands(Path(sys.argv[1]).read_text(encoding="utf-8"))))
