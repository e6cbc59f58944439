#!/usr/bin/env python3
"""A registry that serves one OCI layout, and misbehaves by the first part of the repository's name.

Usage: registry.py LAYOUT. Prints its port. Every request is a line in LAYOUT/requests.
"""
import http.server
import json
import os
import re
import select
import sys
import threading

layout = sys.argv[1]
log = open(os.path.join(layout, "requests"), "a", buffering=1)


def blob(digest):
    with open(os.path.join(layout, "blobs", *digest.split(":")), "rb") as file:
        return file.read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body, kind="application/json", length=None, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang(self):
        """Until the client is gone."""
        self.wfile.flush()
        self.rfile.read(1)
        self.close_connection = True

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        log.write(self.path + "\n")
        if self.path == "/v2/":
            return self.answer(200, b"{}")
        match = re.fullmatch(r"/(v2|elsewhere)/([a-z]+)/[^/]+/(manifests|blobs)/(.+)", self.path)
        if not match:
            return self.answer(404, b"{}")
        door, manner, kind, name = match.groups()
        if kind == "manifests":
            return self.manifest(manner, name)
        return self.blob(door, manner, name)

    def manifest(self, manner, name):
        if manner == "hangs":
            return self.hang()
        if manner == "html":
            return self.answer(200, b"<html><body>Welcome!</body></html>", "text/html")
        if manner == "denied":
            return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
        if manner == "busy":
            return self.answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', headers=[("Retry-After", "0")])
        with open(os.path.join(layout, "index.json"), "rb") as file:
            entry = json.load(file)["manifests"][0]
        entry.pop("annotations", None)
        if manner == "foreign" and not name.startswith("sha256:" + entry["digest"][7:]):
            entry["platform"] = {"os": "linux", "architecture": "s390x"}
            kind = "application/vnd.oci.image.index.v1+json"
            body = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode()
            return self.answer(200, body, kind)
        self.answer(200, blob(entry["digest"]), entry["mediaType"])

    def blob(self, door, manner, name):
        body = blob(name)
        is_layer = len(body) > 1000
        if manner == "redirects" and door == "v2":
            return self.answer(307, b"", headers=[("Location", self.path.replace("/v2/", "/elsewhere/"))])
        if manner == "circles":
            return self.answer(307, b"", headers=[("Location", self.path)])
        if manner == "forges" and is_layer:
            body = bytes(len(body))
        if manner == "cuts" and is_layer:
            self.answer(200, body[: len(body) // 2], length=len(body))
            self.close_connection = True
            return None
        if manner in ("endless", "drips") and is_layer:
            # Both end when the client is gone: the write fails.
            self.answer(200, body[:100], length=1 << 40)
            while True:
                self.wfile.write(bytes(1 << 20) if manner == "endless" else b"x")
                if manner == "drips":
                    select.select([self.connection], [], [], 0.2)
        if manner == "stalls" and is_layer:
            self.answer(200, body[: len(body) // 2], length=len(body))
            return self.hang()
        return self.answer(200, body, "application/octet-stream")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
# The test that started it holds its input open.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
