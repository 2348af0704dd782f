#!/usr/bin/env python3
"""Goal:   a full file system ends no node. While one follower's is full the cluster goes on; while both
        are, or have less than their reserve, every node refuses writes at once; while all are nothing is
        acknowledged. Reads go on, no leader changes; with room again everything goes on by itself, and
        nothing acknowledged is missing. More is written than a disk holds, for snapshots make room.
Method: files of a test fill the nodes' file systems but for a MiB; writes use up the segments that
        were there already.

    disk_full.py SKIFF ext4|xfs
"""
import os
import sys
import time

from disk_cluster import QUOTA_MIB, SEGMENT_MIB, SEGMENTS, Puts, check_needs, disk_cluster, log_says, value_number
from overwriters import Load

LEAVES_KIB = 1024
VALUE_BYTES = 15 * 1000  # what one frame of HTTP/2 may hold
FILLING_PUTS = 2 * SEGMENTS * SEGMENT_MIB * (1 << 20) // VALUE_BYTES  # more than all segments that are there
TURN_PUTS = 50
AT_ONCE_SECONDS = 1.0  # a request that nobody takes times out after more
SMALL_MIB = 180  # of them 20 are the file system's own, 66 a snapshot, 16 for each file of the log
NO_ROOM, ROOM = 'no room in', 'there is room in'


def follower_is_full(cluster, disks, puts):
    leader = cluster.wait_leader()
    node = next(i for i in disks if i != leader)
    filler = disks[node].fill(LEAVES_KIB)
    for _ in range(FILLING_PUTS // TURN_PUTS):
        puts.put_all(leader, VALUE_BYTES, TURN_PUTS)
        if log_says(cluster, node, NO_ROOM):
            break
    cluster.wait('the full follower says so', lambda: log_says(cluster, node, NO_ROOM))
    puts.put_all(leader, VALUE_BYTES, 50)
    os.unlink(filler)
    cluster.wait('it says that there is room again', lambda: log_says(cluster, node, ROOM))
    puts.check_all()


def both_followers_are_full(cluster, disks, puts):
    leader = cluster.wait_leader()
    term = cluster.status()[leader]['term']
    fillers = [disks[i].fill(LEAVES_KIB) for i in disks if i != leader]
    done = puts.put(leader, VALUE_BYTES, FILLING_PUTS)
    assert done < FILLING_PUTS, 'writes are acknowledged without room on a majority'
    cluster.wait('every node refuses writes',
                 lambda: all(status['writes_refused'] == 1 for status in cluster.status().values()))
    for i in disks:
        begun = time.monotonic()
        assert puts.put(i, VALUE_BYTES, 1) == 0
        assert time.monotonic() - begun < AT_ONCE_SECONDS, f'node {i} holds a write that it can only refuse'
    key, number = next(iter(puts.acknowledged.items()))
    found = cluster.etcdctl(leader, 'get', '--print-value-only', key)
    assert value_number(found) >= number, 'no reads'
    assert cluster.status()[leader]['term'] == term, 'full disks led to an election'
    for filler in fillers:
        os.unlink(filler)
    cluster.wait('writes go on by themselves', lambda: puts.put(leader, VALUE_BYTES, 1) == 1)
    puts.check_all()


def below_the_reserve(cluster, disks, puts):
    """There is room for the log yet, but a snapshot would not find any."""
    leader = cluster.wait_leader()
    followers = [i for i in disks if i != leader]
    reserve_mib = cluster.status()[leader]['disk_reserve'] >> 20
    assert reserve_mib >= QUOTA_MIB
    fillers = {i: disks[i].fill((reserve_mib - 2) << 10) for i in followers}
    cluster.wait('every node refuses writes',
                 lambda: all(status['writes_refused'] == 1 for status in cluster.status().values()))
    status = cluster.status()
    for i in followers:
        assert status[i]['below_reserve'] == 1 and status[i]['no_room'] == 0, status[i]
        assert 0 < status[i]['disk_free'] < status[i]['disk_reserve'], status[i]
        assert f'{reserve_mib} MiB are the reserve' in open(cluster.log(i)).read(), f'log of node {i}'
        assert puts.put(i, VALUE_BYTES, 1) == 0
    table = cluster.skiff('status', '--config', *(cluster.config(i) for i in disks))[1]
    assert table.count('less than its reserve') == 2, table
    code, text = cluster.skiff('check', '--config', cluster.config(followers[0]))
    assert code == 0 and f'needs {reserve_mib + SEGMENTS * SEGMENT_MIB} MiB' in text, text
    os.unlink(fillers.pop(followers[0]))  # one follower below it stops nobody
    cluster.wait('writes go on by themselves', lambda: puts.put(leader, VALUE_BYTES, 1) == 1)
    cluster.wait('also at the other', lambda: puts.put(followers[1], VALUE_BYTES, 1) == 1)
    puts.put_all(followers[1], VALUE_BYTES, 50)
    assert cluster.status()[followers[1]]['below_reserve'] == 1
    os.unlink(fillers.pop(followers[1]))
    cluster.wait('the other has its reserve again',
                 lambda: cluster.status()[followers[1]]['below_reserve'] == 0)
    puts.check_all()


def all_are_full(cluster, disks, puts):
    leader = cluster.wait_leader()
    term = cluster.status()[leader]['term']
    fillers = [disk.fill(LEAVES_KIB) for disk in disks.values()]
    done = puts.put(leader, VALUE_BYTES, FILLING_PUTS)
    assert done < FILLING_PUTS, 'writes are acknowledged without any room'
    cluster.check_alive()
    assert puts.put(leader, VALUE_BYTES, 1) == 0
    key, number = next(iter(puts.acknowledged.items()))
    found = cluster.etcdctl(leader, 'get', '--print-value-only', key)
    assert value_number(found) >= number, 'no reads'
    assert cluster.status()[leader]['term'] == term, 'a full disk led to an election'
    for filler in fillers:
        os.unlink(filler)
    cluster.wait('writes go on by themselves', lambda: puts.put(leader, VALUE_BYTES, 1) == 1)
    puts.put_all(leader, VALUE_BYTES, 100)
    puts.check_all()


def log_is_longer_than_the_disk():
    """Nothing but the disk's size makes a snapshot due: the log is cut whenever it comes near the reserve, and
    more is written than the disk could hold. How many writes were sent."""
    settings = 'snapshot: { log_mib: 1024 }\n'
    with disk_cluster(sys.argv[1], sys.argv[2], SMALL_MIB, settings) as (cluster, _):
        load = Load(cluster)
        with load.running():
            cluster.wait('more is written than the disk holds', lambda: all(
                status['flushed_bytes'] > SMALL_MIB << 20 for status in cluster.status().values()),
                progress=cluster.written)
        load.check()
        for i, status in cluster.status().items():
            assert status['snapshot']['written'] > 0 and status['log']['base'] > 0, f'node {i}: {status}'
        return load.total


def main():
    check_needs()
    acknowledged = 0
    for test in (follower_is_full, both_followers_are_full, below_the_reserve, all_are_full):
        with disk_cluster(sys.argv[1], sys.argv[2]) as (cluster, disks):
            puts = Puts(cluster)
            test(cluster, disks, puts)
            acknowledged += puts.total
            print('ok', test.__name__, flush=True)
    if sys.argv[2] != 'xfs':  # which is never so small
        print(f'ok log_is_longer_than_the_disk: {log_is_longer_than_the_disk()} writes', flush=True)
    print(f'{sys.argv[2]}: {acknowledged} writes acknowledged, 0 lost')


main()
