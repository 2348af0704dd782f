#!/usr/bin/env python3
"""Goal:   nothing that was acknowledged is lost when the process dies under load.
Method: each round kills the driver with SIGKILL at a random moment and starts it again at once, so
        that writes of the dead process may still land while the next one recovers; it must find
        everything, and goes on. Then the page cache is dropped and everything must be found once
        more: on the disk itself. Rounds take turns in how the log writes and flushes.

    kills.py WAL-DRIVER [--rounds 50] [--seed S]
"""
import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time

from driver import Life, Promises, expect, expect_killed

MODES = ([], ['--fsync'], ['--flights', '3'], ['--buffered'], ['--buffered', '--fsync'],
         ['--fsync', '--flights', '3'])
ROUNDS_A_LOG = 12  # then a new one: each life reads all of it
LOAD_MS_MAX = 150


def drop_page_cache():
    """False if we may not."""
    try:
        with open('/proc/sys/vm/drop_caches', 'w') as file:
            file.write('3')
        return True
    except OSError:
        return False


class Log:
    """A directory in the working directory, which is on a disk."""

    def __init__(self, program, seed):
        self.program, self.seed = program, seed
        self.directory = tempfile.mkdtemp(prefix='kills-', dir='.')
        self.promises = Promises()
        subprocess.run([program, 'init', self.directory], check=True, stdout=subprocess.DEVNULL)

    def life(self, *options):
        return Life((self.program, self.directory, self.seed), self.promises, *options)


def one_round(log, mode, chance):
    life = log.life(*mode)
    life.read_until_acked(log.promises.acked + 1)
    until = time.monotonic() + chance.uniform(0, LOAD_MS_MAX) / 1000
    while time.monotonic() < until:
        life.read(0.001)
    expect_killed(life)
    expect(log.life(*mode, '--steps', '20'), 0, f'at once after SIGKILL, {mode}')
    dropped = drop_page_cache()
    expect(log.life(*mode, '--steps', '0'), 0, f'without the page cache, {mode}')
    return dropped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--rounds', type=int, default=50)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    begun = time.monotonic()
    log, steps, dropped = None, 0, True
    for number in range(arguments.rounds):
        if number % ROUNDS_A_LOG == 0:
            if log:
                shutil.rmtree(log.directory)
            log = Log(os.path.abspath(arguments.program), arguments.seed + number)
        before = log.promises.acked
        dropped &= one_round(log, MODES[number % len(MODES)], chance)
        steps += log.promises.acked - before
    shutil.rmtree(log.directory)
    cache = 'page cache dropped each time' if dropped else 'page cache not dropped: that needs root'
    print(f'{arguments.rounds} kills under load, {steps} steps acknowledged, 0 lost; {cache}; '
          f'{time.monotonic() - begun:.0f} s; seed {arguments.seed}')


main()
