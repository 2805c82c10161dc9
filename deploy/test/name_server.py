"""A name server for one name: name_server.py ADDRESS PORT NAME IPV4

Answers A of NAME over UDP, with nothing for its other types, and NXDOMAIN for every other name (RFC 1035, section 4).
"""

import socket
import struct
import sys

address, port, name, ipv4 = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, port))
print("ready", flush=True)
while True:
    query, peer = server.recvfrom(512)
    end = query.index(b"\0", 12) + 1
    kind = struct.unpack("!H", query[end : end + 2])[0]
    question = query[12 : end + 4]
    known = query[12:end].lower() == labels
    answers = b""
    if known and kind == 1:
        # A pointer to the question's name, A, IN, 5 s.
        answers = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(ipv4)
    head = query[:2] + struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, bool(answers), 0, 0)
    server.sendto(head + question + answers, peer)
