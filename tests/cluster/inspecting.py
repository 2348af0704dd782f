#!/usr/bin/env python3
"""Goal:   `skiff inspect` as an operator uses it: text, JSON, exit codes, and not one byte changed.
Method: the directory of a fresh node, then those of a cluster that was killed under writes, then the
        same with damage made by hand. What can be in a log is tests/persist/inspect.c.
"""
import json
import os
import sys

from cluster import Cluster

USAGE, DATA = 1, 3
SECTOR = 4096
FIRST_BATCH = 2 * SECTOR  # behind both copies of the header


def flip(path, at):
    with open(path, 'r+b') as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def content(folder):
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), 'rb') as file:
            found[name] = file.read()
    return found


def inspect(c, what, *options):
    code, text = c.skiff('inspect', what, c.data(1), '--verify', '-o', 'json', *options)
    return code, json.loads(text)


def command_line(c):
    assert c.skiff('inspect')[0] == USAGE
    assert c.skiff('inspect', 'tea', c.folder)[0] == USAGE
    code, text = c.skiff('inspect', 'wal', c.folder + '/none')
    assert code == DATA and 'No such file' in text, text
    code, text = c.skiff('inspect', 'wal', c.config(1))
    assert code == DATA and 'name the data directory' in text, text
    code, text = c.skiff('inspect', 'snap', c.folder)
    assert code == DATA and 'is a directory; name a snapshot in it' in text, text


def fresh_directory(c):
    c.init(1)
    before = content(c.data(1))
    code, found = inspect(c, 'superblock')
    assert (code, found['node']) == (0, 1), found
    assert sorted(copy['state'] for copy in found['copies']) == ['valid', 'valid']
    code, found = inspect(c, 'wal')
    assert code == 0 and found['segments'] == [] and found['start']['last'] == 0
    assert content(c.data(1)) == before
    c.init(2)
    c.init(3)


def log_of_a_killed_cluster(c):
    for i in (1, 2, 3):
        c.start(i)
    c.wait_leader()
    for i in range(50):
        c.etcdctl(1, 'put', f'key{i}', 'x' * 500)
    code, text = c.skiff('inspect', 'wal', c.data(1))
    assert code == 0 and 'a node runs in' in text, text
    for i in (1, 2, 3):
        c.kill(i)
    with open(c.data(1) + '/wal-00000000000000ff.new', 'wb') as file:
        file.write(bytes(SECTOR))  # what a node that starts would sweep away
    before = content(c.data(1))
    code, found = inspect(c, 'wal')
    assert code == 0, found
    assert found['damaged_count'] == 0 and found['start']['last'] >= 51, found
    assert sum(s['records'] for s in found['segments']) >= found['start']['last']
    code, text = c.skiff('inspect', 'wal', c.data(1))
    assert code == 0 and 'a start        finds last entry' in text, text
    assert content(c.data(1)) == before
    os.unlink(c.data(1) + '/wal-00000000000000ff.new')


def damaged_log(c):
    found = inspect(c, 'wal')[1]
    live = next(s for s in found['segments'] if s['batches'] > 2)
    path = os.path.join(c.data(1), live['name'])
    flip(path, SECTOR + 30)
    code, found = inspect(c, 'wal')
    assert code == DATA and found['damaged_count'] == 0 and found['start']['result'] == 0, found
    assert next(s for s in found['segments'] if s['name'] == live['name'])['header_copies'] == 1
    flip(path, FIRST_BATCH + 30)
    code, found = inspect(c, 'wal')
    assert code == DATA and found['damaged_count'] == 1, found
    assert found['faults'][0]['offset'] == FIRST_BATCH and found['faults'][0]['kind'] == 'damaged'
    assert found['start']['result'] == 0  # nothing but a mark was lost
    code, text = c.skiff('inspect', 'wal', c.data(1))
    assert code == 0 and f'damaged: {live["name"]} offset {FIRST_BATCH}' in text, text


def damaged_superblock(c):
    flip(c.data(1) + '/superblock', 20)
    code, found = inspect(c, 'superblock')
    assert code == DATA and found['result'] == 0, found
    assert sorted(copy['state'] for copy in found['copies']) == ['damaged', 'valid']
    flip(c.data(1) + '/superblock', SECTOR + 20)
    code, text = c.skiff('inspect', 'superblock', c.data(1))
    assert code == 0 and 'both copies are damaged' in text, text
    code, text = c.skiff('inspect', 'wal', c.data(1))
    assert code == DATA and 'superblock' in text, text


with Cluster(sys.argv[1]) as cluster:
    for test in (command_line, fresh_directory, log_of_a_killed_cluster, damaged_log,
                 damaged_superblock):
        test(cluster)
        print('ok', test.__name__)
