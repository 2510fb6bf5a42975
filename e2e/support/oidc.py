"""A certified OpenID provider (node/provider.mjs), as its clients and its administrator see it."""

import json
import os
import subprocess
import urllib.parse
import urllib.request

from support.ports import free_port

NODE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "node")


class Provider:
    """`clients`: {"id": ..., "groups": [...], ...}: what the tokens of each of them say.
    `people`: {NAME: {"groups": [...], ...}}: the same for those who log in with `chaperone login`."""

    def __init__(self, clients, people=None):
        env = dict(os.environ, OIDC_CLIENTS=json.dumps(clients), NODE_NO_WARNINGS="1",
                   OIDC_PEOPLE=json.dumps(people or {}), OIDC_PORT=str(free_port()))
        self.process = subprocess.Popen(["node", os.path.join(NODE, "provider.mjs")], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        about = self._answer()
        self.issuer = about["issuer"]
        self.resource = about["resource"]

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError("the OpenID provider ended")

    def order(self, what, **details):
        self.process.stdin.write(json.dumps({"do": what, **details}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def forge(self, **details):
        return self.order("forge", **details)["token"]

    def get(self, path):
        with urllib.request.urlopen(self.issuer + path, timeout=60) as answer:
            return json.load(answer)

    def token(self, client, resource=None):
        """As an agent gets it: the client credentials grant at the discovered endpoint."""
        endpoint = self.get("/.well-known/openid-configuration")["token_endpoint"]
        form = {"grant_type": "client_credentials", "client_id": client,
                "client_secret": "the-client-secret", "resource": resource or self.resource}
        with urllib.request.urlopen(endpoint, urllib.parse.urlencode(form).encode(),
                                    timeout=60) as answer:
            return json.load(answer)["access_token"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
