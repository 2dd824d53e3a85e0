#!/usr/bin/env python3
"""peers.py DOC LOG: the table of docs/interop.md with what this run has seen. Each row names the test that shows it; a test
that is named and not there, or that failed, is an error. LOG is what cargo's test runners said."""
import re
import sys

document, log = sys.argv[1:]
rows = []
for line in open(document, encoding="utf-8"):
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if len(cells) == 3 and (test := re.fullmatch(r"`(\w+)(?:::(\S+))?`", cells[2])):
        rows.append((cells[0], cells[1], test[1], test[2]))

results, program, missing = {}, None, set()
for line in open(log, encoding="utf-8", errors="replace"):
    if run := re.search(r"Running (?:unittests|tests/([\w-]+?))(?:/main)?(?:\.rs| src/)", line):
        program = run[1] or "ikeep"
    # Several tests say things at once: what a test says may stand before its verdict on the line.
    for name, verdict in re.findall(r"test (\S+) \.\.\. (ok|FAILED|ignored)", line):
        results[(program, name)] = verdict
    # A test that leaves itself out says so by its last name; its verdict is "ok".
    if out := re.search(r"left out: (\w+)", line):
        missing.add((program, out[1]))

wrong = False
words = {"ok": "seen", "ignored": "left out", None: "NOT THERE"}
print(f"{'peer':38} {'this run':9} what")
for peer, what, program, name in rows:
    verdict = results.get((program, name))
    if verdict == "ok" and (program, name.split("::")[-1]) in missing:
        verdict = "ignored"
    wrong |= verdict not in ("ok", "ignored")
    print(f"{peer:38} {words.get(verdict, verdict):9} {what}")
if not rows:
    sys.exit(f"no row of {document} names a test")
sys.exit(1 if wrong else 0)
