"""botocore's own HTTP session, as every AWS SDK for Python uses it: Expect: 100-continue, then the body."""
import sys

from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

base, file = sys.argv[1:3]
session = URLLib3Session(timeout=50)


def call(method, path, body=None, headers=None):
    request = AWSRequest(method=method, url=base + path, data=body, headers=headers or {})
    answer = session.send(request.prepare())
    assert answer.status_code == 200, f"{path}: {answer.status_code}"


call("GET", "/plain")
with open(file, "rb") as body:
    call("POST", "/upload", body, {"Expect": "100-continue"})
call("POST", "/throttled", b"x=1")
