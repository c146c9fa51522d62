"""What a program does with jmaplib. Argument: where it looks for the session."""

import json
import sys

from jmap.auth import BasicAuth
from jmap.client import JMAPClient

with JMAPClient.connect(sys.argv[1], auth=BasicAuth("admin", "secret")) as client:
    uploaded = client.upload(b"x" * 300000)
    print(json.dumps({
        "api": client.session.api_url,
        "echo": client.echo(hello="world"),
        "size": uploaded.size,
        "downloaded": len(client.download(uploaded.blob_id)),
    }))
