"""A real PostgreSQL of its own for the tests: a fresh cluster in a temporary directory."""

import contextlib
import glob
import os
import pwd
import shutil
import subprocess
import tempfile

from support.ports import free_port

USER = "postgres"
PASSWORD = "correct-horse-battery-staple-7391"  # planted: must appear nowhere outside of the target


def _binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    if not found:
        raise RuntimeError("no PostgreSQL server found: apt-get install postgresql")
    return found[0]


class Postgres:
    """PostgreSQL refuses to run as root, so as root it runs as the user postgres."""

    def __init__(self, auth="scram-sha-256", settings=()):
        self.bin = _binaries()
        self.dir = tempfile.mkdtemp(prefix="chaperone-pg-")
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(self.dir, "log")
        self.port = free_port()
        self.password = PASSWORD
        self.as_user = USER if os.geteuid() == 0 else None
        if self.as_user:
            entry = pwd.getpwnam(USER)
            os.chown(self.dir, entry.pw_uid, entry.pw_gid)
        os.chmod(self.dir, 0o755)
        password_file = os.path.join(self.dir, "pw")
        with open(password_file, "w", encoding="ascii") as f:
            f.write(PASSWORD)
        os.chmod(password_file, 0o644)
        self._run("initdb", "-D", self.data, "-U", USER, "--pwfile", password_file,
                  "-A", auth, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        os.unlink(password_file)
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a", encoding="ascii") as f:
            for line in (f"port={self.port}", "listen_addresses='127.0.0.1'",
                         f"unix_socket_directories='{self.dir}'", "fsync=off",
                         "max_connections=200", "log_statement=all", "log_line_prefix='%m [%p] '",
                         # Nothing happens but what a test does: no sizes, plans or locks change meanwhile.
                         "logging_collector=off", "autovacuum=off", *settings):
                f.write(line + "\n")
        self.start()

    def _command(self, name, *args):
        command = [os.path.join(self.bin, name), *args]
        return ["runuser", "-u", self.as_user, "--", *command] if self.as_user else command

    def _run(self, name, *args):
        subprocess.run(self._command(name, *args), check=True, cwd="/", capture_output=True)

    def start(self):
        subprocess.run(self._command("pg_ctl", "-D", self.data, "-l", self.log, "-w", "start"),
                       check=True, cwd="/", stdout=subprocess.DEVNULL)

    def stop(self, mode="immediate"):
        subprocess.run(self._command("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop"),
                       check=False, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def env(self):
        """For a client that connects directly."""
        return dict(os.environ, PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER=USER,
                    PGPASSWORD=PASSWORD, PGDATABASE="postgres", PGSSLMODE="prefer")

    def psql(self, sql, database="postgres"):
        """Runs SQL directly, as the administrator; returns unaligned rows."""
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql],
                              env=self.env(), check=True, capture_output=True, text=True)
        return done.stdout.rstrip("\n")

    def _write_access(self, text):
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as f:
            f.write(text)
        loaded = self.psql("SELECT pg_conf_load_time()")
        self.psql("SELECT pg_reload_conf()")
        while self.psql("SELECT pg_conf_load_time()") == loaded:
            pass  # the server does not say when it has

    @contextlib.contextmanager
    def access(self, *rules):
        """With these lines before all others of pg_hba.conf."""
        with open(os.path.join(self.data, "pg_hba.conf"), encoding="ascii") as f:
            before = f.read()
        self._write_access("\n".join((*rules, before)))
        try:
            yield
        finally:
            self._write_access(before)

    def url(self, database="postgres"):
        return f"postgres://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"
