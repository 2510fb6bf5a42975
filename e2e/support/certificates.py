"""Certificates, made with the openssl command as an administrator does."""

import os
import subprocess


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


class Authority:
    """A certificate authority of its own in `directory`."""

    def __init__(self, directory, name):
        self.directory = str(directory)
        self.name = name
        self.certificate = self._path("pem")
        self.key = self._path("key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.certificate, "-days", "2", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    @classmethod
    def of(cls, directory, name):
        """One that is there: NAME.pem and NAME.key."""
        found = cls.__new__(cls)
        found.directory, found.name = str(directory), name
        found.certificate, found.key = found._path("pem"), found._path("key")
        return found

    def _path(self, kind, name=None):
        return os.path.join(self.directory, f"{name or self.name}.{kind}")

    def issue(self, name, subject, alternative=None, key="ec:P-256", digest="sha256"):
        """(certificate, key): paths. `alternative`: "IP:127.0.0.1,DNS:db.test"."""
        certificate, private = self._path("pem", name), self._path("key", name)
        request, extensions = self._path("csr", name), self._path("ext", name)
        kind, _, parameter = key.partition(":")
        options = ["-pkeyopt", {"ec": "ec_paramgen_curve:", "rsa": "rsa_keygen_bits:"}[kind]
                   + parameter] if parameter else []
        openssl("req", "-new", "-newkey", kind, *options, "-nodes", "-keyout", private,
                "-out", request, "-subj", f"/CN={subject}")
        with open(extensions, "w", encoding="ascii") as f:
            f.write("basicConstraints=CA:FALSE\n")
            if alternative:
                f.write(f"subjectAltName={alternative}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-days", "2", f"-{digest}", "-extfile", extensions,
                "-out", certificate)
        return certificate, private
