#!/usr/bin/env python3
"""Goal:   real nodes make snapshots, cut their logs, restart from them, and get them from each other: under
        load the number of log files stays bounded, nodes that are killed come back equal, one whose
        entries are gone and one that was wiped come back by a snapshot, and a damaged chunk is repaired from
        the others; all that with nothing lost that was acknowledged.
Method: a small log, small triggers, and clients that overwrite the same keys with large values, so that the
        log grows and the content does not. Which nodes are killed is drawn from a seed that is printed.

    snapshots.py SKIFF [--seed N] [--only PART] [--spread]
"""
import argparse
import hashlib
import os
import random
import shutil
import time

from cluster import NODES, Cluster
from overwriters import Load

SETTINGS = """
log: { segment_mib: 16, segment_spares: 2, background_percent: 100 }
store: { quota_mib: 64 }
snapshot: { log_mib: 4, age_s: 0, trailing_mib: 1, needed_mib: 8 }
"""
SEGMENT_BYTES = 16 << 20
# Up to 13 MiB of log in three files, two prepared, one in the making, two spares; and one for each start since
# the log was cut last.
FILES_MAX, STARTS_MAX = 8, 4
WRITTEN_BYTES = 10 * SEGMENT_BYTES  # by each node under load: more files than there may be
MAJORITY = 2
WRITTEN_MIB_MAX = 640  # within which what a part waits for must come
DAMAGED = 3  # exit code of inspect --verify
REFUSED, UNKNOWN = 6, 7  # and of what was not done, or not known to be: another is being made, nobody leads
AGAIN_SECONDS = 3.0  # who still writes the last one passes a point over
NEW = 4  # takes the place of a wiped node


def files(cluster, i, prefix):
    return sorted(name for name in os.listdir(cluster.data(i)) if name.startswith(prefix))


def check_files(cluster, most):
    for i in cluster.process:
        names = files(cluster, i, 'wal-')
        assert len(names) <= most, f'node {i} has {len(names)} log files: {names}'


def snapshot_of(cluster, i):
    return cluster.status([i])[i]['snapshot']


def log_bytes(cluster, i):
    return os.path.getsize(cluster.log(i))


def wait_while_written(cluster, what, check):
    """Until check() gives something true, however slow the machine is: what is bounded is how much is written."""
    begun = cluster.written()

    def checked():
        more = max(now - before for now, before in zip(cluster.written(), begun))
        assert more < WRITTEN_MIB_MAX, f'{more} MiB were written in vain: {what}'
        return check()
    cluster.wait(what, checked, progress=cluster.written)


def got_snapshot(cluster, i, since=0):
    """Says the node's log, behind `since` bytes of it."""
    with open(cluster.log(i)) as log:
        log.seek(since)
        return 'came from another node' in log.read()


def by_hand(cluster):
    """All nodes have the same snapshot, byte for byte; its index."""
    before = max(snapshot_of(cluster, i)['index'] for i in cluster.process)

    asked = [0.0]

    def made():
        if time.monotonic() - asked[0] > AGAIN_SECONDS:
            asked[0] = time.monotonic()
            code, text = cluster.skiff('snapshot', '--config', cluster.config(min(cluster.process)))
            assert code in (0, REFUSED, UNKNOWN), text
        found = {snapshot_of(cluster, i)['index'] for i in cluster.process}
        return len(found) == 1 and found.pop() > before
    cluster.wait('all nodes have made a snapshot of the same entry', made, seconds=60)
    seen = set()
    for i in cluster.process:
        names = cluster.wait('one snapshot file', lambda: len(files(cluster, i, 'snap-')) == 1 and
                             files(cluster, i, 'snap-'))
        with open(f'{cluster.data(i)}/{names[0]}', 'rb') as file:
            seen.add((names[0], hashlib.sha256(file.read()).hexdigest()))
    assert len(seen) == 1, f'the same snapshot is not the same on all nodes: {seen}'
    return snapshot_of(cluster, min(cluster.process))['index']


def under_load(cluster, load, _):
    """The log has been written several times over, and is as long as at first."""
    with load.running():
        def written():
            check_files(cluster, FILES_MAX)
            # A third one may be outrun by the snapshots of a quick disk, and comes back when the load is over.
            return MAJORITY <= sum(entry['flushed_bytes'] > WRITTEN_BYTES and entry['snapshot']['written'] >= 5
                                   for entry in cluster.status().values())
        wait_while_written(cluster, 'logs are written and cut', written)
    load.check()
    by_hand(cluster)
    status = cluster.status()
    for i, entry in status.items():
        assert entry['log']['base'] > 0 and entry['snapshot']['failed'] == 0, entry
    return f"{[entry['snapshot']['written'] for entry in status.values()]} snapshots, " \
           f"{[len(files(cluster, i, 'wal-')) for i in status]} log files, " \
           f"{sum(entry['flushed_bytes'] for entry in status.values()) >> 20} MiB written"


def killed_at_random(cluster, load, chance):
    kills = 0
    with load.running():
        for _ in range(5):
            time.sleep(chance.uniform(0.2, 1.2))
            victims = chance.sample(NODES, chance.choice((1, 1, 2, 3)))
            for i in victims:
                cluster.kill(i)
            kills += len(victims)
            time.sleep(chance.uniform(0, 0.3))
            for i in victims:
                cluster.start(i)
            cluster.wait_leader()
            check_files(cluster, FILES_MAX + STARTS_MAX)
    load.check()
    return f'{kills} kills'


def entries_are_gone(cluster, load, _):
    leader = cluster.wait_leader()
    node = next(i for i in NODES if i != leader)
    last = cluster.status([node])[node]['last_index']
    cluster.kill(node)
    with load.running():
        wait_while_written(cluster, 'the others have cut what it lacks', lambda: all(
            entry['log']['base'] > last + 100 for entry in cluster.status().values()))
        since = log_bytes(cluster, node)
        load.slow_down()
        cluster.start(node)
        cluster.wait('it got a snapshot', lambda: got_snapshot(cluster, node, since), seconds=60)
    load.check()
    return f'node {node} had entries up to {last}, its log begins behind ' \
           f"{cluster.status([node])[node]['log']['base']}"


def node_is_wiped(cluster, load, _):
    leader = cluster.wait_leader()
    node = next(i for i in NODES if i != leader)
    cluster.kill(node)
    shutil.rmtree(cluster.data(node))
    with load.running():
        wait_while_written(cluster, 'the first entries are gone', lambda: all(
            entry['log']['base'] > 0 for entry in cluster.status().values()))
        load.slow_down()
        cluster.init(NEW)
        cluster.start(NEW)
        cluster.change_members('replace', f'n{node}', f'n{NEW}', done='is a member already')
        cluster.wait('it got a snapshot', lambda: got_snapshot(cluster, NEW), seconds=60)

        def voters():
            code, text = cluster.skiff('member', 'list', '-o', 'json', '--config',
                                       cluster.config(leader))
            return code == 0 and f'"node":{NEW}' in text and f'"node":{node},' not in text
        cluster.wait('it takes the place of the old one', voters, seconds=60)
    load.check()
    return f'node {node} replaced by node {NEW}'


def chunk_is_damaged(cluster, load, _):
    by_hand(cluster)
    leader = cluster.wait_leader()
    node = next(i for i in cluster.process if i != leader)
    cluster.kill(node)
    path = f"{cluster.data(node)}/{files(cluster, node, 'snap-')[0]}"
    with open(path, 'r+b') as file:
        at = os.path.getsize(path) // 2
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    code, text = cluster.skiff('inspect', 'snap', path, '--verify')
    assert code == DAMAGED, text
    cluster.start(node)

    def repaired():
        return snapshot_of(cluster, node)['chunks_repaired'] >= 1
    cluster.wait('the chunk comes from the others', repaired)
    load.check()
    cluster.kill(node)
    code, text = cluster.skiff('inspect', 'snap', path, '--verify')
    assert code == 0, text
    cluster.start(node)
    load.check()
    return f'node {node}, byte {at}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 30))
    parser.add_argument('--only', metavar='PART')
    parser.add_argument('--spread', action='store_true', help='an lcore for each role')
    arguments = parser.parse_args()
    print(f'seed {arguments.seed}', flush=True)
    chance = random.Random(arguments.seed)
    with Cluster(arguments.program, arguments.spread, joiners=(NEW,)) as cluster:
        for i in (*NODES, NEW):
            with open(cluster.config(i), 'a') as file:
                file.write(SETTINGS)
        cluster.start_new()
        load = Load(cluster)
        for part in (under_load, killed_at_random, entries_are_gone, chunk_is_damaged, node_is_wiped):
            if arguments.only not in (None, part.__name__):
                continue
            begun = time.monotonic()
            told = part(cluster, load, chance)
            print(f'ok {part.__name__}: {told}; {time.monotonic() - begun:.1f} s', flush=True)
        print(f'{load.total} writes sent, 0 acknowledged ones lost')


main()
