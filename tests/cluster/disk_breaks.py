#!/usr/bin/env python3
"""Goal:   a node whose file system goes read-only (ext4) or shuts down (XFS) under it stops for good,
        says so, and has the exit code 70 by which a supervisor does not start it again; if somebody
        does so anyway it refuses with a reason. The cluster goes on without it, and when the file
        system works again nothing is missing.
Method: the leader's file system is broken under writes, as an error of its device would.

    disk_breaks.py SKIFF ext4|xfs
"""
import sys

from disk_cluster import Puts, check_needs, disk_cluster, log_says

STOPPED, DATA = 70, 3
STOP_SECONDS = 20


def leader_stops(cluster, disks, puts):
    leader = cluster.wait_leader()
    puts.put_all(leader, 1000, 200)
    disks[leader].break_down()
    process = cluster.process.pop(leader)
    puts.put(leader, 1000, 200)
    code = process.wait(timeout=STOP_SECONDS)
    assert code == STOPPED, f'exit code {code}, not {STOPPED}'
    assert log_says(cluster, leader, 'STOPPED for good'), 'it does not say that it stopped'
    assert log_says(cluster, leader, f'exit code {STOPPED}'), 'its last words do not name its exit code'
    return leader


def start_is_refused(cluster, node):
    code, text = cluster.skiff('run', '--config', cluster.config(node))
    assert code == DATA, f'a start on a broken file system: exit code {code}: {text}'
    assert 'must belong to the user' not in text, text  # which it does
    print('a start there says: ' + text.strip().splitlines()[-1])


def main():
    check_needs()
    with disk_cluster(sys.argv[1], sys.argv[2]) as (cluster, disks):
        puts = Puts(cluster)
        node = leader_stops(cluster, disks, puts)
        other = cluster.wait_leader()
        puts.put_all(other, 1000, 200)
        start_is_refused(cluster, node)
        disks[node].again()
        cluster.start(node)
        puts.put_all(other, 1000, 50)
        puts.check_all()
    print(f'{sys.argv[2]}: the leader stopped with exit code {STOPPED}; {puts.total} writes '
          'acknowledged, 0 lost')


main()
