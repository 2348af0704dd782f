#!/usr/bin/env python3
"""Goal:   three real nodes are one store for an unmodified client: what is written through any node
        is read through every node, up to 1 MiB, and is still there after a clean restart.
Method: etcdctl against three processes; digests from status. Once with all roles of a node on one
        lcore, as the quickstart has it, and once with an lcore for each role.
"""
import signal
import sys

from cluster import NODES, Cluster


def written_through_one_read_through_all(c):
    for i in NODES:
        c.etcdctl(i, 'put', f'key{i}', f'value{i}')
        for j in NODES:
            assert c.etcdctl(j, 'get', f'key{i}').splitlines() == [f'key{i}', f'value{i}']


def large_values_replicate(c):
    for i in NODES:
        large = f'{i}' * (1 << 20)
        c.etcdctl(i, 'put', f'large{i}', text=large)
        for j in NODES:
            got = c.etcdctl(j, 'get', '--print-value-only', f'large{i}')
            assert got.strip() == large, f'{len(got)} bytes through node {j}'


def deletes_replicate(c):
    c.etcdctl(1, 'del', 'key1')
    for j in NODES:
        assert c.etcdctl(j, 'get', 'key1') == ''


def table_has_all_nodes(c):
    c.wait_leader()
    code, text = c.skiff('status', '--dir', c.folder)
    lines = text.splitlines()
    assert code == 0, text
    assert lines[0].split()[:6] == ['NODE', 'ROLE', 'TERM', 'COMMIT', 'APPLIED', 'DURABLE']
    assert sorted(line.split()[1] for line in lines[1:]) == ['follower', 'follower', 'leader'], text


def ends_and_starts_again(c):
    before = c.wait_equal()
    for i in NODES:
        code = c.kill(i, signal.SIGTERM)
        assert code == 0, f'node {i} ended with {code}'
    code, text = c.skiff('status', '--dir', c.folder)
    assert code == 5, text
    assert text.count('does not answer') == 3, text
    for i in NODES:
        c.start(i)
    c.wait_leader()
    after = c.wait_equal()
    assert {digest for _, digest in before} == {digest for _, digest in after}
    assert c.etcdctl(2, 'get', 'key2').splitlines() == ['key2', 'value2']


for spread in (False, True):
    with Cluster(sys.argv[1], spread) as cluster:
        cluster.start_new()
        for test in (written_through_one_read_through_all, large_values_replicate,
                     deletes_replicate, table_has_all_nodes, ends_and_starts_again):
            test(cluster)
            print('ok', test.__name__, '(an lcore for each role)' if spread else '')
