"""A syslog receiver: rsyslog with TLS (or plain TCP), started by hand, without a system's own."""

import os
import socket
import subprocess
import time

from support.ports import free_port

CONFIG = """
global(workDirectory="{dir}" maxMessageSize="2m" parser.escapeControlCharactersOnReceive="off"
       DefaultNetstreamDriverCAFile="{ca}"
       DefaultNetstreamDriverCertFile="{certificate}"
       DefaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="{mode}"
       StreamDriver.AuthMode="{auth}" {peers})
template(name="line" type="list") {{
  property(name="hostname") constant(value=" ")
  property(name="programname") constant(value=" ")
  property(name="msgid") constant(value=" ")
  property(name="pri") constant(value=" ")
  property(name="structured-data") constant(value="|")
  property(name="msg") constant(value="\\n")
}}
input(type="imtcp" address="127.0.0.1" port="{port}")
action(type="omfile" file="{out}" template="line" asyncWriting="off" flushOnTXEnd="on")
"""


class Rsyslog:
    """What it received is in `out`, a line for each message."""

    def __init__(self, directory, certificate="", key="", ca="", client=None, port=None, tls=True):
        self.dir = str(directory)
        self.port = port or free_port()
        self.out = os.path.join(self.dir, "received.log")
        self.config = os.path.join(self.dir, "rsyslog.conf")
        peers = f'PermittedPeer=["{client}"]' if client else ""
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(dir=self.dir, ca=ca, certificate=certificate, key=key,
                                  mode=1 if tls else 0, auth="x509/name" if client else "anon",
                                  peers=peers, port=self.port, out=self.out))
        self.process = None
        self.start()

    def start(self):
        with open(os.path.join(self.dir, "rsyslog.err"), "ab") as err:
            self.process = subprocess.Popen(
                ["rsyslogd", "-n", "-f", self.config, "-i", os.path.join(self.dir, "pid")],
                stdout=err, stderr=err)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, self.errors()
                time.sleep(0.02)

    def lines(self):
        """Those that are whole: the receiver may be writing the next one."""
        if not os.path.exists(self.out):
            return []
        with open(self.out, "rb") as f:
            whole, _, _ = f.read().rpartition(b"\n")
        return whole.decode("utf-8-sig").splitlines()

    def wait_for(self, predicate, seconds=60):
        deadline = time.monotonic() + seconds
        while not predicate(self.lines()):
            assert time.monotonic() < deadline, self.errors() + "\n".join(self.lines()[-5:])
            time.sleep(0.05)
        return self.lines()

    def errors(self):
        with open(os.path.join(self.dir, "rsyslog.err"), encoding="utf-8") as f:
            return f.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
