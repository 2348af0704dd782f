#!/usr/bin/env python3
"""Goal:   the members of a running cluster change by the commands that docs/OPERATING.md names, and
        clients lose nothing: a fourth node joins and is promoted by itself, leadership goes back and
        forth, a wiped node is replaced by a new one, the leader is removed, a leader ends in order.
Method: eight clients write without pause through the real API all the while. After each part every
        acknowledged write must be on all nodes that run, and their digests equal. Reported: for how
        long nobody got an answer.

    members.py build/skiff [--rounds 5]
"""
import argparse
import json
import shutil
import signal
import statistics
import time

from cluster import NODES, Cluster
from writers import longest_gap, under_writes

REFUSED, UNKNOWN = 6, 7  # node/exit_code.h
TRANSFER_GAP_P50_SECONDS = 0.25
END_GAP_P50_SECONDS = 0.25  # as for a kill: a machine that is loaded takes its time for both


def member(cluster, *words, code=0):
    """skiff member ..., asked of some running node: the leader is found by the command itself."""
    some = next(iter(cluster.process))
    got, text = cluster.skiff('member', *words, '--config', cluster.config(some))
    assert got == code, f'skiff member {words}: exit code {got}: {text}'
    return text


def kinds(cluster):
    """{node: kind} as the leader says, None while there is none."""
    leader = cluster.leader()
    if leader is None:
        return None
    got, text = cluster.skiff('member', 'list', '-o', 'json', '--config', cluster.config(leader))
    return {m['node']: m['kind'] for m in json.loads(text)} if got == 0 else None


def wait_voters(cluster, voters):
    wanted = {node: 'voter' for node in voters}
    return cluster.wait(f'the voters {voters}', lambda: kinds(cluster) == wanted)


def refusals(cluster):
    text = member(cluster, 'add', 'n4', code=REFUSED)
    assert 'has not been heard' in text, text
    text = member(cluster, 'remove', '9', code=REFUSED)
    assert 'no member' in text, text
    text = member(cluster, 'promote', '1', code=REFUSED)
    assert 'no learner' in text, text


def join(cluster):
    def action(_):
        cluster.init(4)
        cluster.start(4)
        cluster.change_members('add', 'n4', done='is a member already')
        wait_voters(cluster, (1, 2, 3, 4))
    return action


def transfer(cluster, target):
    """A target that is slow for a moment makes the leader give it up: then once more."""
    def done():
        code, text = cluster.skiff('transfer', f'n{target}', '--config', cluster.config(1))
        assert code in (0, REFUSED, UNKNOWN), text
        return cluster.wait_leader() == target
    cluster.wait(f'node {target} leads', done)


def transfers(cluster, rounds):
    def action(writers):
        gaps = []
        for number in range(rounds):
            leader = cluster.wait_leader()
            target = 1 + (leader + number % 2) % 4
            at = time.monotonic()
            transfer(cluster, target)
            gaps.append(longest_gap(cluster, writers, at, 0.3))
        return gaps
    return action


def replace(cluster):
    def action(_):
        wiped = next(i for i in NODES if i != cluster.wait_leader())
        cluster.kill(wiped)
        cluster.wait('its link is down', lambda: 'no link to it from here' in member(cluster, 'list'))
        shutil.rmtree(cluster.data(wiped))
        cluster.init(5)
        cluster.start(5)
        cluster.change_members('replace', f'n{wiped}', 'n5', done='is a member already')
        wait_voters(cluster, sorted({*NODES, 4, 5} - {wiped}))
    return action


def remove_leader(cluster):
    def action(writers):
        leader = cluster.wait_leader()
        at = time.monotonic()
        cluster.change_members('remove', str(leader), done='no member')
        cluster.wait('the removed node says so', lambda: cluster.status()[leader]['left_out'] == 1)
        cluster.kill(leader, signal.SIGTERM)
        cluster.wait_leader()
        wait_voters(cluster, sorted(cluster.process))
        return longest_gap(cluster, writers, at, 0.3)
    return action


def end_leader(cluster, number):
    def action(writers):
        leader = cluster.wait_leader()
        at = time.monotonic()
        code = cluster.kill(leader, number)
        assert code == (0 if number == signal.SIGTERM else -number)
        gap = longest_gap(cluster, writers, at, 0.7)
        cluster.start(leader)
        cluster.status()  # of all: it is back
        return gap
    return action


def end_rounds(cluster, number, rounds):
    gaps = [under_writes(cluster, f'end{number}-{i}', end_leader(cluster, number))[0]
            for i in range(rounds)]
    name = signal.Signals(number).name
    print(f'{name} to the leader, {rounds} times: p50 {statistics.median(gaps) * 1000:.0f} ms, max '
          f'{max(gaps) * 1000:.0f} ms without an answer', flush=True)
    return statistics.median(gaps)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--rounds', type=int, default=3)
    arguments = parser.parse_args()
    with Cluster(arguments.program, joiners=(4, 5)) as cluster:
        cluster.start_new()
        refusals(cluster)
        _, count = under_writes(cluster, 'join', join(cluster))
        print(f'node 4 joined and was promoted: {count} acknowledged, none lost', flush=True)
        gaps, count = under_writes(cluster, 'transfer', transfers(cluster, 2 * arguments.rounds))
        p50 = statistics.median(gaps)
        print(f'{len(gaps)} transfers: {count} acknowledged, none lost; p50 {p50 * 1000:.0f} ms, max '
              f'{max(gaps) * 1000:.0f} ms without an answer', flush=True)
        assert p50 < TRANSFER_GAP_P50_SECONDS, 'the gap of a transfer is too long'
        _, count = under_writes(cluster, 'replace', replace(cluster))
        print(f'a wiped node was replaced: {count} acknowledged, none lost', flush=True)
        gap, count = under_writes(cluster, 'remove', remove_leader(cluster))
        print(f'the leader was removed: {count} acknowledged, none lost; {gap * 1000:.0f} ms without '
              'an answer', flush=True)
        p50 = end_rounds(cluster, signal.SIGTERM, arguments.rounds)
        end_rounds(cluster, signal.SIGKILL, arguments.rounds)
        assert p50 < END_GAP_P50_SECONDS, 'a leader that ends in order leaves too long a gap'


main()
