#!/usr/bin/env python3
"""Goal:   what people get wrong is met with a message that says what is wrong and what to do, and
        with an exit code of its own; nothing is damaged.
Method: each mistake made on real configurations, directories and processes.
"""
import os
import re
import shutil
import socket
import subprocess
import sys

from cluster import TOP, Cluster

USAGE, CONFIG, DATA, START, NO_ANSWER = 1, 2, 3, 4, 5


def expect(result, code, *parts):
    assert result[0] == code, f'exit code {result[0]}, not {code}: {result[1]}'
    for part in parts:
        assert part in result[1], f'"{part}" is missing in: {result[1]}'


def run(c, i=1):
    return c.skiff('run', '--config', c.config(i))


def command_line(c):
    expect(c.skiff(), USAGE, 'skiff init', 'skiff run')
    expect(c.skiff('frobnicate'), USAGE, 'unknown command frobnicate', '--help')
    expect(c.skiff('frobnicate', 'it'), USAGE, 'unknown command frobnicate')
    expect(c.skiff('run'), USAGE, '--config')
    expect(c.skiff('run', c.config(1)), USAGE, 'a configuration is named by --config FILE')
    expect(c.skiff('status', '-o', 'xml'), USAGE, 'table or json')
    config = ('--config', c.config(1))
    expect(c.skiff('member', 'list'), USAGE, '--config FILE')
    expect(c.skiff('member', *config), USAGE, 'list, add, replace')
    expect(c.skiff('member', 'marry', 'n2', *config), USAGE, 'not marry')
    expect(c.skiff('member', 'add', *config), USAGE, 'too few or too many words')
    expect(c.skiff('member', 'add', 'n9', *config), USAGE, 'node number', 'n9')
    expect(c.skiff('member', 'priority', 'n2', '256', *config), USAGE, '0 to 255')
    expect(c.skiff('member', 'add', 'n2', '--priority', 'x', *config), USAGE, '0 to 255')
    expect(c.skiff('transfer', 'n2', 'n3', *config), USAGE, 'one node at most')
    expect(c.skiff('transfer', 'n2', *config), NO_ANSWER, 'node 1 (n1) is not running')
    expect(c.skiff('--version'), 0, 'skiff ')
    expect(c.skiff('--help'), 0, 'skiff status')
    expect(c.skiff('inspect', '--help'), 0, 'skiff inspect wal DIR')
    expect(c.skiff('status', '--dir', '/nonexistent'), USAGE, 'scripts/quickstart')


def typo_in_yaml(c):
    with open(c.config(1)) as file:
        good = file.read()
    line = good[:good.index('idle:')].count('\n') + 1
    with open(c.config(1), 'w') as file:
        file.write(good.replace('idle:', 'idel:'))
    expect(run(c), CONFIG, f'node1.yaml:{line}: unknown key "idel"', 'allowed here', 'idle')
    with open(c.config(1), 'w') as file:
        file.write(good)
    expect(c.skiff('run', '--config', c.folder + '/none.yaml'), CONFIG, 'none.yaml', 'No such file')


def no_data_directory(c):
    expect(run(c), DATA, 'does not exist', 'skiff init')


def empty_data_directory(c):
    os.makedirs(c.data(1))
    expect(run(c), DATA, 'no superblock', 'skiff init')
    shutil.rmtree(c.data(1))


def file_as_data_directory(c):
    os.makedirs(os.path.dirname(c.data(1)), exist_ok=True)
    with open(c.data(1), 'w'):
        pass
    expect(run(c), DATA, 'is a file')
    os.remove(c.data(1))


def init_twice(c):
    c.init(1)
    expect(c.skiff('init', '--config', c.config(1)), DATA, 'initialised already', 'skiff run')


def data_of_another_cluster(c):
    with open(c.config(1)) as file:
        good = file.read()
    with open(c.config(1), 'w') as file:
        file.write(re.sub(r'(?m)^cluster: .*', 'cluster: 99', good))
    expect(run(c), DATA, 'belongs to cluster', 'the configuration says cluster 99')
    with open(c.config(1), 'w') as file:
        file.write(good)


def data_of_another_node(c):
    c.init(2)
    os.rename(c.data(1), c.data(1) + '.own')
    os.rename(c.data(2), c.data(1))
    expect(run(c), DATA, 'belongs to node 2', 'the configuration says node 1')
    os.rename(c.data(1), c.data(2))
    os.rename(c.data(1) + '.own', c.data(1))


def cpus_that_are_not_there(c):
    with open(c.config(1)) as file:
        good = file.read()
    with open(c.config(1), 'w') as file:
        file.write(good.replace('  - roles:', '  - cpu: 1000\n    roles:'))
    expect(run(c), START, "can't run on CPU 1000", 'lcores[].cpu')
    several = '\n'.join(f'  - roles: [{role}]' for role in ('rx', 'api', 'raft', 'persist', 'store', 'tx'))
    with open(c.config(1), 'w') as file:
        file.write(re.sub('  - roles:.*', several, good).replace('idle: adaptive', 'idle: busy'))
    if os.cpu_count() < 6:
        expect(run(c), START, 'busy needs a CPU for each lcore', 'idle: adaptive')
    with open(c.config(1), 'w') as file:
        file.write(good)


def port_taken(c):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(('127.0.0.1', c.ports[1]))
        taken.listen()
        expect(run(c), START, str(c.ports[1]), 'is taken by another program')


def second_start(c):
    c.start(1)
    c.status()  # it answers
    expect(run(c), DATA, f'in use by the skiff with pid {c.process[1].pid}', 'scripts/stop')
    expect(c.skiff('init', '--config', c.config(1)), DATA, 'in use')
    c.kill(1)


def log_says(c, i, *parts):
    def said():
        with open(c.log(i)) as log:
            text = log.read()
        return all(part in text for part in parts)
    c.wait(f'node {i} says: {parts}', said)


def one_alone(c):
    c.start(1)
    log_says(c, 1, 'no configuration yet: this node waits until all initial members run')
    expect(c.skiff('status', '--config', c.config(1)), 0, 'no member yet: waits until all')
    expect(c.skiff('member', 'list', '--config', c.config(1)), 0, 'waits until all initial members')
    c.kill(1)


def another_cluster(c):
    with open(c.config(2)) as file:
        good = file.read()
    with open(c.config(2), 'w') as file:
        file.write(re.sub(r'(?m)^cluster: .*$', 'cluster: 99', good))
    os.rename(c.data(2), c.data(2) + '.kept')
    c.init(2)
    c.start(1)
    c.start(2)
    log_says(c, 1, 'is of another cluster than 20261122', 'compare `cluster`')
    log_says(c, 2, 'is of another cluster than 99')
    c.kill(1)
    c.kill(2)
    shutil.rmtree(c.data(2))
    os.rename(c.data(2) + '.kept', c.data(2))
    with open(c.config(2), 'w') as file:
        file.write(good)


def not_writable(c):
    """As root everything is writable, so then another user tries."""
    command = [c.program, 'run', '--config', c.config(1)]
    if os.geteuid() == 0:
        command[0] = shutil.copy(c.program, c.folder)  # where that user finds it
        command = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] + command
        os.chmod(c.folder, 0o755)
    os.chmod(c.data(1), 0o555)
    os.chmod(c.data(1) + '/LOCK', 0o444)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect((done.returncode, done.stdout), DATA, "can't be written", 'must belong to the user')
    os.chmod(c.data(1) + '/LOCK', 0o644)
    os.chmod(c.data(1), 0o755)


def quickstart_refuses(c):
    """Of quickstart only what it refuses before it installs or builds."""
    def quickstart(*arguments):
        done = subprocess.run([f'{TOP}/scripts/quickstart', '--no-setup', *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout
    expect(quickstart('--frob'), 1, 'unknown argument --frob', '--detach')
    c.start(1)
    c.status()  # it answers
    expect(quickstart('--dir', c.folder), 1, 'running', str(c.process[1].pid), 'scripts/stop')
    stop = subprocess.run([f'{TOP}/scripts/stop', '--dir', c.folder], stdout=subprocess.PIPE, text=True)
    assert stop.returncode == 0, stop.stdout
    assert f'(pids {c.process[1].pid})' in stop.stdout
    assert c.process.pop(1).wait(timeout=10) == 0


with Cluster(sys.argv[1]) as cluster:
    for test in (command_line, typo_in_yaml, no_data_directory, empty_data_directory,
                 file_as_data_directory, init_twice, data_of_another_cluster, data_of_another_node,
                 cpus_that_are_not_there, port_taken, one_alone, another_cluster, second_start, not_writable,
                 quickstart_refuses):
        test(cluster)
        print('ok', test.__name__)
