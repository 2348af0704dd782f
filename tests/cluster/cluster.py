"""Real nodes of Skiff in a folder of their own, on free ports: started, killed, asked, cleaned up.

Only the standard library, and etcdctl as the unmodified client.
"""
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NODES = (1, 2, 3)


def skip(reason):
    """Meson's exit code for it; scripts/test prints the reason."""
    print(reason)
    sys.exit(77)


def reserved_port():
    """A socket that holds a free port and does not listen: a node may bind the port too, since both ask for its
    reuse, and nobody else is given it, also not for a connection while the node is down."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('127.0.0.1', 0))
    return s


class Cluster:
    """with Cluster(program) as c: ...   The folder is removed unless something failed.

    spread: each role has an lcore of its own, so that everything between roles crosses threads.
    joiners: nodes that are no members at first, and not started by start_new().
    """

    def __init__(self, program, spread=False, joiners=()):
        if shutil.which('etcdctl') is None:
            skip('etcdctl is not installed (scripts/setup installs it: etcd-client)')
        self.program = os.path.abspath(program)
        self.spread = spread
        self.folder = tempfile.mkdtemp(prefix='skiff-')
        self.joiners = joiners
        self.reserved = {i: reserved_port() for i in (*NODES, *joiners)}
        self.ports = {i: s.getsockname()[1] for i, s in self.reserved.items()}
        self.process = {}
        for i in self.ports:
            self.write_config(i)

    def write_config(self, i):
        """The quickstart's own configuration, with free ports."""
        with open(f'{TOP}/config/node{i if i in NODES else 1}.yaml') as original:
            text = original.read()
        for node in NODES:
            text, count = re.subn(rf'(node: {node},.*127\.0\.0\.1:)\d+',
                                  rf'\g<1>{self.ports[node]}', text)
            assert count == 1
        if i not in NODES:
            text = re.sub(r'(?m)^node: 1$', f'node: {i}', text).replace('n1/', f'n{i}/')
        for node in self.joiners:
            text = text.replace('members:\n', f'members:\n  - {{ node: {node}, name: n{node}, '
                                f'client: {self.address(node)}, joins: true }}\n')
        if self.spread:
            text, count = re.subn(r'  - roles: \[(.*)\]', lambda m: '\n'.join(
                f'  - roles: [{role}]' for role in m[1].split(', ')), text)
            assert count == 1
        with open(self.config(i), 'w') as out:
            out.write(text)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for i in list(self.process):
            self.kill(i)
        for s in self.reserved.values():
            s.close()
        if kind is None or kind is SystemExit:
            shutil.rmtree(self.folder)
        else:
            print(f'what the nodes left is in {self.folder}')
            for i in NODES:
                self.print_log(i)

    def print_log(self, i):
        if os.path.exists(self.log(i)):
            with open(self.log(i)) as log:
                print(f'--- end of the log of node {i}:\n' + ''.join(log.readlines()[-12:]))

    def config(self, i):
        return f'{self.folder}/node{i}.yaml'

    def log(self, i):
        return f'{self.folder}/log{i}'

    def data(self, i):
        return f'{self.folder}/n{i}/data'

    def address(self, i):
        return f'127.0.0.1:{self.ports[i]}'

    # --- processes

    def skiff(self, *arguments):
        """Runs a command to its end: (exit code, stdout and stderr)."""
        done = subprocess.run([self.program, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.returncode, done.stdout

    def init(self, i):
        code, text = self.skiff('init', '--config', self.config(i))
        assert code == 0, text

    def change_members(self, *words, done):
        """skiff member ..., asked until it is done. A new node may not have been heard yet, and an answer may be
        late or lost though the change was made: then `done` is what is said of the same change once more. Each
        node is asked in turn, since one that was removed knows no leader."""
        nodes = itertools.cycle(list(self.process))

        def asked():
            code, text = self.skiff('member', *words, '--config', self.config(next(nodes)))
            if code != 0:
                print(f'skiff member {" ".join(words)}: exit code {code}: {text.strip()}', flush=True)
            return code == 0 or done in text
        self.wait(f'skiff member {" ".join(words)}', asked)

    def start(self, i):
        with open(self.log(i), 'a') as log:
            self.process[i] = subprocess.Popen([self.program, 'run', '--config', self.config(i)],
                                               stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start_new(self):
        for i in NODES:
            self.init(i)
        for i in NODES:
            self.start(i)
        self.wait_leader()

    def kill(self, i, number=signal.SIGKILL):
        """Its exit code: negative if it was the signal's."""
        process = self.process.pop(i)
        process.send_signal(number)
        return process.wait(timeout=30)

    def check_alive(self):
        for i, process in self.process.items():
            assert process.poll() is None, f'node {i} died by itself, exit code {process.returncode}'

    # --- what nodes say

    def status(self, nodes=None):
        """By node, of all that run or of those named; waits until each of them answers."""
        def all_answer():
            found = self.answers(nodes)
            return found if len(found) == len(nodes or self.process) else None
        return self.wait('the nodes answer', all_answer)

    def answers(self, nodes=None):
        """The same at this moment; a node that does not answer, or not in time, is missing."""
        nodes = nodes or list(self.process)
        done = subprocess.run([self.program, 'status', '-o', 'json', '--config',
                               *(self.config(i) for i in nodes)], capture_output=True, text=True)
        return {entry['node']: entry for entry in json.loads(done.stdout) if 'error' not in entry}

    def wait(self, what, check, seconds=30, progress=None):
        """Until check() gives something true, which is returned. In vain is so long without it; or, of what takes as
        long as the machine is slow, so long in which progress() stays the same."""
        end, seen = time.monotonic() + seconds, None
        while time.monotonic() < end:
            self.check_alive()
            result = check()
            if result:
                return result
            if progress and progress() != seen:
                end, seen = time.monotonic() + seconds, progress()
            time.sleep(0.02)
        print(json.dumps(self.answers(), indent=1))
        raise AssertionError(f'waited {seconds} s in vain: {what}')

    def written(self):
        """For progress(): what each node has written so far, in MiB."""
        return [entry['flushed_bytes'] >> 20 for entry in self.status().values()]

    def leader(self):
        """The node that leads in the highest term, if all running nodes agree on it; else None."""
        status = self.answers()
        if len(status) < len(self.process):
            return None
        terms = {entry['term'] for entry in status.values()}
        leaders = [i for i, entry in status.items() if entry['role'] == 'leader']
        return leaders[0] if len(terms) == 1 and len(leaders) == 1 else None

    def wait_leader(self):
        return self.wait('one leader', self.leader)

    def wait_equal(self):
        """All nodes have applied all that their logs have, and have the same content: the digest. (Nodes that
        were all started are equal for a moment before they have applied anything.)"""
        def equal():
            status = self.status()
            if any(entry['applied'] < entry['last_index'] for entry in status.values()):
                return None
            seen = {(entry['applied'], entry['digest']) for entry in status.values()}
            return seen if len(seen) == 1 else None
        return self.wait('equal digests on all nodes', equal)

    # --- the stock client

    def etcdctl(self, i, *arguments, text=None):
        done = subprocess.run(['etcdctl', '--endpoints', self.address(i), '--command-timeout', '20s',
                               '--dial-timeout', '5s', *arguments], input=text, text=True,
                              capture_output=True, env={**os.environ, 'ETCDCTL_API': '3'})
        assert done.returncode == 0, f'etcdctl {arguments} through node {i}: {done.stderr}'
        return done.stdout

    def get_prefix(self, i, prefix):
        """What node i itself has applied: {key: value}."""
        lines = self.etcdctl(i, 'get', '--prefix', '--consistency', 's', prefix).splitlines()
        return dict(zip(lines[0::2], lines[1::2]))
