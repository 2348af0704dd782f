#!/usr/bin/env python3
"""Goal:   the log keeps its promises on ext4, XFS and tmpfs, also when the file system is full and
        when it breaks down under it.
Method: file systems of their own on loop devices. On each: the driver is killed under load and
        started again; the file system is mounted anew; it is filled up to the last MiB until the
        log says that it can't go on, and is given room again; it goes read-only (ext4) or shuts
        down (XFS) in mid-run, where the driver must end with exit code 70, and find everything on a
        file system that works. Prints whether files were opened O_DIRECT.

    file_systems.py WAL-DRIVER
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cluster'))
from driver import EXIT_FAILED, LIFE_SECONDS, Life, Promises, Violation, expect, expect_killed
from loop_mount import LoopMount, cant

STEPS = 300
LARGE_SEGMENTS = ('--segment-kib', '16384')  # long lasting: what fails is a write of the log
FULL_LEAVES_KIB = 1024


class Tested:
    """A log on one file system."""

    def __init__(self, program, mounted, *options):
        self.mounted, self.promises, self.program = mounted, Promises(), program
        self.options = options  # of each life
        self.newest = None
        self.directory = mounted.point + '/data'
        os.mkdir(self.directory)
        subprocess.run([program, 'init', self.directory], check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        """No life may outlast its file system."""
        if self.newest and self.newest.process.poll() is None:
            self.newest.process.kill()
            self.newest.process.wait()

    def life(self, *options):
        self.newest = Life((self.program, self.directory, 1), self.promises, *self.options,
                           *options)
        return self.newest

    def verify(self, what):
        expect(self.life('--steps', '5'), 0, what)


def wait_for_line(life, line):
    until = time.monotonic() + LIFE_SECONDS
    while life.last_line != line:
        if not life.read(1) or time.monotonic() > until:
            raise Violation(f'"{line}" was not said; last: {life.last_line}')


def killed(tested):
    for options in ((), ('--fsync',), ('--flights', '3'), ('--buffered',)):
        life = tested.life(*options)
        life.read_until_acked(tested.promises.acked + STEPS)
        expect_killed(life)
        tested.verify(f'killed with {options}')
    if tested.mounted.kind != 'tmpfs':
        tested.mounted.again()
        tested.verify('mounted anew')
    return 'killed 4 times, O_DIRECT ' + ('yes' if tested.promises.direct else 'no')


def full(tested):
    life = tested.life()
    life.read_until_acked(tested.promises.acked + STEPS)
    filler = tested.mounted.fill(FULL_LEAVES_KIB)
    wait_for_line(life, 'full')
    stood = tested.promises.acked
    os.unlink(filler)
    wait_for_line(life, 'room')
    life.read_until_acked(tested.promises.acked + STEPS)
    expect_killed(life)
    tested.verify('full and not full any more')
    return f'full at step {stood}, and went on'


def breaks_down(tested):
    tested.verify('before')
    life = tested.life(*LARGE_SEGMENTS)
    life.read_until_acked(tested.promises.acked + STEPS)
    tested.mounted.break_down()
    expect(life, EXIT_FAILED, 'a file system that breaks down')
    said = life.last_line
    if not said.startswith('failed: '):
        raise Violation(f'it ended with {EXIT_FAILED} and said: {said}')
    tested.mounted.again()
    tested.verify('after the file system broke down')
    return f'broke down: exit code {EXIT_FAILED}, "{said}", all there afterwards'


def main():
    program = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix='skiff-fs-')
    reason = cant(folder)
    if reason:
        shutil.rmtree(folder)
        print(f'not run: {reason}')
        sys.exit(77)
    for kind in ('ext4', 'xfs', 'tmpfs'):
        for test in (killed, full, breaks_down):
            if kind == 'tmpfs' and test is breaks_down:
                continue  # it has no device that could fail
            # Snapshots would give the log room again, out of itself.
            options = ('--no-snapshots',) if test is full else ()
            with (LoopMount(kind, f'{folder}/{kind}') as mounted,
                  Tested(program, mounted, *options) as tested):
                print(f'{kind:6} {test(tested)}', flush=True)
    shutil.rmtree(folder)


main()
