#!/usr/bin/env python3
"""A second opinion on ML-KEM in IKEv2 (RFC 9370, RFC 9242): usage: ml_kem_reference.py FILE

FILE is an exchange that tests/ml_kem_reference has recorded: datagrams, what the initiator drew, the session's token. Everything else
is computed here from the RFCs, with the ML-KEM of kyber-py, and X25519, AES-GCM and RSA of the Python package cryptography: both
AUTH payloads must come out as they were sent.
"""

import hmac
import json
import struct
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from kyber_py.ml_kem import ML_KEM_768

KE, ID_I, ID_R, CERT, AUTH, NONCE, SK, SKF = 34, 35, 36, 37, 39, 40, 46, 53
IKE_SA_INIT, IKE_AUTH, IKE_INTERMEDIATE = 34, 35, 43


def prf(key, data):
    return hmac.digest(key, data, "sha384")


def prf_plus(key, seed, length):
    out, block, count = b"", b"", 0
    while len(out) < length:
        count += 1
        block = prf(key, block + seed + bytes([count]))
        out += block
    return out[:length]


def chain(first, octets):
    """The payloads of a chain: type and body."""
    found = []
    while first:
        following, _, length = struct.unpack_from(">BBH", octets)
        found.append((first, octets[4:length], following))
        first, octets = (0 if first in (SK, SKF) else following), octets[length:]
    return found


def only(payloads, kind):
    (body,) = [body for found, body, _ in payloads if found == kind]
    return body


class Keys:
    """SK_* of AES-256-GCM with PRF_HMAC_SHA2_384."""

    def __init__(self, skeyseed, ends):
        octets = prf_plus(skeyseed, ends, 3 * 48 + 2 * 36)
        cut = [octets[a:b] for a, b in ((0, 48), (48, 84), (84, 120), (120, 168), (168, 216))]
        self.d, self.ei, self.er, self.pi, self.pr = cut


def opened(datagrams, keys):
    """The first payload's type and the chain of a message that came in these datagrams."""
    first, parts = None, {}
    for octets in datagrams:
        key = keys.ei if octets[19] & 0x08 else keys.er
        following = octets[28]
        at, number = (36, struct.unpack_from(">H", octets, 32)[0]) if octets[16] == SKF else (32, 1)
        plain = AESGCM(key[:32]).decrypt(key[32:] + octets[at : at + 8], octets[at + 8 :], octets[:at])
        parts[number] = plain[: len(plain) - 1 - plain[-1]]
        if number == 1:
            first = following
    return first, b"".join(parts[number] for number in sorted(parts))


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        record = json.load(file)
    drawn = [bytes.fromhex(octets) for octets in record["drawn"]]
    messages = {}
    for octets in map(bytes.fromhex, record["datagrams"]):
        messages.setdefault((octets[18], octets[19] & 0x20), []).append(octets)
    (request,), (response,) = messages[IKE_SA_INIT, 0], messages[IKE_SA_INIT, 0x20]
    asked, answered = (chain(octets[16], octets[28:]) for octets in (request, response))
    ni, nr = only(asked, NONCE), only(answered, NONCE)
    ends = ni + nr + response[:16]

    def is_ours(octets):
        public = X25519PrivateKey.from_private_bytes(octets).public_key()
        return public.public_bytes(Encoding.Raw, PublicFormat.Raw) == only(asked, KE)[4:]

    (private,) = [octets for octets in drawn if len(octets) == 32 and is_ours(octets)]
    theirs = X25519PublicKey.from_public_bytes(only(answered, KE)[4:])
    shared = X25519PrivateKey.from_private_bytes(private).exchange(theirs)
    before = Keys(prf(ni + nr, shared), ends)

    int_auth, exchanged = [], []
    for flag, key in ((0, before.pi), (0x20, before.pr)):
        datagrams = messages[IKE_INTERMEDIATE, flag]
        first, plain = opened(datagrams, before)
        header = bytearray(datagrams[0][:28])
        header[16] = SK
        header[24:] = struct.pack(">I", 32 + len(plain))
        around = bytes(header) + struct.pack(">BBH", first, 0, 4 + len(plain))
        int_auth.append(prf(key, around + plain))
        exchanged.append(only(chain(first, plain), KE))
        print(f"IKE_INTERMEDIATE: {len(datagrams)} fragments, {len(plain)} octets of payloads")
    public, ciphertext = exchanged
    assert public[:4] == ciphertext[:4] == b"\0\x24\0\0", "method 36"
    pairs = [ML_KEM_768.key_derive(octets) for octets in drawn if len(octets) == 64]
    (secret_key,) = [secret for found, secret in pairs if found == public[4:]]
    secret = ML_KEM_768.decaps(secret_key, ciphertext[4:])
    after = Keys(prf(before.d, secret + ni + nr), ends)

    auth_id = messages[IKE_AUTH, 0][0][20:24]
    end = b"".join(int_auth) + auth_id
    sent, got = (chain(*opened(messages[IKE_AUTH, flag], after)) for flag in (0, 0x20))
    octets = request + nr + prf(after.pi, only(sent, ID_I)) + end
    token = bytes.fromhex(record["token"])
    assert only(sent, AUTH) == b"\2\0\0\0" + prf(prf(token, b"Key Pad for IKEv2"), octets), "the initiator's AUTH"
    print(f"the initiator's AUTH is right, after IKE_INTERMEDIATE, in message {int.from_bytes(auth_id, 'big')}")

    octets = response + ni + prf(after.pr, only(got, ID_R)) + end
    proof = only(got, AUTH)
    assert proof[0] == 14, "RFC 7427"
    leaf = [body for kind, body, _ in got if kind == CERT][0]
    key = x509.load_der_x509_certificate(leaf[1:]).public_key()
    sha256 = hashes.SHA256()
    key.verify(proof[5 + proof[4] :], octets, padding.PSS(padding.MGF1(sha256), 32), sha256)
    print("the responder's signature is right")


main()
