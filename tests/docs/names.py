#!/usr/bin/env python3
"""Goal:   what the tables of rules in docs/ name is there: tests, scripts, marks, planted bugs, and the
        functions that have the rules; and every golden script stands for some rule.
Method: in each table with a column `test` or `shown by`, and `where`, every name in `backticks` is
        looked up in the tree, and every [planted bug] in base/planted.h or the models. Lines that name
        what does not exist must be found out.

    names.py TOP

In a column of tests: a golden script (`transfer*` for several), a file of tests, `file.c test, test`, a
program with its arguments, a MARK. In a column `where`: `file.c function, function`, or a path.
"""
import fnmatch
import os
import re
import sys

TOP = os.path.abspath(sys.argv[1])
TESTS, CODE = ('test', 'shown by'), ('where',)
FOLDERS = ('base', 'raftcore', 'replica', 'dataplane', 'persist', 'store', 'node', 'api', 'sim')
PROGRAMS = ('skiff-sim', 'skiff-crash', 'skiff-sim-planted', 'skiff-crash-planted')


def read(path):
    with open(os.path.join(TOP, path)) as file:
        return file.read()


def files_below(folder):
    for path, _, names in os.walk(os.path.join(TOP, folder)):
        for name in names:
            yield os.path.relpath(os.path.join(path, name), TOP)


class Tree:
    """What there is to be named."""

    def __init__(self):
        self.tests = {}    # name of a file -> its path; a name may stand in several folders
        for path in files_below('tests'):
            self.tests.setdefault(os.path.basename(path), []).append(path)
        self.code = {}
        for folder in FOLDERS:
            for path in files_below(folder):
                self.code.setdefault(os.path.basename(path), []).append(path)
        self.golden = {name[:-4] for name in os.listdir(os.path.join(TOP, 'tests/raftcore/golden'))
                       if name.endswith('.txt')}
        self.marks = set(re.findall(r'\bX\(([A-Z_0-9]+), "', read('base/mark.h')))
        self.bugs = set(re.findall(r'\bX\([A-Z_0-9]+, "([a-z-]+)"', read('base/planted.h')))
        models = ''.join(read(path) for path in files_below('tests/models') if path.endswith('.pml'))
        self.bugs |= set(re.findall(r'\bBUG_([A-Z_]+)', models))

    def in_file(self, paths, name, pattern):
        return any(re.search(pattern.format(re.escape(name)), read(path), re.MULTILINE)
                   for path in paths)


def wrong_test(tree, token):
    """Why the token names no test; None: it does."""
    words = re.split(r'[ ,]+', token)
    if words[0].startswith(('tests/', 'scripts/')):
        return None if os.path.exists(os.path.join(TOP, words[0])) else 'no such file'
    if words[0] in PROGRAMS:
        return None
    if words[0].endswith(('.c', '.py', '.pml')):
        if words[0] not in tree.tests:
            return 'no such file of tests'
        for name in words[1:]:
            if not tree.in_file(tree.tests[words[0]], name,
                                r'(^static void (test_)?{0}\(void \*\*|^def {0}\(|^SCENARIO\({0},)'):
                return f'{words[0]} has no test {name}'
        return None
    if words[0] in tree.marks or fnmatch.filter(tree.golden, words[0]):
        return None
    return 'no golden script, no mark, no file'


def wrong_code(tree, token):
    words = re.split(r'[ ,]+', token)
    if '/' in words[0]:
        return None if os.path.exists(os.path.join(TOP, words[0])) else 'no such file'
    if not words[0].endswith(('.c', '.h')) or words[0] not in tree.code:
        return 'no such file: the table says file.c function'
    for name in words[1:]:
        if not re.fullmatch(r"\w+", name):
            continue
        # A function, or a field or constant in a header.
        pattern = r'^[a-z][\w ]*[ \*]{0}\(' if words[0].endswith('.c') else r'\b{0}\b'
        if not tree.in_file(tree.code[words[0]], name, pattern):
            return f'{words[0]} has no {name}'
    return None


def cells(text):
    """(number of the line, name of the column, cell) of all tables."""
    columns = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith('|'):
            columns = None
            continue
        row = [cell.strip() for cell in line.strip('|').split('|')]
        if columns is None:
            columns = row
        elif len(row) == len(columns) and not set(''.join(row)) <= set('-: '):
            for column, cell in zip(columns, row):
                yield number, column, cell


def check(tree, name, text):
    """(names that were looked up, lines about those that are not there, golden scripts named)."""
    count, wrong, golden = 0, [], set()
    for number, column, cell in cells(text):
        judge = wrong_test if column in TESTS else wrong_code if column in CODE else None
        if judge is None:
            continue
        for token in re.findall(r'`([^`]+)`', cell):
            why = judge(tree, token)
            count += 1
            golden |= set(fnmatch.filter(tree.golden, token))
            if why is not None:
                wrong.append(f'{name}:{number}: `{token}`: {why}')
        bare = re.sub(r'`[^`]*`|\[[^\]]*\]', '', cell)
        for word in re.findall(r'\b[a-z0-9]+(?:_[a-z0-9]+){2,}\b', bare):
            wrong.append(f'{name}:{number}: {word}: a name stands in backticks, behind its file')
        for bug in re.findall(r'[\w-]+', ' '.join(re.findall(r'\[([^\]]+)\]', cell))):
            count += 1
            if bug not in tree.bugs:
                wrong.append(f'{name}:{number}: [{bug}]: no planted bug')
    return count, wrong, golden


CONTROL = """
| rule | test | where |
|---|---|---|
| a | `no_such_script` | `role.c no_such_function` |
| b | `damage.c no_such_test`, `none.c` a_bare_name [no-such-bug] | `none.c` |
| c | `tests/none.py`, `NO_SUCH_MARK` | `raftcore/none.c` |
"""


def main():
    tree = Tree()
    found = len(check(tree, 'control', CONTROL)[1])
    if found != 10:
        sys.exit(f'of the 10 names in the control that do not exist {found} were found out')
    total, wrong, golden = 0, [], set()
    for path in sorted(files_below('docs')):
        if path.endswith('.md'):
            count, lines, scripts = check(tree, path, read(path))
            total += count
            wrong += lines
            golden |= scripts
    wrong += [f'docs/raft.md: golden script {name} stands for no rule'
              for name in sorted(tree.golden - golden)]
    print('\n'.join(wrong))
    print(f'{total} names, {len(wrong)} wrong')
    sys.exit(bool(wrong) or total < 500)


main()
