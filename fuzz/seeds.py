#!/usr/bin/env python3
"""The kept inputs of the fuzz targets: `fuzz/seeds/TARGET.txt`, one in base64 a line.

    fuzz/seeds.py unpack            writes them to fuzz/corpus/TARGET/, where cargo-fuzz looks
    fuzz/seeds.py pack [TARGET..]   keeps what cargo-fuzz has found (after `cargo fuzz cmin TARGET`), the shortest first:
                                    256 inputs of 2 KiB at most and 64 KiB in all for each target
"""
import base64
import hashlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SEEDS, CORPUS = HERE / "seeds", HERE / "corpus"
INPUTS, LONGEST, TOTAL = 256, 2048, 65536


def kept(target):
    file = SEEDS / f"{target}.txt"
    return [base64.b64decode(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []


def unpack(targets):
    for target in targets:
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for octets in kept(target):
            (folder / hashlib.sha1(octets).hexdigest()).write_bytes(octets)


def pack(targets):
    for target in targets:
        found = {file.read_bytes() for file in (CORPUS / target).glob("*") if file.is_file()}
        old = kept(target)
        chosen, size = [], 0
        for octets in old + sorted(found - set(old), key=lambda octets: (len(octets), octets)):
            if len(chosen) < INPUTS and len(octets) <= LONGEST and size + len(octets) <= TOTAL:
                chosen.append(octets)
                size += len(octets)
        lines = [base64.b64encode(octets).decode() for octets in chosen]
        (SEEDS / f"{target}.txt").write_text("".join(line + "\n" for line in lines))
        print(f"{target}: {len(chosen)} inputs, {size} octets")


def main():
    words = sys.argv[1:]
    targets = words[1:] or sorted(file.stem for file in (HERE / "fuzz_targets").glob("*.rs"))
    actions = {"unpack": unpack, "pack": pack}
    if not words or words[0] not in actions:
        sys.exit(__doc__)
    actions[words[0]](targets)


main()
