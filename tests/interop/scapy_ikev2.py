#!/usr/bin/env python3
"""scapy's IKEv2 layer as a second codec, for src/ike/message/scapy_tests.rs. Prints a JSON value a line.

decode            messages in hexadecimal on stdin, as scapy reads them
build SEED COUNT  messages that scapy builds, with what was meant

A payload that scapy cannot tell is {"type": .., "left": WHY}.
"""
import ipaddress
import json
import logging
import random
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.contrib import ikev2  # noqa: E402
from scapy.packet import NoPayload, Packet, Raw  # noqa: E402


def octets(value):
    """A field as it was on the wire: scapy tells addresses as text, and structures as packets."""
    if value is None:
        return b""
    if isinstance(value, str):
        return ipaddress.ip_address(value).packed
    if isinstance(value, Packet):
        return value.original or bytes(value)
    return bytes(value)


def chain(packet):
    while packet is not None and not isinstance(packet, NoPayload):
        yield packet
        packet = packet.payload


def transform(layer):
    attribute = getattr(layer, "key_length", None)
    bits = attribute if isinstance(attribute, int) else None
    return [layer.transform_type, layer.transform_id, bits]


def proposal(layer):
    transforms = [transform(t) for t in chain(layer.trans)] if layer.trans else []
    return [layer.proposal, layer.proto, octets(layer.SPI).hex(), transforms]


def selector(layer):
    if hasattr(layer, "load"):
        layer = layer.load
    for family in "v4", "v6":
        if hasattr(layer, "starting_address_" + family):
            ends = [str(ipaddress.ip_address(layer.getfieldval(end + family)))
                    for end in ("starting_address_", "ending_address_")]
            return [layer.IP_protocol_ID, layer.start_port, layer.end_port, *ends]
    raise ValueError("a selector of another type")


def payload(kind, p):
    told = {"type": kind}
    name = type(p).__name__
    if kind == 33:
        told["proposals"] = [proposal(x) for x in chain(p.prop)]
    elif kind == 34:
        told.update(group=p.group, data=octets(p.ke).hex())
    elif kind in (35, 36):
        told.update(kind=p.IDtype, data=octets(p.ID).hex())
    elif kind == 37:
        told.update(kind=p.cert_encoding, data=octets(p.cert_data).hex())
    elif kind == 38:
        told.update(kind=p.cert_encoding, data=octets(p.cert_authority).hex())
    elif kind == 39:
        told.update(kind=p.auth_type, data=octets(p.load).hex())
    elif kind == 40:
        told.update(data=octets(p.nonce).hex())
    elif kind == 41:
        if p.type in (16406, 16407, 16408):
            # REDIRECT and its kin: scapy takes the data apart.
            return {"type": kind, "left": "redirect"}
        told.update(protocol=p.proto, spi=octets(p.SPI).hex(), kind=p.type, data=octets(p.notify).hex())
    elif kind == 42:
        told.update(protocol=p.proto, spis=[octets(s).hex() if not isinstance(s, int) else f"{s:08x}" for s in p.SPI])
    elif kind == 43:
        told.update(data=octets(p.vendorID).hex())
    elif kind in (44, 45):
        told["selectors"] = [selector(x) for x in p.traffic_selector]
    elif kind == 47:
        told.update(kind=p.CFGType, attributes=[[a.type & 0x7FFF, octets(a.value).hex()] for a in p.attributes])
    else:
        told.update(data=octets(p.load).hex())
    return told


def message(octets_of_it):
    m = ikev2.IKEv2(octets_of_it)
    told = {"spi_i": octets(m.init_SPI).hex(), "spi_r": octets(m.resp_SPI).hex(), "exchange": m.exch_type,
            "flags": int(m.flags), "id": m.id, "payloads": []}
    kind = m.next_payload
    for layer in chain(m.payload):
        if isinstance(layer, Raw):
            told["payloads"].append({"type": kind, "raw": layer.load.hex()})
            break
        try:
            told["payloads"].append(payload(kind, layer))
        except (AttributeError, TypeError, ValueError) as why:
            told["payloads"].append({"type": kind, "error": f"{type(layer).__name__}: {why}"})
        kind = layer.next_payload
    return told


def build(dice):
    """A message, and what it means."""
    some = lambda low, high: dice.randbytes(dice.randint(low, high))  # noqa: E731
    address = lambda family: sorted(dice.getrandbits(32 if family == 4 else 128) for _ in range(2))  # noqa: E731
    layers, meant = [], []

    def add(which, layer, **fields):
        layers.append(layer)
        meant.append({"type": which, **fields})

    def a_proposal(number, last):
        spi = dice.choice([b"", dice.randbytes(4), dice.randbytes(8)])
        proto = {4: 3}.get(len(spi), 1)
        kinds = [(dice.randint(1, 5), dice.randint(0, 40), dice.choice([None, 128, 256])) for _ in range(dice.randint(1, 5))]
        transforms = None
        for at, (kind, id, bits) in reversed(list(enumerate(kinds))):
            more = {} if bits is None else {"key_length": bits, "length": 12}
            t = ikev2.IKEv2_Transform(next_payload=0 if at == len(kinds) - 1 else 3, transform_type=kind, transform_id=id, **more)
            transforms = t if transforms is None else t / transforms
        layer = ikev2.IKEv2_Proposal(next_payload=0 if last else 2, proposal=number, proto=proto, SPI=spi,
                                     trans_nb=len(kinds), trans=transforms)
        return layer, [number, proto, spi.hex(), [list(k) for k in kinds]]

    for _ in range(dice.randint(1, 6)):
        kind = dice.choice([33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 47, 48])
        if kind not in (37, 38, 41, 42, 43) and any(one["type"] == kind for one in meant):
            continue  # a message has one of it at most
        data, number = some(4, 60), dice.randint(6, 200)
        if kind == 33:
            pairs = [a_proposal(n + 1, n == 1) for n in range(2)]
            add(kind, ikev2.IKEv2_SA(prop=pairs[0][0] / pairs[1][0]), proposals=[pairs[0][1], pairs[1][1]])
        elif kind == 34:
            add(kind, ikev2.IKEv2_KE(group=number, ke=data), group=number, data=data.hex())
        elif kind in (35, 36):
            layer = ikev2.IKEv2_IDi if kind == 35 else ikev2.IKEv2_IDr
            add(kind, layer(IDtype=11, ID=data), kind=11, data=data.hex())
        elif kind == 37:
            add(kind, ikev2.IKEv2_CERT(cert_encoding=12, cert_data=data), kind=12, data=data.hex())
        elif kind == 38:
            add(kind, ikev2.IKEv2_CERTREQ(cert_encoding=4, cert_authority=data), kind=4, data=data.hex())
        elif kind == 39:
            add(kind, ikev2.IKEv2_AUTH(auth_type=number, load=data), kind=number, data=data.hex())
        elif kind == 40:
            data = some(16, 256)
            add(kind, ikev2.IKEv2_Nonce(nonce=data), data=data.hex())
        elif kind == 41:
            spi, type_ = dice.choice([b"", dice.randbytes(4)]), dice.randint(16384, 16400)
            add(kind, ikev2.IKEv2_Notify(proto=3, SPI=spi, type=type_, notify=data), protocol=3, spi=spi.hex(), kind=type_, data=data.hex())
        elif kind == 42:
            spis = [dice.randbytes(4) for _ in range(dice.randint(1, 5))]
            add(kind, ikev2.IKEv2_Delete(proto=3, SPIsize=4, SPInum=len(spis), SPI=spis), protocol=3, spis=[s.hex() for s in spis])
        elif kind == 43:
            add(kind, ikev2.IKEv2_VendorID(vendorID=data), data=data.hex())
        elif kind in (44, 45):
            list_, told = [], []
            for _ in range(dice.randint(1, 4)):
                family, ports = dice.choice([4, 6]), sorted(dice.randint(0, 65535) for _ in range(2))
                of = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
                low, high = (str(of(a)) for a in address(family))
                names = {f"starting_address_v{family}": low, f"ending_address_v{family}": high}
                make = ikev2.IPv4TrafficSelector if family == 4 else ikev2.IPv6TrafficSelector
                list_.append(make(IP_protocol_ID=17, length=16 if family == 4 else 40, start_port=ports[0], end_port=ports[1], **names))
                told.append([17, *ports, low, high])
            layer = ikev2.IKEv2_TSi if kind == 44 else ikev2.IKEv2_TSr
            add(kind, layer(traffic_selector=list_), selectors=told)
        elif kind == 47:
            values = [(dice.randint(28672, 28735), some(0, 30)) for _ in range(dice.randint(1, 5))]
            attributes = [ikev2.ConfigurationAttribute(type=t, value=v) for t, v in values]
            add(kind, ikev2.IKEv2_CP(CFGType=2, attributes=attributes), kind=2, attributes=[[t, v.hex()] for t, v in values])
        else:
            data = bytes([1, 2]) + (len(data) + 4).to_bytes(2, "big") + data
            add(kind, ikev2.IKEv2_EAP(load=data), data=data.hex())
    spi_i, spi_r, id = dice.randbytes(8), dice.randbytes(8), dice.getrandbits(32)
    exchange, flags = dice.choice([34, 35, 36, 37]), dice.choice([0, 8, 32, 40])
    packet = ikev2.IKEv2(init_SPI=spi_i, resp_SPI=spi_r, exch_type=exchange, flags=flags, id=id)
    for layer in layers:
        packet = packet / layer
    return {"octets": bytes(packet).hex(), "spi_i": spi_i.hex(), "spi_r": spi_r.hex(), "exchange": exchange, "flags": flags,
            "id": id, "payloads": meant}


if sys.argv[1] == "decode":
    for line in sys.stdin:
        print(json.dumps(message(bytes.fromhex(line))))
else:
    dice = random.Random(int(sys.argv[2]))
    for _ in range(int(sys.argv[3])):
        print(json.dumps(build(dice)))
