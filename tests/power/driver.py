"""tests/power/wal_driver.c from outside: its lives, and what they have promised."""
import os
import re
import select
import signal
import subprocess
import time

LIFE_SECONDS = 240  # of a hung life; in user-mode-linux on a busy machine one may need a minute
EXIT_FAILED = 70


class Violation(Exception):
    """Something that was promised is lost, or a process did what it may not."""


class Promises:
    """What the lives of the driver have said so far."""

    def __init__(self):
        self.acked = self.boot = 0
        self.direct = False  # files of the newest life are opened O_DIRECT

    def take(self, line):
        """True if the line says where the driver stands, and not how it ended."""
        found = re.fullmatch(r'(ack|found|boot) (\d+)(?: direct (\d))?', line)
        if found and found[1] == 'boot':
            self.boot, self.direct = int(found[2]), found[3] == '1'
        elif found:
            self.acked = int(found[2])
        return bool(found)


class Life:
    """One process of the driver. `what`: its program, directory and seed."""

    def __init__(self, what, promises, *options):
        program, directory, seed = what
        command = [program, 'run', directory, '--seed', str(seed), '--acked', str(promises.acked),
                   '--boot', str(promises.boot), *options]
        self.promises = promises
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.rest = b''
        self.last_line = ''

    def read(self, seconds):
        """Takes what it says within that time; False at its end."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return True
        chunk = os.read(self.process.stdout.fileno(), 65536)
        *lines, self.rest = (self.rest + chunk).split(b'\n')
        for line in lines:
            if not self.promises.take(line.decode()):
                self.last_line = line.decode()
        return bool(chunk)

    def read_until_acked(self, step):
        until = time.monotonic() + LIFE_SECONDS
        while self.promises.acked < step and self.read(1):
            if time.monotonic() > until:
                raise Violation(f'no step {step} after {LIFE_SECONDS} s')

    def drain(self):
        """Everything it has said by now."""
        while select.select([self.process.stdout], [], [], 0)[0] and self.read(0):
            pass

    def end(self):
        """Its exit code, when it has said everything."""
        until = time.monotonic() + LIFE_SECONDS
        while self.read(1):
            if time.monotonic() > until:
                raise Violation(f'not over after {LIFE_SECONDS} s; it stands at step '
                                f'{self.promises.acked} and said last: {self.last_line}')
        return self.process.wait()


def expect(life, code, what):
    found = life.end()
    if found != code:
        raise Violation(f'{what}: exit code {found}, not {code}: {life.last_line}')


def expect_killed(life):
    """Kills it; it must not have ended by itself before."""
    life.process.send_signal(signal.SIGKILL)
    expect(life, -signal.SIGKILL, 'a life under load')
