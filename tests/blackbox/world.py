"""A stand-in for the server, and what a test does with it."""

import http.client
import json
import subprocess

import pytest

from gate import BUILD, basic


class StandIn:
    def __init__(self, version):
        self.version = version
        self.process = None
        self.start()

    def start(self, port=0):
        self.process = subprocess.Popen(
            [BUILD / "stalwart-standin", "--version-like", self.version,
             "--listen", f"127.0.0.1:{port}", "--control", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        assert words[:1] == ["ready"], words
        ports = dict(word.split("=") for word in words[1:])
        self.port, self.control_port = int(ports["listen"]), int(ports["control"])

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.process.stdout.close()

    def _request(self, port, method, target, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, target, None if body is None else json.dumps(body),
                               headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def control(self, method, target, body=None):
        status, content = self._request(self.control_port, method, target, body)
        assert status == 200, content
        return json.loads(content)

    def put_state(self, state):
        self.control("PUT", "/state", state)
        self.control("DELETE", "/faults")
        self.control("POST", "/counters/reset")

    def state(self):
        return self.control("GET", "/state")

    def counters(self):
        return self.control("GET", "/counters")

    def fault(self, **fault):
        self.control("POST", "/faults", fault)

    def log(self):
        return self.control("GET", "/log")

    def run(self):
        return self.control("POST", "/run")

    def post(self, body, user="admin"):
        """A JMAP request straight to the server, past the gate."""
        _, content = self._request(self.port, "POST", "/jmap/", body, {
            "Content-Type": "application/json", "Authorization": basic(user)})
        return json.loads(content)


@pytest.fixture(params=["v0.16.5", "v0.16.18"])
def standin(request):
    server = StandIn(request.param)
    yield server
    server.stop()
