#!/usr/bin/env python3
"""Goal:   the core as it ships calls nobody but base/ and the copying of memory: no heap, no clock,
        no system, in any step.
Method: what its library leaves undefined, by nm, must be in the list below; and a program that
        does call malloc must be found out.

    needs.py LIBRARY CONTROL
"""
import subprocess
import sys

ALLOWED = {'memcpy', 'memmove', 'memset', 'assert_failed', 'prng_seed', 'prng_between'}


def needs(library):
    text = subprocess.run(['nm', library], check=True, text=True, stdout=subprocess.PIPE).stdout
    undefined, defined = set(), set()
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == 'U':
            undefined.add(words[1].split('@')[0])
        elif len(words) == 3:
            defined.add(words[2])
    return undefined - defined - ALLOWED, len(defined)


foreign, count = needs(sys.argv[1])
control, _ = needs(sys.argv[2])
if foreign:
    sys.exit(f'the core needs {sorted(foreign)}')
if count < 100:
    sys.exit(f'only {count} symbols: is this the core?')
if 'malloc' not in control:
    sys.exit('the control, which calls malloc, was not found out')
