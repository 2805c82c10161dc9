"""redrive's signatures against botocore's: sigv4.py REDRIVE, a build with the feature sigv4

Sends awkward requests through redrive to an origin that records them byte for byte, has botocore sign what arrived for the
date that arrived, and compares the two. Each is throttled once, so that there are two attempts, a second apart.

botocore signs a query as it is written, and one that is written oddly is one that AWS writes otherwise before it checks. It is
therefore given the query's meaning, as an SDK is by its user, and encodes it itself. A `+` means a blank, as in a form.

Left out are paths that end in a dot segment, of which nobody says what AWS makes: aws-sigv4 keeps the slash before it (RFC 3986,
section 5.2.4), and botocore does not.
"""

import datetime
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS, SECRET, TOKEN = "AKIDEXAMPLE", "secret+/EXAMPLE", "token//of=EXAMPLE"
REGION, SERVICE = "eu-west-1", "execute-api"
JSON = {"Content-Type": "application/json"}
TARGETS = [
    "/", "/?", "/prod", "/prod/", "/a/b/c", "/a%20b", "/a%2Fb", "/a%252Fb", "/%E2%82%AC", "/a%e2b", "/%7Euser", "/~user",
    "/a+b", "/a*b(c)!'d", "/a:b@c,d;e=f$g&h", "/a//b", "//a", "/a/./b", "/a/../b", "/../a", "/a/...", "/.a",
    "/a%2E%2E/b", "/a|b", "/[a]", "/a%", "/a%zz",
    "/?a", "/?a=", "/?=a", "/?a=b&a=a", "/?b=1&a=2", "/?a=1&A=2", "/?a=%20", "/?a=+", "/?a=%2B", "/?a=b%3Dc", "/?a=b=c", "/?a=%26",
    "/?a-=1&a=2", "/?a=%e2%82%ac", "/?a=%E2%82%AC", "/?a=~-._", "/?a=%7E", "/?a=*'()!", "/?a=/b/c?d", "/?a=b&&c=d", "/?a=b;c",
    "/?filter[x]=1", "/?a=%25", "/?a%20b=1", "/?X-Amz-Date=1", "/?a=" + "x" * 4000,
]  # fmt: skip
REQUESTS = (
    [("GET", target, {}, b"", False) for target in TARGETS]
    + [(method, "/m", {}, b"", False) for method in ("HEAD", "DELETE", "OPTIONS", "PATCH", "PROPFIND")]
    + [
        ("POST", "/b", JSON, b"", False),
        ("POST", "/b", JSON, b'{"a": 1}', False),
        ("POST", "/b", {}, bytes(range(256)), False),
        ("PUT", "/b?c=d", JSON, os.urandom(3 << 20), False),
        ("PUT", "/b", JSON, os.urandom(200_000), True),
        ("POST", "/b", {"Content-Type": "text/plain;  charset=utf-8 "}, b"x", False),
        ("POST", "/b", {"Content-Type": ""}, b"x", False),
        ("POST", "/b", {"User-Agent": "a/1", "Accept": "*/*", "X-Amzn-Trace-Id": "Root=1"}, b"x", False),
        ("POST", "/b", {"X-Amz-Date": "19700101T000000Z", "X-Amz-Security-Token": "theirs"}, b"x", False),
        ("POST", "/b", {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, b"x", False),
        ("POST", "/b", {"Cookie": "a=b", "Connection": "close, x-hop", "X-Hop": "1"}, b"x", False),
    ]
)
THROTTLED = (
    b"HTTP/1.1 429 Too Many Requests\r\nx-amzn-ErrorType: TooManyRequestsException\r\nretry-after-ms: 1050\r\n"
    b'Content-Type: application/json\r\nContent-Length: 31\r\n\r\n{"message":"Too Many Requests"}'
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def read_message(stream):
    """One message's start line, headers as pairs, and body; None where the connection ended."""
    start = stream.readline()
    if not start:
        return None
    headers = []
    while line := stream.readline().rstrip(b"\r\n"):
        name, value = line.split(b":", 1)
        headers.append((name.decode().lower(), value.decode("latin-1").strip(" \t")))
    named = dict(headers)
    if "chunked" in named.get("transfer-encoding", ""):
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    else:
        body = stream.read(int(named.get("content-length", 0)))
    return start.decode("latin-1").rstrip(), headers, body


class Origin:
    """Throttles the first attempt of every request, and keeps what it saw by the number in its header."""

    def __init__(self):
        self.seen = {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer, peer.makefile("rb") as stream:
            while message := read_message(stream):
                attempts = self.seen.setdefault(int(dict(message[1])["x-number"]), [])
                attempts.append(message)
                method = message[0].split(" ")[0]
                answer = THROTTLED if len(attempts) == 1 else OK
                peer.sendall(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else answer)


def send(address, number, method, target, headers, body, is_chunked):
    """The status of one request's answer."""
    head = {"Host": "api.redrive.test", "X-Number": number, "Connection": "close"} | headers
    if is_chunked:
        head["Transfer-Encoding"] = "chunked"
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    elif body or method in ("POST", "PUT", "PATCH"):
        head["Content-Length"] = len(body)
    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in head.items()]
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        with client.makefile("rb") as stream:
            return int(stream.readline().split()[1])


def by_botocore(message):
    """The Authorization that botocore gives what arrived, for the date that arrived."""
    start, headers, body = message
    method, target, _ = start.split(" ")
    path, _, query = target.partition("?")
    named = dict(headers)
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    signed = {"Host": named["host"]} | ({"Content-Type": named["content-type"]} if "content-type" in named else {})
    request = AWSRequest(method, f"http://{named['host']}{path}", headers=signed, data=body, params=pairs)
    date = datetime.datetime.strptime(named["x-amz-date"], "%Y%m%dT%H%M%SZ")
    with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: date):
        botocore.auth.SigV4Auth(Credentials(ACCESS, SECRET, TOKEN), SERVICE, REGION).add_auth(request)
    return request.headers["Authorization"]


def compare(origin, number):
    """What is wrong with the attempts of a request, in a sentence; None if nothing is."""
    attempts = origin.seen.get(number, [])
    if len(attempts) != 2:
        return f"{len(attempts)} attempts"
    for message in attempts:
        named, expected = dict(message[1]), by_botocore(message)
        if named.get("authorization") != expected:
            return f"signed {named.get('authorization')}, and botocore signs {expected}"
        if named.get("x-amz-security-token") != TOKEN:
            return "the token is missing"
        if named["host"] != origin.address:
            return f"Host is {named['host']}"
    for name in ("x-amz-date", "authorization"):
        if len({dict(headers)[name] for _, headers, _ in attempts}) != 2:
            return f"both attempts have one {name}"
    return None


def main():
    origin = Origin()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        address, admin = ("127.0.0.1:%d" % it.getsockname()[1] for it in (one, other))
    environment = {
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "REDRIVE_SIGN__REGION": REGION,
        "REDRIVE_UPSTREAM": f"http://{origin.address}",
        "REDRIVE_LISTEN": address,
        "REDRIVE_ADMIN": admin,
        "REDRIVE_PACE__MODE": "off",
    }
    redrive = subprocess.Popen([sys.argv[1], "run"], env=environment, stdout=subprocess.PIPE)
    log = redrive.stdout
    threading.Timer(120, redrive.kill).start()
    while b"redrive is ready" not in (line := log.readline()):
        assert line, "redrive does not start"
    threading.Thread(target=lambda: all(log), daemon=True).start()
    statuses = {}

    def ask(number):
        statuses[number] = send(address, number, *REQUESTS[number])

    began = time.monotonic()
    asking = [threading.Thread(target=ask, args=(number,)) for number in range(len(REQUESTS))]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(60)
    took = time.monotonic() - began
    redrive.kill()
    wrong = 0
    for number, (method, target, *_) in enumerate(REQUESTS):
        fault = compare(origin, number) if statuses.get(number) == 200 else f"answered {statuses.get(number)}"
        if fault:
            wrong += 1
            print(f"{method} {target[:60]}: {fault}")
    print(f"{len(REQUESTS) - wrong} of {len(REQUESTS)} requests are signed on both attempts as botocore {botocore.__version__} signs them, in {took:.0f} s")
    os._exit(1 if wrong else 0)


main()
