"""Owns: a headless Chromium, driven through its DevTools protocol with nothing but Python's own library: a small
WebSocket client, pages, keys, screenshots. It must not know what is tested."""

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request

PROGRAMS = ["chromium", "chromium-browser", "google-chrome"]


def find():
    """The browser's path; None where there is none."""
    named = os.environ.get("STINT_BROWSER")
    return named or next((path for path in map(shutil.which, PROGRAMS) if path), None)


class WebSocket:
    """The client's side of RFC 6455, as far as DevTools needs it."""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.socket.recv(4096)
        self.rest = self.rest.split(b"\r\n\r\n", 1)[1]

    def send(self, text):
        data = text.encode()
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x81, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
        masked = bytes(byte ^ mask[place & 3] for place, byte in enumerate(data))
        self.socket.sendall(head + mask + masked)

    def take(self, count):
        while len(self.rest) < count:
            more = self.socket.recv(1 << 20)
            if not more:
                raise ConnectionError("the browser has gone")
            self.rest += more
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def receive(self, seconds):
        """The next message; None when none comes in time."""
        self.socket.settimeout(seconds)
        try:
            parts = b""
            while True:
                first, size = self.take(2)
                size &= 0x7F
                if size == 126:
                    size = struct.unpack("!H", self.take(2))[0]
                elif size == 127:
                    size = struct.unpack("!Q", self.take(8))[0]
                self.socket.settimeout(30)
                parts += self.take(size)
                if first & 0x80:
                    return parts.decode()
        except TimeoutError:
            return None


class Page:
    """One tab."""

    def __init__(self, port, address):
        self.port = port
        self.socket = WebSocket(port, address.split(str(port), 1)[1])
        self.number = 0
        self.events = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        number = self.number
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            text = self.socket.receive(60)
            if text is None:
                raise TimeoutError(method)
            message = json.loads(text)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def drain(self):
        while (text := self.socket.receive(0.05)) is not None:
            self.events.append(json.loads(text))
        return self.events

    def run(self, script):
        """What an expression comes to; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, what, script, seconds=15):
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # What is looked for may not be there to be asked yet.
            if self.run(f"(() => {{ try {{ return Boolean({script}); }} catch {{ return false; }} }})()"):
                return
            self.run("new Promise((go) => setTimeout(go, 30))")
        raise AssertionError(f"after {seconds} s not: {what} ({script}); seen: {self.run('document.body.innerText')[:800]}")

    def go(self, address):
        self.call("Page.navigate", url=address)

    def size(self, width, height, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def theme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def press(self, key):
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if kind == "keyDown" and text else {}
            code = {"Enter": 13, "ArrowDown": 40, "ArrowUp": 38, "Escape": 27, "Tab": 9}.get(key, 0)
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra)

    def shot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def complaints(self):
        """What the browser has logged as errors, scripts' exceptions and refused rules among them."""
        found = []
        for event in self.drain():
            detail = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(detail["exceptionDetails"])[:600])
            elif event["method"] == "Log.entryAdded" and detail["entry"]["level"] == "error":
                found.append(f"{detail['entry']['text']} {detail['entry'].get('url', '')}")
        return found


class Browser:
    """A browser of its own, in a folder of its own; ends with the block that made it."""

    def __init__(self, program, *flags):
        self.folder = tempfile.mkdtemp(prefix="stint-page-")
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
             "--disable-extensions", "--remote-debugging-port=0", f"--user-data-dir={self.folder}", *flags, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = os.path.join(self.folder, "DevToolsActivePort")
        end = time.monotonic() + 60
        while not (os.path.exists(port_file) and open(port_file).read().count("\n")):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("the browser does not start")
            time.sleep(0.05)
        self.port = int(open(port_file).readline())

    def page(self, address="about:blank"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/new?{address}", method="PUT")
        with urllib.request.urlopen(request) as answer:
            return Page(self.port, json.load(answer)["webSocketDebuggerUrl"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
