"""What a program does with jmapc. Argument: the host to log in at, by https."""

import dataclasses
import json
import sys
import tempfile

import jmapc
import jmapc.methods


@dataclasses.dataclass
class TaskSet(jmapc.methods.CustomMethod):
    def __post_init__(self):
        super().__post_init__()
        self.jmap_method = "x:Task/set"


client = jmapc.Client.create_with_password(sys.argv[1], "admin", "secret")
create = {"k": {"@type": "AcmeRenewal", "domainId": "b"}}
with tempfile.NamedTemporaryFile(suffix=".txt") as file:
    file.write(b"x" * 300000)
    file.flush()
    blob = client.upload_blob(file.name)
print(json.dumps({
    "api": client.jmap_session.api_url,
    "echo": client.request(jmapc.methods.CoreEcho(data={"hello": "world"})).data,
    "ids": [client.request(TaskSet(data={"create": create})).data["created"]["k"]["id"]
            for _ in range(3)],
    "size": blob.size,
}))
