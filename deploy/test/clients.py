"""Clients that nobody may change, pointed at redrive: clients.py BINARY WAY

Each way of deploy/clients/README.md, with every client that is here: its two calls come at once, and the API takes one, so that the
second is a 429 without redrive. Names are those of a hosts file of its own: in one namespace that of the world, in which the API's name
leads to the API, and in another that of the client's machine, in which it leads to redrive.

Exits 77 with a reason where that cannot be tried.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

NETWORK = f"127.{random.randrange(64, 128)}.{random.randrange(256)}"  # all of 127.0.0.0/8 is this machine; nobody else is on these
HERE, THERE = f"{NETWORK}.1", f"{NETWORK}.2"  # redrive, and the API
NAME = "api.redrive.test"  # by which the client knows the API
ALIAS = "abc123.redrive.test"  # another name of the API: its certificate has this one
TARGET = "d-xyz.redrive.test"  # what the name is an alias of in DNS: no certificate has it
RATE = 4  # requests per second that the API takes, one at a time
CALLS = 2
RUN_MAX = 60  # seconds: the Java client is compiled first

JAVA = """
class Calls {
    public static void main(String[] args) throws Exception {
        for (String url : args) {
            var call = (java.net.HttpURLConnection) new java.net.URL(url).openConnection();
            if (call.getResponseCode() != 200) throw new IllegalStateException(url + ": " + call.getResponseCode());
            call.getInputStream().readAllBytes();
        }
    }
}
"""
REQUESTS = "import requests, sys; [requests.get(url).raise_for_status() for url in sys.argv[1:]]"
NODE = """
const { get } = require(process.argv[1].startsWith("https:") ? "https" : "http");
for (const url of process.argv.slice(1))
  get(url, (it) => { it.resume(); if (it.statusCode !== 200) process.exitCode = 1; }).on("error", (e) => { throw e; });
"""
PHP = """foreach (array_slice($argv, 1) as $url) {
  $call = curl_init($url); curl_setopt_array($call, [CURLOPT_FAILONERROR => true, CURLOPT_RETURNTRANSFER => true]);
  if (curl_exec($call) === false) { fwrite(STDERR, curl_error($call)); exit(1); }
}"""
RUBY = "ARGV.each { |url| it = Net::HTTP.get_response(URI(url)); abort(it.code) if it.code != '200' }"

binary, way = sys.argv[1:]
children = []


def skip(why):
    print(why)
    sys.exit(77)


def file(name, text):
    path = os.path.join(work, name)
    with open(path, "w") as out:
        out.write(text)
    return path


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=RUN_MAX, **more)


def inside(hosts, command):
    """The command where these are the known hosts."""
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, *command]


def certificate(name):
    """A certificate for this name by our authority, and its key."""
    key, request, cert = (os.path.join(work, f"{name}.{kind}") for kind in ("key", "csr", "pem"))
    made = run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    made.check_returncode()
    extension = file("extension", f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
    run("openssl", "x509", "-req", "-in", request, "-CA", CA, "-CAkey", CA_KEY, "-CAcreateserial", "-days", "2",
        "-out", cert, "-extfile", extension).check_returncode()
    return cert, key


def start(name, hosts, toml, address, admin):
    """A redrive in its own world of names; ready when this returns."""
    config = file(f"{name}.toml", toml)
    environment = {"PATH": os.environ["PATH"], "REDRIVE_LISTEN": address, "REDRIVE_ADMIN": admin}
    log = open(os.path.join(work, f"{name}.log"), "w")
    child = subprocess.Popen(inside(hosts, [binary, "run", "--config", config]), env=environment, stdout=log, stderr=log)
    children.append(child)
    for _ in range(100):
        if child.poll() is not None:
            break
        if run(binary, "health", "--admin", admin).returncode == 0:
            return
        time.sleep(0.1)
    sys.exit(f"{name} is not ready: {open(log.name).read()}")


def clients(url):
    """What is here: the command for each client, and the variables by which it is told of the proxy or of the authority."""
    calls = [url] * CALLS
    java_source = file("Calls.java", JAVA)
    options = [f"-Dhttp.proxyHost={HERE}", "-Dhttp.proxyPort=7480"] if way == "http_proxy" else []
    if url.startswith("https:") and shutil.which("keytool"):
        store = os.path.join(work, "trust.p12")
        if not os.path.exists(store):
            run("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", CA, "-keystore", store, "-storepass", "changeit").check_returncode()
        options += [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
    proxy = {"http_proxy": f"http://{HERE}:7480"} if way == "http_proxy" else {}
    file("authority.ini", f"curl.cainfo = {CA}\n")
    wgetrc = file("wgetrc", f"ca_certificate = {CA}\n")
    known = {
        "curl": (["curl", "-sS", "--fail", "--fail-early", *[word for it in calls for word in ("-o", "/dev/null", it)]], {"CURL_CA_BUNDLE": CA}),
        "wget": (["wget", "-nv", "--tries=1", "-O", "/dev/null", *calls], {"WGETRC": wgetrc}),
        "Python requests": ([sys.executable, "-c", REQUESTS, *calls], {"REQUESTS_CA_BUNDLE": CA}),
        "Java": (["java", java_source, *calls], {"JAVA_TOOL_OPTIONS": " ".join(options)}),
        "Node": (["node", "-e", NODE, *calls], {"NODE_EXTRA_CA_CERTS": CA}),
        "PHP": (["php", "-r", PHP, "--", *calls], {"PHP_INI_SCAN_DIR": f":{work}"}),
        "Ruby": (["ruby", "-rnet/http", "-e", RUBY, *calls], {"SSL_CERT_FILE": CA}),
    }
    probes = {"Python requests": [sys.executable, "-c", "import requests"], "PHP": ["php", "-r", "curl_init();"], "Java": ["javac", "-version"]}
    if way == "http_proxy":
        del known["Node"]  # which looks at the variable from version 24 on, and then only if told so
    here, missing = {}, []
    for name, (command, variables) in known.items():
        probe = probes.get(name, [command[0], "--version"])
        if shutil.which(probe[0]) and run(*probe).returncode == 0:
            here[name] = (command, variables | proxy)
        else:
            missing.append(name)
    return here, missing


def served():
    """How many requests redrive has answered well."""
    with urllib.request.urlopen(f"http://{HERE}:7481/metrics") as answer:
        text = answer.read().decode()
    return sum(float(it) for it in re.findall(r'^redrive_requests_total\{outcome="ok[^}]*\} ([0-9.]+)$', text, re.M))


def status(hosts, url, *options):
    told = run(*inside(hosts, ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", CA, *options, url]))
    return told.stdout or told.stderr


def main():
    with_tls = f'[tls.listen]\ncert = "{OUR_CERT}"\nkey = "{OUR_KEY}"\n'
    trust = f'[tls.upstream]\nca_file = "{CA}"\n'
    # The API: TLS in front of the stand-in, and nothing else.
    api_cert, api_key = certificate(ALIAS if way == "hosts: another name" else NAME)
    gateway = [binary, "gateway", "--listen", f"{THERE}:7490", "--rate", str(RATE), "--burst", "1"]
    children.append(subprocess.Popen(gateway, stdout=subprocess.DEVNULL))
    start("api", WORLD, f'upstream = "http://{THERE}:7490"\nbypass = true\n[tls.listen]\ncert = "{api_cert}"\nkey = "{api_key}"\n',
          f"{THERE}:443", f"{THERE}:7481")
    ways = {
        "base URL": (WORLD, WORLD, "7480", f'upstream = "https://{NAME}/prod"\n{trust}', f"http://{HERE}:7480/orders/1"),
        "http_proxy": (WORLD, NOWHERE, "7480", f'upstream = "https://{NAME}/prod"\n{trust}', f"http://{NAME}/prod/orders/1"),
        "hosts: another name": (CLIENTS, CLIENTS, "443", f'upstream = "https://{ALIAS}/prod"\n{with_tls}{trust}', f"https://{NAME}/orders/1"),
        "hosts: another address": (CLIENTS, CLIENTS, "443", f'upstream = "https://{TARGET}"\nhost = "client"\n{with_tls}{trust}server_name = "{NAME}"\n',
                                   f"https://{NAME}/orders/1"),
        "hosts: a file of its own": (WORLD, CLIENTS, "443", f'upstream = "https://{NAME}"\n{with_tls}{trust}', f"https://{NAME}/orders/1"),
        "hosts: a circle": (CLIENTS, CLIENTS, "443", f'upstream = "https://{NAME}"\n{with_tls}{trust}', f"https://{NAME}/orders/1"),
    }
    ours, theirs, port, toml, url = ways[way]
    start("redrive", ours, toml, f"{HERE}:{port}", f"{HERE}:7481")
    if way == "hosts: a circle":
        got = status(theirs, url)
        print(f"redrive that reaches itself answers {got}")
        return got == "508"

    here, missing = clients(url)
    failed = []
    if way == "http_proxy":
        # What a proxy of this kind cannot do is refused, and not forwarded to somewhere.
        proxy = ("--proxy", f"http://{HERE}:7480")
        if status(theirs, "http://other.redrive.test/", *proxy) != "421":
            failed.append("another server's name is not answered 421")
        if "405" not in run(*inside(theirs, ["curl", "-sS", *proxy, f"https://{NAME}/"])).stderr:
            failed.append("a tunnel is not answered 405")
    for name, (command, variables) in here.items():
        before = served()
        told = run(*inside(theirs, command), env={"PATH": os.environ["PATH"], "HOME": work} | variables)
        through = served() - before
        if told.returncode != 0 or through != CALLS:
            failed.append(f"{name} ends with {told.returncode}, {through:.0f} of {CALLS} through redrive: {told.stderr.strip()[-300:]}")
    # The same at once without redrive, on one connection: the rate is the API's.
    direct = run(*inside(WORLD, ["curl", "-sS", "--cacert", CA, "-w", "%{http_code} ",
                                 *[word for _ in range(8) for word in ("-o", "/dev/null", f"https://{NAME if way != 'hosts: another name' else ALIAS}/orders/1")]]))
    if "429" not in direct.stdout:
        failed.append(f"the API does not throttle: {direct.stdout}{direct.stderr}")
    absent = f"; not here: {', '.join(missing)}" if missing else ""
    print("\n".join(failed) or f"{', '.join(here)}{absent}")
    return bool(here) and not failed


for tool in ("unshare", "openssl", "curl"):
    if not shutil.which(tool):
        skip(f"{tool} is not here")
if os.geteuid() != 0 or run("unshare", "--mount", "true").returncode != 0:
    skip("only root may give a process a hosts file of its own")
work = tempfile.mkdtemp()
try:
    CA, CA_KEY = os.path.join(work, "ca.pem"), os.path.join(work, "ca.key")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", CA_KEY, "-out", CA, "-days", "2", "-subj", "/CN=redrive test").check_returncode()
    OUR_CERT, OUR_KEY = certificate(NAME)
    NOWHERE = file("nowhere", "127.0.0.1 localhost\n")
    WORLD = file("world", f"127.0.0.1 localhost\n{THERE} {NAME} {ALIAS} {TARGET}\n")
    CLIENTS = file("clients", f"127.0.0.1 localhost\n{HERE} {NAME}\n{THERE} {ALIAS} {TARGET}\n")
    good = main()
finally:
    for child in reversed(children):
        child.send_signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
    shutil.rmtree(work)
sys.exit(not good)
