"""Clients that write the same keys over and over with large values: the log grows, and what it comes to does
not; and the proof that nothing they were promised is lost."""
import contextlib

from writers import Client, end_clients

CLIENTS, KEYS, VALUE_BYTES = 4, 50, 15_000  # what one frame of HTTP/2 may hold
SLOW_SECONDS = 0.015  # between two of a client: 4 MiB a second together, at most


class Overwriter(Client):
    """Writes its keys over and over, each time with the next number. What a key has in the end is what was
    acknowledged last, or something that was sent later and never answered."""

    def __init__(self, cluster, number, first):
        super().__init__(cluster, number)
        self.first, self.count, self.acknowledged = first, first, {}

    def next_put(self):
        self.count += 1
        return f'load/{self.number}/{(self.count - 1) % KEYS}', f'{self.count - 1}/'.ljust(VALUE_BYTES, 'x')

    def on_acknowledged(self, key):
        self.acknowledged[key] = self.count - 1


class Load:
    """Several loads one after the other; check() compares all of it with what the nodes have."""

    def __init__(self, cluster):
        self.cluster, self.next, self.acknowledged, self.total = cluster, 0, {}, 0
        self.writers = []

    @contextlib.contextmanager
    def running(self):
        self.writers = [Overwriter(self.cluster, number, self.next) for number in range(CLIENTS)]
        for writer in self.writers:
            writer.start()
        try:
            yield
        finally:
            end_clients(self.writers)
            for writer in self.writers:
                self.next = max(self.next, writer.count)
                self.acknowledged.update(writer.acknowledged)
                self.total += writer.count - writer.first

    def slow_down(self):
        """So that a node that is far behind can come back, however quick the disk is: at full speed the next
        snapshot may be there before the last one has travelled, and so on."""
        for writer in self.writers:
            writer.pause_seconds = SLOW_SECONDS

    def check(self):
        self.cluster.wait_leader()
        self.cluster.wait_equal()
        for i in self.cluster.process:
            found = self.cluster.get_prefix(i, 'load/')
            lost = [key for key, count in self.acknowledged.items()
                    if int(found.get(key, '-1/').split('/')[0]) < count]
            assert not lost, f'node {i} lost {len(lost)} of {len(self.acknowledged)}, such as {lost[:3]}'
