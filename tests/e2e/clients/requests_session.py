"""Python's requests: a session with its kept connection."""
import sys

import requests

base, file = sys.argv[1:3]
session = requests.Session()
session.get(f"{base}/plain", timeout=50).raise_for_status()
with open(file, "rb") as body:
    session.post(f"{base}/upload", data=body, timeout=50).raise_for_status()
session.post(f"{base}/throttled", data={"x": "1"}, timeout=50).raise_for_status()
