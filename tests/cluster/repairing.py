#!/usr/bin/env python3
"""Goal:   a real node whose disk has lost records below the durable mark fetches them from the others, and
        serves what they serve: one sector of a small record, of a large one, in the log of a follower
        and of the leader; and when each of three nodes has lost another record, so that none of them
        could lead, they repair each other.
Method: a value that is written once is found in the log file by its bytes, and one bit there flipped
        while the node is down. `inspect` must see the damage, the status must tell of the repair, and
        in the end all digests are equal and each node itself has each value.
"""
import os
import sys

from cluster import NODES, Cluster

DATA = 3  # exit code of inspect --verify
LARGE = 100_000
VALUES = {f'key{i}': f'needle{i:03}' * (LARGE // 9 if i % 10 == 5 else 40) for i in range(30)}


def write_all(c):
    for i, (key, value) in enumerate(VALUES.items()):
        c.etcdctl(NODES[i % 3], 'put', key, text=value)
    c.wait_equal()


def flip_one_bit(path, at):
    with open(path, 'r+b') as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def damage(c, i, key):
    """Wherever node i's log has the value: a copy above the mark of an earlier start is hit too."""
    needle, hits = VALUES[key][:9].encode(), 0
    assert i not in c.process
    for name in sorted(os.listdir(c.data(i))):
        path = os.path.join(c.data(i), name)
        if not name.startswith('wal-'):
            continue
        with open(path, 'rb') as file:
            at = file.read().find(needle)
        if at >= 0:
            flip_one_bit(path, at + len(VALUES[key]) // 2)
            hits += 1
    assert hits > 0, f'{key} is not in the log of node {i}'
    code, text = c.skiff('inspect', 'wal', c.data(i), '--verify')
    assert code == DATA and 'damaged' in text, text


def repaired(c, i, least):
    def whole():
        status = c.status([i])[i]
        return status['log_holes'] == 0 and status['entries_repaired'] >= least
    c.wait(f'node {i} has its records back', whole)

    def said():
        with open(c.log(i)) as log:
            return 'the log is whole again' in log.read()
    c.wait(f'node {i} says so', said)


def all_is_there(c):
    c.wait_equal()
    for i in NODES:
        assert c.get_prefix(i, 'key') == VALUES, f'node {i}'


def one_node(c, which, key):
    leader = c.wait_leader()
    i = leader if which == 'leader' else next(n for n in NODES if n != leader)
    c.kill(i)
    c.wait_leader()
    damage(c, i, key)
    c.start(i)
    repaired(c, i, 1)
    all_is_there(c)
    print(f'ok {key} at the {which}, node {i}')


def each_node(c):
    c.wait_leader()
    for i in NODES:
        c.kill(i)
    for i in NODES:
        damage(c, i, f'key{20 + i}')
    for i in NODES:
        c.start(i)
    for i in NODES:
        repaired(c, i, 1)
    c.wait_leader()
    all_is_there(c)
    print('ok another record at each node')


with Cluster(sys.argv[1]) as cluster:
    cluster.start_new()
    write_all(cluster)
    one_node(cluster, 'follower', 'key3')
    one_node(cluster, 'leader', 'key4')
    one_node(cluster, 'follower', 'key15')  # a large one, in many sectors
    each_node(cluster)
