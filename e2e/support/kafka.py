"""A Kafka: librdkafka's mock cluster, which speaks the real protocol, and prints what arrived."""

import os
import subprocess
import threading
import time

from support.stack import BIN

MOCK = os.path.join(BIN, "controlplane", "export", "testing", "kafka_mock")


class Kafka:
    """`messages`: (partition, key, value)."""

    def __init__(self, topic="audit", partitions=1):
        self.messages = []
        self.process = subprocess.Popen([MOCK, topic, str(partitions)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        ready = self.process.stdout.readline().split()
        assert ready[0] == "ready"
        self.brokers = ready[1]
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            parts = line.rstrip("\n").split(" ", 2)
            if len(parts) == 3:
                self.messages.append((int(parts[0]), parts[1], parts[2]))

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def wait_for(self, predicate, seconds=60):
        deadline = time.monotonic() + seconds
        while not predicate(self.messages):
            assert time.monotonic() < deadline, self.messages[-3:]
            time.sleep(0.05)
        return list(self.messages)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
