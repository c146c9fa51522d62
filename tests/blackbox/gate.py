"""The gate under test: the real binary, on a port of its own, in front of a stand-in."""

import http.client
import json
import os
import signal
import subprocess
import threading

from standin import SANITIZERS, USING, basic, binary
from waiting import wait_until


class Gate:
    """Starts on construction; use as a context manager, or stop() it."""

    def __init__(self, upstream_port, program=None, wrapper=(), **settings):
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("RENEWGATE_")}
        environment.update({
            "RENEWGATE_UPSTREAM_URL": f"http://127.0.0.1:{upstream_port}",
            "RENEWGATE_LISTEN": "127.0.0.1:0",
            "RENEWGATE_ADMIN_LISTEN": "127.0.0.1:0",
            "RENEWGATE_WORKERS": "1",
            **SANITIZERS,
        })
        environment.update({"RENEWGATE_" + key: str(value) for key, value in settings.items()})
        self.process = subprocess.Popen([*wrapper, program or binary("renewgate")], env=environment,
                                        stderr=subprocess.PIPE, text=True)
        self.lines = []
        ready = self._wait_until_ready()
        self.port = int(ready["listen"].rsplit(":", 1)[1])
        self.admin_port = int(ready["admin_listen"].rsplit(":", 1)[1])
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _wait_until_ready(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("{") and "admin_listen" in line:
                return json.loads(line)
        raise RuntimeError("the gate did not start:\n" + "\n".join(self.lines))

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the gate as an operator would; its exit status, after a look for sanitizers."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.reader.join(5)
        self.process.stderr.close()
        text = "\n".join(self.lines)
        assert "Sanitizer" not in text and "runtime error" not in text, text
        assert status == 0, f"exit status {status}\n{text}"
        return status

    def logged(self, words, count=1):
        """The log's lines with these words, once there are `count`; the last may be on its way."""
        def found():
            return [line for line in list(self.lines) if line.startswith("{") and words in line]

        try:
            wait_until(lambda: len(found()) >= count)
        except AssertionError:
            raise AssertionError(f"not {count} lines with {words}:\n" + "\n".join(self.lines)) from None
        return [json.loads(line) for line in found()]

    def decisions(self, count):
        return self.logged('"outcome":', count)

    def changes(self, count):
        """What collapses and sweeps have changed."""
        return self.logged('"action":', count)

    def request(self, method, target, body=None, headers=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def admin(self, target):
        status, _, body = self.request("GET", target, port=self.admin_port)
        return status, body.decode()

    def post(self, body, user="admin", target="/jmap/", headers=None):
        """Posts a JMAP request, given as bytes or as what becomes JSON."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = {"Content-Type": "application/json", "Authorization": basic(user)}
        fields.update(headers or {})
        status, _, content = self.request("POST", target, body, fields)
        return status, json.loads(content)

    def call(self, *calls, user="admin", headers=None, **members):
        """Method calls [name, arguments]; the responses' [name, arguments]."""
        body = {"using": USING, "methodCalls": [[*call, f"c{i}"] for i, call in enumerate(calls)]}
        status, answer = self.post({**body, **members}, user, headers=headers)
        assert status == 200, answer
        assert [response[2] for response in answer["methodResponses"]] == \
            [f"c{i}" for i in range(len(calls))]
        return [response[:2] for response in answer["methodResponses"]]

    def renew(self, domain="b", user="admin", headers=None, **create):
        """One create of an AcmeRenewal: the answered id, or the set error."""
        create = {"@type": "AcmeRenewal", "domainId": domain, **create}
        (name, answer), = self.call(["x:Task/set", {"create": {"k": create}}], user=user,
                                    headers=headers)
        assert name == "x:Task/set", answer
        assert None not in answer.values()
        if "created" in answer:
            assert set(answer) == {"accountId", "created"}
            return answer["created"]["k"]["id"]
        assert set(answer) == {"accountId", "notCreated"}
        return answer["notCreated"]["k"]
