"""Exports: what has been recorded arrives, at least once, whatever happens on the way."""

import glob
import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from support.certificates import Authority
from support.kafka import Kafka
from support.ports import free_port
from support.stack import CONTROLPLANE
from support.syslog import Rsyslog


class Exports:
    """A stack with jobs; `where` is the folder that their files are in."""

    def __init__(self, made, where):
        self.stack = made
        self.where = str(where)
        self.metrics_port = free_port()
        self.plain = made.read("controlplane.yaml")

    def write(self, jobs):
        self.stack.write("controlplane.yaml", self.plain
                         + f'\nmetrics: {{listen: "127.0.0.1:{self.metrics_port}"}}\nexports:\n'
                         + jobs.replace("@", self.where))

    def run(self, jobs):
        self.stack.controlplane.stop()
        self.write(jobs)
        self.stack.start_controlplane()
        self.stack.wait_until_ready()
        return self

    def jobs(self):
        done = self.stack.chaperone("audit", "jobs", "--json", check=False)
        return {j["name"]: j for j in map(json.loads, done.stdout.splitlines())}

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {m.group(1): float(m.group(2)) for m in re.finditer(r"^(\S+) (\S+)$", text, re.M)}

    def count(self):
        """The position of the newest record that the control plane has."""
        return int(self.metrics()["chaperone_records_total"])

    def newest(self, seconds=60):
        """The same, when all that the sidecar has recorded up to now has arrived."""
        recorded = self.stack.metrics()["records_total"]
        deadline = time.monotonic() + seconds
        while self.stack.metrics()["records_acknowledged_total"] < recorded:
            assert time.monotonic() < deadline, self.stack.logs()
            time.sleep(0.02)
        return self.count()

    def wait_for_job(self, name, predicate, seconds=90):
        """The job as it is when `predicate` holds."""
        deadline = time.monotonic() + seconds
        while not predicate(job := self.jobs().get(name, {"state": ""})):
            assert time.monotonic() < deadline, f"{job}\n{self.stack.controlplane.log()}"
            time.sleep(0.05)
        return job

    def statements(self, count, mark="x"):
        self.stack.psql(stdin="".join(f"SELECT '{mark} {i}';\n" for i in range(count)))

    def files(self, name):
        """The records in all files of a job, also in the one that is being written."""
        while True:
            try:
                return [json.loads(line) for path in self.paths(name) for line in whole_lines(path)]
            except FileNotFoundError:  # one was given its name meanwhile
                pass

    def paths(self, name):
        return sorted(glob.glob(os.path.join(self.where, "out", f"{name}-*.jsonl*")))


def whole_lines(path):
    """Not one that is being written."""
    with open(path, encoding="utf-8") as f:
        return f.read().split("\n")[:-1]


@pytest.fixture
def exports(parts, tmp_path):
    return Exports(parts(), tmp_path)


def positions(records):
    return [r["position"] for r in records]


def assert_complete(found, newest):
    """All are there; those that came twice apart, in their order."""
    missing = missing_of(found, newest)
    assert not missing, f"{len(missing)} of {newest} are missing, such as {min(missing)}"


def missing_of(found, newest):
    return set(range(1, newest + 1)) - set(found)


FILE_JOB = "  - {name: lake, from: beginning, file: {directory: '@/out'}}\n"


def until_outcome(exports, text):
    """Seconds from before a statement until its outcome is in the file."""
    began = time.monotonic()
    exports.stack.psql("-c", text)
    while True:
        records = exports.files("lake")
        asked = {(r["session"], r["operation"]) for r in records if r["kind"] == "intent" and r["text"] == text}
        if any(r["kind"] == "outcome" and (r["session"], r["operation"]) in asked for r in records):
            return time.monotonic() - began
        assert time.monotonic() - began < 60, records[-4:]
        time.sleep(0.02)


def test_records_are_in_the_file_soon_after_they_happen(exports):
    exports.run(FILE_JOB)
    exports.wait_for_job("lake", lambda j: j["state"] == "running" and j["lag_records"] == 0)
    took = [until_outcome(exports, f"SELECT 'needle {n}'") for n in range(5)]
    assert min(took) < 2, took  # what else the machine does is no delay of the job's
    newest = exports.newest()
    exports.wait_for_job("lake", lambda j: j["position"] >= newest)
    found = positions(exports.files("lake"))
    assert found == sorted(set(found)) and found[:newest] == list(range(1, newest + 1))
    exports.wait_for_job("lake", lambda j: j["lag_records"] <= 2)  # heartbeats go on to arrive
    metrics = exports.metrics()
    assert 'chaperone_export_lag_records{job="lake"}' in metrics
    assert metrics['chaperone_export_failing{job="lake"}'] == 0
    assert metrics['chaperone_export_records_total{job="lake"}'] >= newest
    exports.stack.controlplane.stop()
    assert not glob.glob(os.path.join(exports.where, "out", "*.part"))


def test_ocsf_is_a_format_of_each_line(exports):
    exports.run("  - {name: lake, format: ocsf, from: beginning, file: {directory: '@/out'}}\n")
    exports.statements(1)
    newest = exports.newest()
    exports.wait_for_job("lake", lambda j: j["position"] >= newest and j["records"] > 5)
    events = exports.files("lake")
    assert all("class_uid" in e and "metadata" in e for e in events)
    assert {6005, 3002} <= {e["class_uid"] for e in events}


def test_a_job_has_its_filter(exports):
    exports.run("  - name: reads\n    from: beginning\n    filter: {kinds: [intent], verdict: allow}\n"
                "    file: {directory: '@/out'}\n"
                "  - name: nobody\n    from: beginning\n    filter: {identity: somebody-else}\n"
                "    file: {directory: '@/out'}\n")
    exports.statements(3)
    newest = exports.newest()
    for name in ("reads", "nobody"):
        exports.wait_for_job(name, lambda j: j.get("position", 0) >= newest)
    found = exports.files("reads")
    assert found and {r["kind"] for r in found} == {"intent"}
    assert {r["verdict"] for r in found} == {"allow"}
    assert exports.files("nobody") == []


def test_a_scheduled_job_writes_whole_files_with_manifests(exports):
    exports.run("  - name: hourly\n    from: beginning\n    schedule: {every: 3s}\n"
                "    file: {directory: '@/out', compress: gzip}\n")
    newest = exports.newest()
    exports.wait_for_job("hourly", lambda j: j["position"] >= newest)
    exports.stack.controlplane.stop()  # else the next file may be begun at any moment
    paths = sorted(glob.glob(os.path.join(exports.where, "out", "hourly-*.manifest.json")))
    found = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            manifest = json.load(f)
        if manifest["file"]:
            file = os.path.join(exports.where, "out", manifest["file"])
            with open(file, "rb") as f:
                content = f.read()
            digest = subprocess.run(["sha256sum", file], check=True, capture_output=True, text=True)
            assert manifest["sha256"] == "\\x" + digest.stdout.split()[0]
            assert manifest["size"] == len(content)
            lines = gzip.decompress(content).decode().splitlines()
            assert len(lines) == manifest["records"]
            found += positions(map(json.loads, lines))
    assert found[:newest] == list(range(1, newest + 1))
    assert not glob.glob(os.path.join(exports.where, "out", "*.part"))


# ---- syslog


@pytest.fixture
def rsyslog(tmp_path):
    """With a certificate for 127.0.0.1, for clients that the same authority knows as "exporter"."""
    ca = Authority(tmp_path, "syslog-ca")
    ca.issue("server", "receiver", "IP:127.0.0.1,DNS:receiver.test")
    ca.issue("client", "exporter", "DNS:exporter")
    made = []

    def make(**options):
        folder = tmp_path / f"rsyslog-{len(made)}"
        folder.mkdir()
        made.append(Rsyslog(folder, str(tmp_path / "server.pem"), str(tmp_path / "server.key"),
                            ca.certificate, **options))
        return made[-1]

    yield make
    for running in made:
        running.stop()


def syslog_job(receiver, tls, more=""):
    return (f"  - name: siem\n    from: beginning\n    syslog:\n"
            f"      address: 127.0.0.1:{receiver.port}\n      tls: {{{tls}}}\n{more}")


TLS = ("ca_file: '@/syslog-ca.pem', certificate: {file: '@/client.pem'}, "
       "key: {file: '@/client.key'}")


def received(receiver):
    """(header, record) of each message."""
    found = []
    for line in receiver.lines():
        header, _, text = line.partition("|")
        found.append((header, json.loads(text.strip().lstrip("\ufeff"))))
    return found


def wait_for_all(receiver, newest):
    """What it took it may still have to write down."""
    receiver.wait_for(lambda _: not missing_of(positions(r for _, r in received(receiver)), newest))


def test_rsyslog_gets_every_record_over_tls(exports, rsyslog):
    receiver = rsyslog(client="exporter")
    exports.run(syslog_job(receiver, TLS, "      hostname: cp-1\n"))
    exports.stack.psql("-c", "SELECT 'grüße ]\" \\ \n second line'")
    newest = exports.newest()
    exports.wait_for_job("siem", lambda j: j["position"] >= newest)
    wait_for_all(receiver, newest)
    found = received(receiver)
    assert positions(r for _, r in found)[:newest] == list(range(1, newest + 1))
    header, record = next((h, r) for h, r in found
                          if r["kind"] == "intent" and "grüße" in (r["text"] or ""))
    assert record["text"] == "SELECT 'grüße ]\" \\ \n second line'"
    assert header.startswith("cp-1 chaperone intent 110 [chaperone@32473 position=")
    assert f'session="{record["session"]}"' in header


@pytest.mark.parametrize("tls, reason", [
    ("ca_file: '@/other.pem', certificate: {file: '@/client.pem'}, key: {file: '@/client.key'}",
     "self-signed certificate|unable to get local issuer"),
    (TLS + ", server_name: somebody.test", "hostname mismatch"),
    ("ca_file: '@/syslog-ca.pem', certificate: {file: '@/client.pem'}, "
     "key: {file: '@/server.key'}", "not the certificate's private key"),
    ("ca_file: '@/syslog-ca.pem', certificate: {file: '@/none.pem'}, key: {file: '@/none.key'}",
     "none.pem"),
])
def test_nothing_is_sent_to_whom_is_not_known(exports, rsyslog, tmp_path, tls, reason):
    Authority(tmp_path, "other")
    receiver = rsyslog(client="exporter")
    exports.run(syslog_job(receiver, tls))
    job = exports.wait_for_job("siem", lambda j: j["state"] == "failing" and j["failures"] > 1)
    assert re.search(reason, job["error"]), job["error"]
    assert job["position"] == 0 and receiver.lines() == []
    said = [e for e in exports.stack.controlplane.events() if e["event"] == "export_failed"]
    assert len({e["reason"] for e in said}) == len(said)  # each reason once
    assert exports.stack.chaperone("audit", "jobs", check=False).returncode == 1
    assert exports.metrics()['chaperone_export_failing{job="siem"}'] == 1


def test_a_receiver_that_was_away_gets_what_it_missed(exports, rsyslog):
    receiver = rsyslog(client="exporter")
    exports.run(syslog_job(receiver, TLS))
    wait_for_all(receiver, exports.newest())
    receiver.stop()
    exports.statements(30, "while it was away")
    exports.wait_for_job("siem", lambda j: j["state"] == "failing")
    receiver.start()
    newest = exports.newest()
    exports.wait_for_job("siem", lambda j: j["position"] >= newest)
    wait_for_all(receiver, newest)


def test_a_receiver_that_stops_reading_is_left_and_tried_again(exports, rsyslog):
    receiver = rsyslog(client="exporter")
    exports.run(syslog_job(receiver, TLS, "      timeout: 2s\n      message_max: 180KiB\n"))
    exports.wait_for_job("siem", lambda j: j["lag_records"] == 0 and j["records"] > 0)
    receiver.process.send_signal(signal.SIGSTOP)
    try:
        large = "x" * 150_000
        exports.stack.psql(stdin="".join(f"SELECT {i} -- {large}\n;\n" for i in range(80)))
        job = exports.wait_for_job("siem", lambda j: j["state"] == "failing")
        assert re.search("takes no records|no answer for 2000 ms", job["error"]), job["error"]
        exports.stack.psql("-c", "SELECT 'the agent goes on'")
    finally:
        receiver.process.send_signal(signal.SIGCONT)
    newest = exports.newest()
    exports.wait_for_job("siem", lambda j: j["position"] >= newest)
    wait_for_all(receiver, newest)


# ---- Kafka


@pytest.fixture
def kafka():
    running = Kafka(partitions=3)
    yield running
    running.close()


def kafka_job(broker, more=""):
    return (f"  - {{name: bus, from: beginning, kafka: {{brokers: ['{broker.brokers}'], "
            f"topic: audit{more}}}}}\n")


def test_kafka_gets_every_record_by_its_session(exports, kafka):
    exports.run(kafka_job(kafka, ", options: {compression.type: zstd}"))
    exports.statements(5)
    newest = exports.newest()
    exports.wait_for_job("bus", lambda j: j["position"] >= newest)
    found = kafka.wait_for(lambda m: not missing_of([json.loads(v)["position"] for _, _, v in m], newest))
    records = [(partition, key, json.loads(value)) for partition, key, value in found]
    assert_complete(positions(r for _, _, r in records), newest)
    for _, key, record in records:
        assert key == (record["session"] or record["sidecar"])
    of = {}
    for partition, key, record in records:
        of.setdefault(key, []).append((partition, record["position"]))
    for places in of.values():
        assert len({partition for partition, _ in places}) == 1
        assert [p for _, p in places] == sorted(p for _, p in places)


def test_a_broker_that_is_away_is_a_reason_and_then_forgotten(exports, kafka):
    exports.run(kafka_job(kafka))
    exports.wait_for_job("bus", lambda j: j["lag_records"] == 0)
    kafka.order("down")
    exports.statements(5)
    exports.wait_for_job("bus", lambda j: j["state"] == "failing")
    kafka.order("up")
    newest = exports.newest()
    exports.wait_for_job("bus", lambda j: j["position"] >= newest, 90)
    found = kafka.wait_for(lambda m: len({json.loads(v)["position"] for _, _, v in m}) >= newest)
    assert_complete([json.loads(v)["position"] for _, _, v in found], newest)


# ---- faults


def test_nothing_is_missing_after_kill_9_in_mid_stream(exports, rsyslog, kafka):
    receiver = rsyslog(client="exporter")
    exports.run(FILE_JOB + syslog_job(receiver, TLS) + kafka_job(kafka))
    ended = threading.Event()

    def load():
        while not ended.is_set():
            exports.stack.psql(stdin="".join(f"SELECT {i};\n" for i in range(200)), check=False)

    worker = threading.Thread(target=load)
    worker.start()
    try:
        for n in range(5):
            before = exports.count()
            while exports.count() < before + 150 + 100 * n:
                time.sleep(0.005)
            exports.stack.controlplane.kill()
            exports.stack.start_controlplane()
    finally:
        ended.set()
        worker.join(120)
    exports.stack.wait_until_ready()
    newest = exports.newest()
    for name in ("lake", "siem", "bus"):
        exports.wait_for_job(name, lambda j: j.get("position", 0) >= newest, 90)
    exports.stack.controlplane.stop()
    assert newest > 1500
    lake = positions(exports.files("lake"))
    assert_complete(lake, newest)
    wait_for_all(receiver, newest)
    found = kafka.wait_for(lambda m: len({json.loads(v)["position"] for _, _, v in m}) >= newest)
    assert_complete([json.loads(v)["position"] for _, _, v in found], newest)


def wait_until_no_line_is_torn(exports, seconds=60):
    """It tries again and again: until what did not fit is cut off."""
    deadline = time.monotonic() + seconds
    while True:
        exports.files("lake")  # each whole line is a record
        torn = [path for path in exports.paths("lake") if not ends_with_a_line(path)]
        if not torn:
            return
        assert time.monotonic() < deadline, torn
        time.sleep(0.01)


def ends_with_a_line(path):
    try:
        with open(path, "rb") as f:
            return f.read()[-1:] in (b"", b"\n")
    except FileNotFoundError:  # it has another name now
        return False


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted")
def test_a_full_disk_is_a_reason_and_leaves_no_torn_line(exports):
    small = os.path.join(exports.where, "out")
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", small], check=True)
    try:
        exports.run(FILE_JOB)
        exports.statements(200)
        job = exports.wait_for_job("lake", lambda j: j["state"] == "failing")
        assert "No space left" in job["error"]
        wait_until_no_line_is_torn(exports)
        exports.stack.psql("-c", "SELECT 'the agent goes on'")
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        newest = exports.newest()
        exports.wait_for_job("lake", lambda j: j["position"] >= newest)
        assert_complete(positions(exports.files("lake")), newest)
    finally:
        exports.stack.controlplane.stop()
        subprocess.run(["umount", small], check=True)


def test_a_stuck_receiver_does_not_hold_up_the_end(exports):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        port = listener.getsockname()[1]
        exports.run(f"  - {{name: siem, from: beginning, syslog: {{address: '127.0.0.1:{port}'}}}}\n")
        stuck, _ = listener.accept()  # and never answers the handshake
        began = time.monotonic()
        assert exports.stack.controlplane.stop() == 0
        assert time.monotonic() - began < 20  # with the grace of 10 that connected sidecars have
        stuck.close()


# ---- configuration


def test_a_mistake_is_found_by_check_and_a_reload_exchanges_jobs(exports):
    exports.write("  - {name: bus, kafka: {brokers: ['a:1'], topic: t, options: {acks: 1}}}\n")
    check = [CONTROLPLANE, "--config", exports.stack.path("controlplane.yaml"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "kafka.options.acks: expected another option" in done.stderr
    exports.write("  - {name: bus, kafka: {brokers: ['a:1'], topic: t, options: {lingr: 1}}}\n")
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "kafka.options.lingr: expected an option" in done.stderr
    exports.run(FILE_JOB)
    exports.write(FILE_JOB.replace("lake", "pond"))
    exports.stack.controlplane.signal(signal.SIGHUP)
    exports.stack.controlplane.wait_for("configuration_reloaded")
    assert list(exports.jobs()) == ["pond"]
    exports.wait_for_job("pond", lambda j: j["records"] > 0)
