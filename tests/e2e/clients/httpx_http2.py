"""Python's httpx with HTTP/2, by ALPN: one connection, and an upload of unknown length."""
import sys

import httpx

base, file = sys.argv[1:3]


def chunks():
    with open(file, "rb") as body:
        while chunk := body.read(65536):
            yield chunk


with httpx.Client(http2=True, timeout=50) as client:
    client.get(f"{base}/plain").raise_for_status()
    client.post(f"{base}/upload", content=chunks()).raise_for_status()
    client.post(f"{base}/throttled", data={"x": "1"}).raise_for_status()
