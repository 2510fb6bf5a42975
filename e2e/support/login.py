"""`chaperone login` as a person sees it: a home directory, a browser, and the command waiting for it."""

import http.cookiejar
import json
import os
import re
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser

from support.stack import CHAPERONE


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields, self.ended = None, {}, False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = values["action"]
        elif tag == "input" and self.action and not self.ended and "name" in values:
            self.fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag):
        self.ended = self.ended or (tag == "form" and self.action is not None)


class Browser:
    """Follows redirects, keeps cookies, fills the provider's forms as this person."""

    def __init__(self, name):
        self.name = name
        self.cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), self.cookies)

    def open(self, url, form=None, **answers):
        """(status, address, page) after all forms were sent; `answers` fill in fields."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self.opener.open(url, data, timeout=60) as answer:
                status, address, page = answer.status, answer.url, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.url, error.read().decode()
        found = _Form(page)
        if found.action is None or "abort" in (form or {}):
            return status, address, page
        fields = {**found.fields, **answers}
        for field in ("login", "password"):
            if field in fields:
                fields[field] = self.name
        return self.open(urllib.parse.urljoin(address, found.action), fields, **answers)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):  # pylint: disable=arguments-differ
        return None


class Home:
    """A person's machine: their own files, no tokens from elsewhere."""

    def __init__(self, path, **config):
        self.path = str(path)
        self.state = os.path.join(self.path, ".local", "state", "chaperone")
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("CHAPERONE_", "XDG_")) and k != "DISPLAY"}
        self.env["HOME"] = self.path
        os.makedirs(os.path.join(self.path, ".config", "chaperone"), exist_ok=True)
        self.configure(**config)

    def configure(self, **config):
        with open(os.path.join(self.path, ".config", "chaperone", "config.yaml"), "w",
                  encoding="utf-8") as f:
            json.dump(config, f)

    def run(self, *args, **env):
        return subprocess.run([CHAPERONE, *args], env={**self.env, **env}, capture_output=True,
                              text=True, check=False, timeout=120)

    def login(self, *args, **env):
        return Login(self, *args, **env)

    def files(self):
        directory = os.path.join(self.state, "logins")
        names = sorted(os.listdir(directory)) if os.path.exists(directory) else []
        return [os.path.join(directory, name) for name in names]

    def stored(self):
        (file,) = self.files()
        with open(file, encoding="utf-8") as f:
            return json.load(f)

    def store(self, **changes):
        """Changes what is stored, as time or a wicked hand would."""
        (file,) = self.files()
        with open(file, encoding="utf-8") as f:
            stored = json.load(f)
        with open(file, "w", encoding="utf-8") as f:
            json.dump({**stored, **changes}, f)


class Login:
    """The command while it waits; `wait` for its end: `code`, `out`, `said`."""

    def __init__(self, home, *args, **env):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([CHAPERONE, "login", *args], env={**home.env, **env},
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.timer = threading.Timer(120, self.process.kill)
        self.timer.start()
        self.said = ""
        self.out = ""
        self.code = None

    def read_until(self, pattern):
        """The first match in what it says; it goes on waiting."""
        for line in self.process.stderr:
            self.said += line
            found = re.search(pattern, line)
            if found:
                return found.group(0)
        raise AssertionError("it did not say that: " + self.said)

    def address(self):
        """The URL to be opened; when it is there, the command waits."""
        address = self.read_until(r"^https?://\S+")
        self.read_until("Waiting")
        return address

    def wait(self):
        try:
            self.out = self.process.stdout.read()
            self.said += self.process.stderr.read()
            self.code = self.process.wait()
        finally:
            self.timer.cancel()
            self.process.stdout.close()
            self.process.stderr.close()
        return self

    def succeed(self):
        self.wait()
        assert self.code == 0, self.said
        return self


class LossyRelay:
    """Between the command and the control plane. It loses the first answer that comes when `is_next` holds, and all
    behind it; `lost` says that it has."""

    def __init__(self, port, is_next):
        self.target = port
        self.is_next = is_next
        self.lost = threading.Event()
        self.connections = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            target = socket.create_connection(("127.0.0.1", self.target))
            self.connections.append((client, target))
            threading.Thread(target=self._carry, args=(client, target), daemon=True).start()
            threading.Thread(target=self._carry_answers, args=(target, client), daemon=True).start()

    @staticmethod
    def _carry(source, to):
        try:
            while data := source.recv(65536):
                to.sendall(data)
        except OSError:
            pass

    def _carry_answers(self, source, to):
        loses = False
        try:
            while data := source.recv(65536):
                loses = loses or (not self.lost.is_set() and self.is_next())
                if loses:
                    self.lost.set()
                else:
                    to.sendall(data)
        except OSError:
            pass

    def cut(self):
        """Ends the connections that there are; new ones are as they should be."""
        for pair in self.connections:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # its other side has ended it already
        self.connections = []

    def close(self):
        self.server.close()
