"""A unit's SystemCallFilter as a seccomp profile of a container runtime: syscalls.py UNIT

systemd-analyze says what is in a set. Knows the two forms that the unit uses: an allowed set, and sets that are taken out of it again.
"""

import json
import subprocess
import sys


def calls(name):
    """The system calls of a set, those of the sets in it included."""
    told = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    found = set()
    for line in told.splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            found |= calls(word) if word.startswith("@") else {word}
    return found


allowed = calls("@default")
refused = set()
for line in open(sys.argv[1]):
    key, _, value = line.strip().partition("=")
    if key == "SystemCallFilter":
        for name in value.removeprefix("~").split():
            (refused if value.startswith("~") else allowed).update(calls(name))
# What the runtime itself does between setting the filter and starting the program; systemd has its own way for that.
allowed = (allowed - refused) | {"execve", "capset", "setuid", "setgid", "setgroups", "close_range"}
print(
    json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [{"names": sorted(allowed), "action": "SCMP_ACT_ALLOW"}],
        }
    )
)
