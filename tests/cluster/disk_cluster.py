"""Three nodes, each with its data on a file system of its own that a test can break or fill up."""
import contextlib
import os
import shutil
import tempfile

from cluster import NODES, Cluster, skip
from grpc_put import PutClient
from loop_mount import IMAGE_MIB, LoopMount, cant

SEGMENT_MIB = 16  # the least: so a little is a lot
SEGMENTS = 3  # there from the start: the first, and those prepared ahead
QUOTA_MIB = 64  # the reserve is a snapshot of so much, and must find its room on these file systems
ANSWER_SECONDS = 10.0
# Of large values far less than the quota, so that it is the disk that refuses writes, and more than what a full
# disk has left, so that a full node makes no snapshot.
KEYS = 500


def check_needs():
    folder = tempfile.mkdtemp(prefix='skiff-fs-')
    reason = cant(folder)
    shutil.rmtree(folder)
    if reason:
        skip(f'not run: {reason}')


@contextlib.contextmanager
def disk_cluster(program, kind, mib=IMAGE_MIB, settings=''):
    """(cluster, {node: LoopMount}); the nodes are started."""
    with Cluster(program) as cluster, contextlib.ExitStack() as stack:
        disks = {i: stack.enter_context(LoopMount(kind, f'{cluster.folder}/n{i}', mib)) for i in NODES}
        stack.callback(lambda: [cluster.kill(i) for i in list(cluster.process)])
        for i in NODES:
            with open(cluster.config(i), 'a') as file:
                file.write(f'\nlog: {{ segment_mib: {SEGMENT_MIB}, segments_ahead: {SEGMENTS - 1} }}\n'
                           f'store: {{ quota_mib: {QUOTA_MIB} }}\n{settings}')
        cluster.start_new()
        # So that all have the same room from here on, and their reserves are a snapshot's and no more.
        cluster.wait('the first segments are prepared', lambda: all(is_prepared(cluster, i) for i in NODES))
        yield cluster, disks


def is_prepared(cluster, i):
    names = [name for name in os.listdir(cluster.data(i)) if name.startswith('wal-')]
    return len(names) == SEGMENTS and not any(name.endswith('.new') for name in names)


class Puts:
    """Writes one after the other through one node, the same keys over and over, and what was acknowledged of
    them. A value begins with its number."""

    def __init__(self, cluster):
        self.cluster, self.acknowledged, self.count, self.total = cluster, {}, 0, 0

    def put_all(self, i, value_bytes, count):
        """All of so many must be acknowledged. A machine that stands still for a moment may have an election, where
        one may be refused and is done again; without one, a refusal is a failure."""
        while count > 0:
            term = self.cluster.status([i])[i]['term']
            count -= self.put(i, value_bytes, count)
            if count > 0:
                self.cluster.wait_leader()
                assert self.cluster.status([i])[i]['term'] != term, f'node {i} refused a write'

    def put(self, i, value_bytes, count):
        """How many of so many were acknowledged; the first that is not is the last."""
        done = 0
        try:
            with contextlib.closing(PutClient(self.cluster.address(i), ANSWER_SECONDS)) as client:
                while done < count and self.put_one(client, value_bytes):
                    done += 1
        except OSError:
            pass  # a node that ends; what it did not answer is not acknowledged
        return done

    def put_one(self, client, value_bytes):
        key, number = f'key/{self.count % KEYS}', self.count
        self.count += 1
        if not client.put(key.encode(), f'{number}/{"x" * value_bytes}'.encode()):
            return False
        self.acknowledged[key] = number
        self.total += 1
        return True

    def check_all(self):
        """Everything acknowledged is on every node, or what was sent later, and all are equal."""
        self.cluster.wait_equal()
        for i in NODES:
            found = {key: value_number(value) for key, value in self.cluster.get_prefix(i, 'key/').items()}
            lost = [key for key, number in self.acknowledged.items() if found.get(key, -1) < number]
            assert not lost, f'node {i} lost {len(lost)} of {len(self.acknowledged)} keys, such as {lost[:3]}'


def value_number(value):
    return int(value.partition('/')[0])


def log_says(cluster, i, text):
    with open(cluster.log(i)) as log:
        return text in log.read()
