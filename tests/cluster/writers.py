"""Clients that write without pause, and the proof that nothing they were promised is lost."""
import threading
import time

from cluster import NODES
from grpc_put import PutClient

CLIENTS = 8
FIRST_SECONDS = 30
WARM_SECONDS = 0.4  # more writes, no condition of anything
ANSWER_SECONDS = 2.0  # longer than an election: a request that meets one is answered after it


class Client(threading.Thread):
    """Puts without pause, and goes to another node when one does not answer. What is put, and what becomes of an
    acknowledgement, its subclasses say: next_put() and on_acknowledged(key)."""

    def __init__(self, cluster, number):
        super().__init__(daemon=True)
        self.cluster, self.number, self.going, self.error = cluster, number, True, None
        self.pause_seconds = 0  # behind each put

    def run(self):
        try:
            self.put_without_pause()
        except Exception as error:  # or the test would go on with fewer clients
            self.error = error

    def put_without_pause(self):
        turn, client = self.number, None
        while self.going:
            key, value = self.next_put()
            try:
                if client is None:
                    nodes = list(self.cluster.process) or NODES  # at times nobody runs
                    client = PutClient(self.cluster.address(nodes[turn % len(nodes)]), ANSWER_SECONDS)
                if client.put(key.encode(), value.encode()):
                    self.on_acknowledged(key)
                time.sleep(self.pause_seconds)
            except OSError:
                turn += 1
                client = client and client.close()
                time.sleep(0.002)
        if client:
            client.close()


def end_clients(clients):
    for client in clients:
        client.going = False
    for client in clients:
        client.join()
        if client.error:
            raise client.error


class Writer(Client):
    """Writes key after key, never the same twice; remembers which were acknowledged, and when."""

    def __init__(self, cluster, number, round_name):
        super().__init__(cluster, number)
        self.round_name, self.count = round_name, 0
        self.acknowledged = []  # (key, time)

    def next_put(self):
        self.count += 1
        key = f'{self.round_name}/{self.number}/{self.count - 1}'
        return key, key

    def on_acknowledged(self, key):
        self.acknowledged.append((key, time.monotonic()))


def wait_acknowledged(cluster, writers, since):
    """Until some client has got an answer after `since`."""
    cluster.wait('writes are acknowledged', lambda: any(
        writer.acknowledged and writer.acknowledged[-1][1] > since for writer in writers), FIRST_SECONDS)


def longest_gap(cluster, writers, since, seconds):
    """The longest time within so many seconds after `since` in which no client got an answer; more, if the first one
    took that long."""
    time.sleep(max(since + seconds - time.monotonic(), 0))
    wait_acknowledged(cluster, writers, since)
    times = sorted(at for writer in writers for _, at in list(writer.acknowledged) if at >= since)
    return max(b - a for a, b in zip([since] + times, times))


def under_writes(cluster, name, action):
    """action(writers) while eight clients write; then everything acknowledged must be on
    all nodes that run then."""
    writers = [Writer(cluster, number, name) for number in range(CLIENTS)]
    for writer in writers:
        writer.start()
    wait_acknowledged(cluster, writers, 0)
    time.sleep(WARM_SECONDS)
    result = action(writers)
    end_clients(writers)
    cluster.wait_leader()
    cluster.wait_equal()
    wanted = {key: key for writer in writers for key, _ in writer.acknowledged}
    assert wanted
    for i in cluster.process:
        found = cluster.get_prefix(i, name + '/')
        lost = [key for key in wanted if found.get(key) != key]
        assert not lost, f'{name}: node {i} lost {len(lost)} of {len(wanted)}, such as {lost[:3]}'
    return result, len(wanted)
