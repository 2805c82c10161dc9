"""Clients that cannot retry: load.py URL CLIENTS EACH

Every client keeps one connection and sends its requests one after the other. Prints one JSON object: how many were sent, how many got
a 200, how many had another status, and how many got no answer at all.
"""

import collections
import http.client
import json
import sys
import threading
import urllib.parse

ANSWER_MAX = 60  # seconds: above deadline.total, so that it is redrive's to give up

url = urllib.parse.urlsplit(sys.argv[1])
clients, each = int(sys.argv[2]), int(sys.argv[3])
statuses = collections.Counter()
lost = []
lock = threading.Lock()


def client(number):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=ANSWER_MAX)
    for index in range(each):
        try:
            connection.request("GET", f"/orders/{number}-{index}")
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            with lock:
                lost.append(f"{type(error).__name__}: {error}")
        else:
            with lock:
                statuses[answer.status] += 1


threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
good = statuses.pop(200, 0)
print(json.dumps({"sent": clients * each, "good": good, "other": dict(statuses), "lost": len(lost), "because": sorted(set(lost))[:3]}))
