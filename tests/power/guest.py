#!/usr/bin/env python3
"""The first process of a user-mode-linux: does one job of scripts/test-power, which see, and halts.

The host's files are its root, read-only. The disks: ubda is the one that is written to, ubdb the
log of dm-log-writes, ubdc a copy of ubda as it was at first, ubdd what snapshots of ubdc need.
"""
import ctypes
import errno
import json
import os
import random
import re
import signal
import subprocess
import termios
import time
import traceback

from driver import EXIT_FAILED, LIFE_SECONDS, Life, Promises, Violation, expect, expect_killed
from write_log import DISCARD, FLUSH, FUA, MARK, read_data, read_entries

SECTOR = 512
SUPERBLOCK_END = 4096
MODULES = ('dm-mod', 'dm-bufio', 'dm-log-writes', 'dm-flakey', 'dm-snapshot')
FS, HOST = '/mnt/fs', '/mnt/host'
UMOUNT_SECONDS = 20

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f'{what}: {os.strerror(number)}')


def mount(device, target, kind, options=''):
    check(libc.mount(device.encode(), target.encode(), kind.encode(), 0, options.encode()),
          f'mount {device} as {kind}')


def umount(target):
    """The ring of a process that has ended lets go of its files a little later."""
    until = time.monotonic() + UMOUNT_SECONDS
    while libc.umount2(target.encode(), 0) != 0:
        if ctypes.get_errno() != errno.EBUSY or time.monotonic() > until:
            check(-1, f'umount {target}')
        time.sleep(0.005)


def load_modules():
    folder = f'/usr/lib/uml/modules/{os.uname().release}'
    paths = {name[:-3]: os.path.join(where, name)
             for where, _, names in os.walk(folder) for name in names if name.endswith('.ko')}
    for name in MODULES:
        fd = os.open(paths[name], os.O_RDONLY)
        # finit_module; a guest has no use for kmod's search for what a module needs.
        check(libc.syscall(313, fd, b'', 0), f'module {name}')
        os.close(fd)


def dmsetup(*arguments):
    subprocess.run(['/sbin/dmsetup', '--noudevsync', '--noudevrules', *arguments], check=True,
                   stdout=subprocess.DEVNULL)


def sectors(device):
    with open(device, 'rb') as file:
        return file.seek(0, os.SEEK_END) // SECTOR


def life_of(job, promises, *options):
    return Life([job['driver'], FS + '/data', job['seed']], promises, *job['options'], *options)


def make_directory(job, *options):
    os.mkdir(FS + '/data')
    fd = os.open(FS, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    subprocess.run([job['driver'], 'init', FS + '/data', *options], check=True,
                   stdout=subprocess.DEVNULL)


# --- the write log, replayed

def write_workload(job):
    """Lives on a disk whose writes are logged: killed, started again, ended."""
    dmsetup('create', 'written', '--table',
            f'0 {sectors("/dev/ubda")} log-writes /dev/ubda /dev/ubdb')
    mount('/dev/mapper/written', FS, job['fs'])
    make_directory(job, '--mark', 'written')
    promises = Promises()
    for number, steps in enumerate(job['lives']):
        mark = ('--mark', 'written')
        if number + 1 < len(job['lives']):
            life = life_of(job, promises, *mark)
            life.read_until_acked(promises.acked + steps)
            expect_killed(life)
        else:
            life = life_of(job, promises, *mark, '--steps', str(steps))
            expect(life, 0, 'the last life')
    umount(FS)
    dmsetup('remove', 'written')


class Replay:
    """The disk as it may be found when the power went at some point of the log."""

    def __init__(self, job, log):
        self.job, self.log = job, log
        self.entries = read_entries(log)
        self.base = open('/dev/ubdc', 'r+b', buffering=0)
        self.applied = 0  # entries in the base
        self.random = random.Random(job['seed'])

    def points(self):
        """[(entry, kind)] in order: after each flush or FUA, and some between."""
        first = next(i for i, e in enumerate(self.entries) if e.text == 'ack=0')
        last = len(self.entries) - 1
        flushes = [i for i in range(first, last + 1) if self.entries[i].flags & (FLUSH | FUA)]
        if len(flushes) > self.job['flushes_max']:
            flushes = self.random.sample(flushes, self.job['flushes_max'])
        between = [(self.random.randint(first, last), self.random.choice(('between', 'torn')))
                   for _ in range(self.job['between'])]
        return sorted([(i, 'flush') for i in flushes] + between)

    def write(self, device, entry, torn=False):
        """All of an entry's data, or any of its sectors."""
        data = read_data(self.log, entry)
        if not torn:
            os.pwrite(device.fileno(), data, entry.place)
            return
        for at in range(0, len(data), SECTOR):
            if self.random.random() < 0.5:
                os.pwrite(device.fileno(), data[at:at + SECTOR], entry.place + at)

    def advance(self, count):
        """The first `count` entries are in the base; they end with a flush, or are none."""
        for entry in self.entries[self.applied:count]:
            if entry.has_data():
                self.write(self.base, entry)
        self.applied = max(self.applied, count)
        os.fsync(self.base.fileno())

    def flushed(self, point):
        """How many entries are surely complete when the power goes after entry `point`."""
        while point >= 0 and not self.entries[point].flags & FLUSH:
            point -= 1
        return point + 1

    def lay_rest(self, point, kind):
        """What came after the last flush, into the snapshot: all of it, or any part of what was not FUA."""
        with open('/dev/mapper/cut', 'r+b', buffering=0) as device:
            for entry in self.entries[self.applied:point + 1]:
                if not entry.has_data():
                    continue
                fate = self.random.choice(('kept', 'lost', 'torn')) if kind == 'torn' else 'kept'
                # ext4 reads its superblock before its journal: half of one is the end of any log on it.
                whole = entry.place < SUPERBLOCK_END and fate == 'torn'
                if entry.flags & FUA or fate == 'kept' or whole:
                    self.write(device, entry)
                elif fate == 'torn':
                    self.write(device, entry, torn=True)
            os.fsync(device.fileno())

    def promised(self, point):
        promises = Promises()
        for entry in self.entries[:point + 1]:
            if entry.flags & MARK:
                promises.take(entry.text.replace('=', ' '))
        return promises

    def try_point(self, point, kind):
        size = sectors('/dev/ubdc')
        self.advance(self.flushed(point))
        dmsetup('create', 'cut', '--table', f'0 {size} snapshot /dev/ubdc /dev/ubdd N 8')
        self.lay_rest(point, kind)
        try:
            mount('/dev/mapper/cut', FS, self.job['fs'])
        except OSError as error:
            raise Violation(f'{kind} entry {point} of {len(self.entries)}: {error}') from error
        promises = self.promised(point)
        before = promises.acked
        # A few steps more: a log that was recovered takes them.
        expect(life_of(self.job, promises, '--steps', '3'), 0,
               f'{kind} entry {point} of {len(self.entries)}, step {before} acknowledged')
        umount(FS)
        dmsetup('remove', 'cut')


def job_replay(job):
    if not job['again']:
        write_workload(job)
    with open('/dev/ubdb', 'rb', buffering=0) as log:
        replay = Replay(job, log)
        points = replay.points()
        tried = {'flush': 0, 'between': 0, 'torn': 0}
        for point, kind in points:
            replay.try_point(point, kind)
            tried[kind] += 1
        end = replay.promised(len(replay.entries))
        discards = sum(1 for e in replay.entries if e.flags & DISCARD)
        return {**tried, 'entries': len(replay.entries), 'discards': discards, 'acked': end.acked,
                'lives': end.boot}


# --- a disk that fails or loses its power under load

def flakey_table(kind):
    up, down = (1, 0) if kind is None else (0, 1)
    feature = '' if kind is None else f' 1 {kind}'
    return f'0 {sectors("/dev/ubda")} flakey /dev/ubda 0 {up * 100000} {down * 100000}{feature}'


def switch(kind, between=lambda: None):
    """From now on writes are lost (drop_writes), or fail (error_writes), or work (None)."""
    dmsetup('suspend', '--noflush', '--nolockfs', 'flakey')
    between()
    dmsetup('load', 'flakey', '--table', flakey_table(kind))
    dmsetup('resume', 'flakey')


def power_cut(life):
    """What it said before its writes are lost counts, and nothing after."""
    life.drain()
    acked = life.promises.acked
    life.process.send_signal(signal.SIGKILL)
    life.promises = Promises()  # of a machine that is off already
    return acked


def lose_power(job, promises):
    life = life_of(job, promises)
    kept = {}

    def cut():
        kept['boot'] = promises.boot
        kept['acked'] = power_cut(life)
    life.read_until_acked(promises.acked + job['steps'])
    switch('drop_writes', cut)
    expect(life, -signal.SIGKILL, 'a life whose power goes')
    umount(FS)
    promises.acked, promises.boot = kept['acked'], kept['boot']


def fail_writes(job, promises):
    life = life_of(job, promises)
    life.read_until_acked(promises.acked + job['steps'])
    switch('error_writes')
    # While no segment can be made the log writes nothing that could fail: it says that it is full.
    until = time.monotonic() + LIFE_SECONDS
    while life.read(1) and life.last_line != 'full':
        if time.monotonic() > until:
            raise Violation(f'a disk whose writes fail is not noticed; last line: {life.last_line}')
    if life.last_line == 'full':
        expect_killed(life)
    else:
        expect(life, EXIT_FAILED, 'a disk whose writes fail')
    umount(FS)


def job_flakey(job):
    dmsetup('create', 'flakey', '--table', flakey_table(None))
    mount('/dev/mapper/flakey', FS, job['fs'])
    make_directory(job)
    promises = Promises()
    done = {'cuts': 0, 'failures': 0}
    for number in range(job['rounds']):
        if number % 2 == 0:
            lose_power(job, promises)
            done['cuts'] += 1
        else:
            fail_writes(job, promises)
            done['failures'] += 1
        switch(None)
        mount('/dev/mapper/flakey', FS, job['fs'])
        expect(life_of(job, promises, '--steps', '3'), 0, f'after round {number}')
    umount(FS)
    return {**done, 'acked': promises.acked, 'lives': promises.boot}


JOBS = {'replay': job_replay, 'flakey': job_flakey}


def run_job():
    for target, kind in (('/proc', 'proc'), ('/sys', 'sysfs'), ('/mnt', 'tmpfs')):
        mount('none', target, kind)
    os.mkdir(FS)
    os.mkdir(HOST)
    load_modules()
    with open('/proc/cmdline') as line:
        folder = re.search(r'skiff_job=(\S+)', line.read())[1]
    mount('none', HOST, 'hostfs', folder)  # it may lie where a guest has something of its own
    with open(HOST + '/job.json') as file:
        job = json.load(file)
    begun = time.monotonic()
    result = JOBS[job['kind']](job)
    return {**result, 'seconds': round(time.monotonic() - begun, 1)}


def main():
    os.environ.update(PATH='/usr/sbin:/usr/bin:/sbin:/bin', DM_DISABLE_UDEV='1')
    try:
        result = run_job()
    except Violation as violation:
        result = {'violation': str(violation)}
    except Exception:
        result = {'error': traceback.format_exc()}
    print('result: ' + json.dumps(result), flush=True)
    termios.tcdrain(1)
    libc.reboot(0x4321fedc)  # LINUX_REBOOT_CMD_POWER_OFF


main()
