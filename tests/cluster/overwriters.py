"""Clients that write the same keys over and over with large values: the log grows, and what it comes to does
not; and the proof that nothing they were promised is lost."""
import contextlib
import threading
import time

from cluster import NODES
from grpc_put import PutClient

CLIENTS, KEYS, VALUE_BYTES = 4, 50, 15_000  # what one frame of HTTP/2 may hold
ANSWER_SECONDS = 2.0  # longer than an election


class Writer(threading.Thread):
    """Writes its keys over and over, each time with the next number. What a key has in the end is what was
    acknowledged last, or something that was sent later and never answered."""

    def __init__(self, cluster, number, first):
        super().__init__(daemon=True)
        self.cluster, self.number, self.going = cluster, number, True
        self.first, self.count, self.acknowledged = first, first, {}

    def run(self):
        turn, client = self.number, None
        while self.going:
            key, value = f'load/{self.number}/{self.count % KEYS}', f'{self.count}/'
            self.count += 1
            try:
                if client is None:
                    nodes = list(self.cluster.process) or NODES
                    client = PutClient(self.cluster.address(nodes[turn % len(nodes)]), ANSWER_SECONDS)
                if client.put(key.encode(), value.ljust(VALUE_BYTES, 'x').encode()):
                    self.acknowledged[key] = self.count - 1
            except OSError:
                turn += 1
                client = client and client.close()
                time.sleep(0.002)
        if client:
            client.close()


class Load:
    """Several loads one after the other; check() compares all of it with what the nodes have."""

    def __init__(self, cluster):
        self.cluster, self.next, self.acknowledged, self.total = cluster, 0, {}, 0

    @contextlib.contextmanager
    def running(self):
        writers = [Writer(self.cluster, number, self.next) for number in range(CLIENTS)]
        for writer in writers:
            writer.start()
        try:
            yield
        finally:
            for writer in writers:
                writer.going = False
            for writer in writers:
                writer.join()
                self.next = max(self.next, writer.count)
                self.acknowledged.update(writer.acknowledged)
                self.total += writer.count - writer.first

    def check(self):
        self.cluster.wait_leader()
        self.cluster.wait_equal()
        for i in self.cluster.process:
            found = self.cluster.get_prefix(i, 'load/')
            lost = [key for key, count in self.acknowledged.items()
                    if int(found.get(key, '-1/').split('/')[0]) < count]
            assert not lost, f'node {i} lost {len(lost)} of {len(self.acknowledged)}, such as {lost[:3]}'
