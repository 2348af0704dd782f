"""Clients that write without pause, and the proof that nothing they were promised is lost."""
import threading
import time

from grpc_put import PutClient

CLIENTS = 8
ANSWER_SECONDS = 2.0  # longer than an election: a request that meets one is answered after it


class Writer(threading.Thread):
    """Writes key after key, never the same twice; remembers which were acknowledged, and when."""

    def __init__(self, cluster, number, round_name):
        super().__init__(daemon=True)
        self.cluster, self.number, self.round_name = cluster, number, round_name
        self.acknowledged = []  # (key, time)
        self.going = True

    def run(self):
        turn = self.number
        client, count = None, 0
        while self.going:
            key = f'{self.round_name}/{self.number}/{count}'
            count += 1
            try:
                if client is None:
                    nodes = list(self.cluster.process)
                    client = PutClient(self.cluster.address(nodes[turn % len(nodes)]),
                                       ANSWER_SECONDS)
                if client.put(key.encode(), key.encode()):
                    self.acknowledged.append((key, time.monotonic()))
            except OSError:
                turn += 1
                client = client and client.close()
                time.sleep(0.002)
        if client:
            client.close()


def longest_gap(writers, since):
    """The longest time after `since` in which no client got an answer."""
    times = sorted(at for writer in writers for _, at in writer.acknowledged if at >= since)
    assert times, 'no write was acknowledged after the kill'
    return max(b - a for a, b in zip([since] + times, times))


def under_writes(cluster, name, action):
    """action(writers) while eight clients write; then everything acknowledged must be on
    all nodes that run then."""
    writers = [Writer(cluster, number, name) for number in range(CLIENTS)]
    for writer in writers:
        writer.start()
    time.sleep(0.5)
    result = action(writers)
    for writer in writers:
        writer.going = False
    for writer in writers:
        writer.join()
    cluster.wait_leader()
    cluster.wait_equal()
    wanted = {key: key for writer in writers for key, _ in writer.acknowledged}
    assert wanted
    for i in cluster.process:
        found = cluster.get_prefix(i, name + '/')
        lost = [key for key in wanted if found.get(key) != key]
        assert not lost, f'{name}: node {i} lost {len(lost)} of {len(wanted)}, such as {lost[:3]}'
    return result, len(wanted)
