"""Recomputes a resumed IKE SA (RFC 5723 5.1, RFC 7296 2.14, 2.15) from the old SK_d and the octets on the wire.

Standard input: JSON with old_sk_d, the transform IDs of the suite, the four messages (IKE_SESSION_RESUME and IKE_AUTH, without
the non-ESP marker) and the keys that the client logged. Exit code 0: everything is as recomputed. The AUTH payloads are decrypted by
tshark, with the keys of this program.
"""

import hmac
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

PRF = {5: ("sha256", 32), 6: ("sha384", 48), 7: ("sha512", 64)}
INTEG = {12: 32, 13: 48, 14: 64}
# Names of Wireshark's ikev2_decryption_table.
ENCR_NAME = {(12, 256): "AES-CBC-256 [RFC3602]", (20, 256): "AES-GCM-256 with 16 octet ICV [RFC5282]"}
INTEG_NAME = {None: "NONE [RFC4306]", 14: "HMAC_SHA2_512_256 [RFC4868]"}

case = json.load(sys.stdin)
digest, prf_len = PRF[case["prf"]]
messages = [(client, bytes.fromhex(text)) for client, text in case["messages"]]
(_, request), (_, response), _, _ = messages


def prf(key, data):
    return hmac.new(key, data, digest).digest()


def prf_plus(key, seed, length):
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = prf(key, block + seed + bytes([n]))
        out += block
        n += 1
    return out[:length]


def payloads(message):
    """Type and content of each payload of an unencrypted message."""
    kind, at = message[16], 28
    while kind:
        following, _, length = struct.unpack_from("!BBH", message, at)
        yield kind, message[at + 4 : at + length]
        kind, at = following, at + length


def nonce(message):
    return next(content for kind, content in payloads(message) if kind == 40)


def check(what, is_so):
    if not is_so:
        sys.exit(f"not as recomputed: {what}")


check("exchange types", [m[18] for _, m in messages] == [38, 38, 35, 35])
check("message IDs", [m[20:24] for _, m in messages] == [bytes(4)] * 2 + [bytes([0, 0, 0, 1])] * 2)
check("no SA and no KE payload in the clear", not {33, 34} & {k for m in (request, response) for k, _ in payloads(m)})

ni, nr = nonce(request), nonce(response)
skeyseed = prf(bytes.fromhex(case["old_sk_d"]), b"Resumption" + ni + nr)
encr, bits = case["encr"]
encr_len = bits // 8 + (4 if encr == 20 else 0)
integ_len = INTEG.get(case["integ"], 0)
lengths = [prf_len, integ_len, integ_len, encr_len, encr_len, prf_len, prf_len]
keymat = prf_plus(skeyseed, ni + nr + response[:8] + response[8:16], sum(lengths))
keys = []
for length in lengths:
    keys.append(keymat[:length])
    keymat = keymat[length:]
check("the seven keys", [key.hex() for key in keys] == case["keys"])
_, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr = keys

if not shutil.which("tshark"):
    print("the seven keys are right; left out: the AUTH payloads (tshark is not installed)")
    sys.exit(0)


def frame(client, message):
    """Ethernet, IPv4, UDP; port 500 carries IKE without a marker."""
    udp = struct.pack("!HHHH", 500, 500, 8 + len(message), 0) + message
    ends = [bytes([10, 9, 0, 2]), bytes([10, 9, 0, 1])]
    source, target = ends if client else ends[::-1]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + target
    return bytes(12) + b"\x08\x00" + ip + udp


with tempfile.TemporaryDirectory(prefix="ikeep-resume-") as folder:
    capture = os.path.join(folder, "capture.pcap")
    with open(capture, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, (client, message) in enumerate(messages):
            octets = frame(client, message)
            file.write(struct.pack("<IIII", number, 0, len(octets), len(octets)) + octets)
    row = [response[:8], response[8:16], sk_ei, sk_er]
    row = [part.hex() for part in row] + [f'"{ENCR_NAME[encr, bits]}"', sk_ai.hex(), sk_ar.hex()]
    with open(os.path.join(folder, "ikev2_decryption_table"), "w") as file:
        file.write(",".join(row + [f'"{INTEG_NAME[case["integ"]]}"']) + "\n")
    command = ["tshark", "-r", capture, "-T", "json", "-x", "--no-duplicate-keys", "-Y", "isakmp"]
    env = dict(os.environ, WIRESHARK_CONFIG_DIR=folder, HOME=folder)
    shown = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    frames = json.loads(shown.stdout)


def find(tree, name):
    """The octets of the first field of this name, however deep."""
    if isinstance(tree, list):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        return None
    if name + "_raw" in tree:
        raw = tree[name + "_raw"]
        return bytes.fromhex(raw[0] if isinstance(raw[0], str) else raw[0][0])
    return next((found for found in map(lambda key: find(tree[key], name), tree) if found is not None), None)


def malformed(tree):
    return "_ws.malformed" in json.dumps(tree)


check("four frames, none malformed", len(frames) == 4 and not malformed(frames))
sides = [("the client's", 2, request, nr, sk_pi), ("the gateway's", 3, response, ni, sk_pr)]
for whose, at, message, peer_nonce, sk_p in sides:
    said, method, kind, name = (find(frames[at], f"isakmp.{field}") for field in ("auth.data", "auth.method", "id.type", "id.data"))
    check(f"tshark decrypts {whose} IKE_AUTH", said is not None and name is not None)
    rest_of_id = kind + bytes(3) + name
    expected = prf(sk_p, message + peer_nonce + prf(sk_p, rest_of_id))
    check(f"{whose} AUTH method", method == b"\x02")
    check(f"{whose} AUTH", said == expected)
print("the seven keys are right, tshark decrypts with them, and so are both AUTH payloads")
