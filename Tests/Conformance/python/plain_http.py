# Owns: requests in plain HTTP to the kubeconfig's cluster, as client-go makes them. It must not know what is asked.

import base64
import gzip
import http.client
import json
import os
import ssl
import tempfile
import urllib.parse

import yaml

JSON = "application/json"


class Server:
    """The kubeconfig's cluster."""

    def __init__(self, agent):
        self.agent = agent
        with open(os.environ["KUBECONFIG"], encoding="utf-8") as file:
            config = yaml.safe_load(file)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.address = urllib.parse.urlsplit(cluster["server"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:
            for member in ["client-certificate-data", "client-key-data"]:
                pair.write(base64.b64decode(user[member]) + b"\n")
            pair.flush()
            self.context.load_cert_chain(pair.name)

    def connect(self, timeout=300):
        return http.client.HTTPSConnection(
            self.address.hostname, self.address.port, context=self.context, timeout=timeout)

    def ask(self, connection, method, path, body=None, accept=JSON, form=JSON, **query):
        """`body`: an object to be sent as JSON, or bytes of the type `form`."""
        headers = {
            "Accept": accept,
            "User-Agent": f"{self.agent}/v0.0.0 (linux/amd64) kubernetes/$Format",
            "Accept-Encoding": "gzip",
        }
        if body is not None:
            headers["Content-Type"] = form
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body)
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        connection.request(method, target, body, headers)
        return connection.getresponse()

    def call(self, method, path, body=None, accept=JSON, form=JSON, **query):
        connection = self.connect()
        try:
            answer = self.ask(connection, method, path, body, accept, form, **query)
            data = answer.read()
            if answer.getheader("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            return answer.status, json.loads(data)
        finally:
            connection.close()


def lines(answer):
    """The lines of a stream as they come, unpacked where the server packed them."""
    if answer.getheader("Content-Encoding") == "gzip":
        answer = gzip.GzipFile(fileobj=answer)
    while line := answer.readline():
        if not line.endswith(b"\n"):
            raise ConnectionError("cut in the middle of a line")
        yield json.loads(line)
