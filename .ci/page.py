"""Looks at the status page as an operator does: in a real browser, over its DevTools pipe, with Python's standard library alone.

usage: page.py CHROMIUM REDRIVE PICTURES

It must load, be live, draw, follow light and dark, fit a phone, show what strangers send as text, come back after a loss,
follow a reload, ask nobody but the sidecar, and complain about nothing. PICTURES gets light.png, dark.png, phone.png and stops.png.
"""

import base64
import contextlib
import fcntl
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

# The longest that anything may take, in seconds; a browser's first start is slow on a busy machine.
PATIENCE = 90


class Browser:
    """Chromium with one tab."""

    def __init__(self, program, profile):
        commands, self.to = os.pipe()
        self.of, events = os.pipe()
        # Chromium takes commands on descriptor 3 and tells events on 4; out of their way first.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, events)]

        def place():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        flags = [
            "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--hide-scrollbars",
            "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--no-default-browser-check", "--force-color-profile=srgb",
        ]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # its sandbox does not start for root
        self.process = subprocess.Popen(
            [program, *flags, "about:blank"], preexec_fn=place, pass_fds=(3, 4), stderr=subprocess.DEVNULL
        )
        for end in (*ends, commands, events):
            os.close(end)
        self.buffer, self.last_id = b"", 0
        self.faults, self.asked = [], []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, patience=PATIENCE, **params):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + patience
        while True:
            answer = self.read(deadline)
            if answer.get("id") == self.last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.note(answer)

    def read(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.of], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            piece = os.read(self.of, 1 << 16)
            if not piece:
                raise EOFError("the browser has ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.faults.append(json.dumps(params["exceptionDetails"])[:400])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.faults.append(json.dumps(params["args"])[:400])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.faults.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])

    def see(self, expression, patience=PATIENCE):
        answer = self.call("Runtime.evaluate", patience, expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {json.dumps(answer['exceptionDetails'])[:400]}")
        return answer["result"].get("value")

    def wait(self, condition, what, due=0):
        """Waits in the page until the condition holds: for as long as is due, and then for as long as there is patience."""
        seen = self.see(
            f"""new Promise((done) => {{
              const end = Date.now() + {(due + PATIENCE) * 1000};
              const look = () => ({condition}) ? done(true) : Date.now() > end ? done(false) : setTimeout(look, 50);
              look();
            }})""",
            due + 2 * PATIENCE,
        )
        check(seen, what)

    def open(self, url):
        self.call("Page.navigate", url=url)

    def size(self, width, height, scale, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)

    def prefer(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        with contextlib.suppress(Exception):
            self.session = None
            self.call("Browser.close")
        self.process.kill()
        self.process.wait()


def check(holds, what):
    if not holds:
        raise AssertionError(f"not so: {what}")
    print(f"ok  {what}")


@contextlib.contextmanager
def running(*command, **env):
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **env}
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


LIVE = "document.querySelector('#link')?.dataset.state === 'live'"
DRAWN = """(() => {
  const all = [...document.querySelectorAll('canvas')];
  const blank = (like) => Object.assign(document.createElement('canvas'), { width: like.width, height: like.height }).toDataURL();
  return all.length === 4 && all.every((canvas) => canvas.toDataURL() !== blank(canvas));
})()"""
FITS = "document.documentElement.scrollWidth <= innerWidth"
FLAGS = "document.querySelector('#flags').textContent"
GROUND = "getComputedStyle(document.body).backgroundColor"


def look_at_the_demo(browser, redrive, pictures):
    with running(redrive, "demo", "--stay") as demo:
        address = None
        for line in demo.stdout:
            if found := re.match(r"status page +(http://\S+)", line):
                address = found[1]
                break
        check(address, "`demo --stay` tells the address of the page")
        browser.size(1240, 1000, 1.5)
        browser.prefer("light")
        browser.open(address)
        browser.wait(LIVE, "the page is live")
        browser.wait("rows.length >= 3", "it gets a row a second")
        browser.wait(DRAWN, "all four charts are drawn")
        before = browser.see("document.querySelector('#line').textContent")
        browser.wait(f"document.querySelector('#line').textContent !== {json.dumps(before)}", "its figures change")
        browser.wait(
            "/throttled requests became good ones in the last .*; [\\d.]+ attempts per request/.test(document.querySelector('#line').textContent)",
            "the first screen says in one line what redrive does for throttled requests",
        )
        browser.wait("document.querySelectorAll('#explained tr').length > 5", "requests are explained")
        browser.see("document.querySelector('#span button[value=\"120\"]').click()")
        # A few bursts, so that the picture has something to show.
        seconds = int(os.environ.get("PAGE_SECONDS", "15"))
        browser.wait(f"rows.length >= {seconds}", f"{seconds} seconds have passed", seconds)
        light = browser.see(GROUND)
        browser.picture(pictures / "light.png")
        browser.prefer("dark")
        browser.wait(f"{GROUND} !== {json.dumps(light)}", "dark is dark")
        browser.wait(DRAWN, "the charts are drawn in the dark")
        check(browser.see(FITS), "nothing is wider than a desk's window")
        browser.picture(pictures / "dark.png")
        browser.prefer("light")
        browser.size(360, 780, 2, mobile=True)
        browser.wait(f"innerWidth === 360 && {FITS}", "nothing is wider than a phone of 360 px")
        browser.wait("CHARTS.every((chart) => chart.plot.width <= 360)", "the charts are as narrow")
        browser.picture(pictures / "phone.png")
        own = browser.asked
        check(own and all(url.startswith(address) for url in own if url != "about:blank"), "it asks nobody else")
        check(not browser.faults, f"it complains about nothing: {browser.faults}")
        browser.open("about:blank")  # so that the demo's end is no loss of a connection


def send(port, target):
    """One request as a stranger sends it, byte for byte."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"GET " + target + b" HTTP/1.0\r\nHost: localhost\r\n\r\n")
        client.recv(100)


def look_at_what_strangers_send(browser, redrive, pictures, profile):
    port, admin = free_port(), free_port()
    config = f"""
        upstream = "http://127.0.0.1:{free_port()}"
        listen = "127.0.0.1:{port}"
        admin.listen = "127.0.0.1:{admin}"
        [[route]]
        name = "orders"
        path = "/orders/*"
        retry.dry_run = true
    """
    reloaded = config.replace('"orders"', '"new"').replace("admin.listen", "bypass = true\n        admin.listen")
    file = profile / "redrive.toml"
    file.write_text(config)
    with running(redrive, "run", "--config", str(file)) as process:
        for _ in range(PATIENCE * 10):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", admin), 1):
                break
            time.sleep(0.1)
        browser.size(1240, 1000, 1)
        browser.open(f"http://127.0.0.1:{admin}/")
        browser.wait(LIVE, "the page of another sidecar is live")
        send(port, b"/orders/%3Cscript%3E?token=hunter2")
        send(port, b"/\"'{}|${alert(1)}/%3Cimg%20src=x%20onerror=caught=1%3E/hunter2")
        browser.wait("document.querySelectorAll('#explained tr').length === 2", "requests of strangers are explained")
        told = browser.see("document.querySelector('#explained').textContent")
        check("%3Cscript%3E" in told and "\"'{}|${alert(1)}/%3Cimg" in told, "their paths are text")
        check("hunter2" not in browser.see("document.documentElement.textContent"), "what may be secret is nowhere")
        check(
            browser.see("!window.caught && document.querySelectorAll('img').length === 1 && document.scripts.length === 3"),
            "nothing of it became markup",
        )
        check("dry_run" in browser.see(FLAGS), "a dry run is visible")
        browser.see("{ const it = document.querySelector('#route'); it.value = 'orders'; it.dispatchEvent(new Event('change')); }")
        browser.wait("now.route === 'orders' && document.querySelectorAll('#explained tr').length === 1", "one route can be chosen")
        browser.picture(pictures / "stops.png")
        file.write_text(reloaded)
        process.send_signal(signal.SIGHUP)
        browser.wait(f"{FLAGS}.includes('bypass')", "a reload is visible")
        browser.wait("[...document.querySelector('#route').options].map((it) => it.text).join() === 'All routes,new,default,orders (gone)'", "a route comes, another goes")
        check(
            browser.see("document.querySelector('#route').value === 'orders' && document.querySelectorAll('#explained tr').length === 1"),
            "what was of a route that is gone is still there",
        )
        check(not browser.faults, f"the page complains about nothing: {browser.faults}")
    browser.wait("document.querySelector('#link').dataset.state === 'lost'", "the loss of the sidecar is visible")
    with running(redrive, "run", REDRIVE_CONFIG_TOML=config):
        browser.wait(LIVE, "the page comes back by itself")
        browser.wait(f"!{FLAGS}.includes('bypass')", "what another sidecar had set is gone")


def main():
    chromium, redrive, pictures = sys.argv[1:]
    pictures = pathlib.Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(chromium, profile)
        try:
            look_at_the_demo(browser, redrive, pictures)
            look_at_what_strangers_send(browser, redrive, pictures, pathlib.Path(profile))
        finally:
            browser.close()


if __name__ == "__main__":
    main()
