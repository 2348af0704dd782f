#!/usr/bin/env python3
"""Goal:   `skiff inspect snap FILE`, and that docs/formats.md says what a snapshot file is.
Method: files are made here by the tables of docs/formats.md, by code that shares nothing with persist/, and
        inspected whole, damaged, cut, of another version. The exit codes and places must be right.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

SECTOR, ROW, DATA = 4096, 507, 3


def crc_table(polynomial):
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


TABLE_32, TABLE_64 = crc_table(0x82f63b78), crc_table(0xc96c5795d7870f42)


def crc(table, ones, data):
    value = ones
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 255]
    return value ^ ones


def crc32c(data):
    return crc(TABLE_32, 2**32 - 1, data)


def crc64(data):
    return crc(TABLE_64, 2**64 - 1, data)


def header(content, chunk_bytes, digest, version=1):
    config = b'members'
    fields = struct.pack('<IHHQQQQQQIIII256s180x', 0x4e534b53, version, 0, 77, 9, 3, len(content),
                         digest, 5, chunk_bytes, 0xabcd, len(config), 0, config)
    return fields


def snapshot(content, chunk_bytes, version=1):
    chunks = [content[at:at + chunk_bytes] for at in range(0, len(content), chunk_bytes)]
    chunks = [c + bytes(-len(c) % SECTOR) for c in chunks]
    sums = [crc64(c) for c in chunks]
    packed = struct.pack(f'<{len(sums)}Q', *sums)
    digest = crc64(packed + header(content, chunk_bytes, 0) + bytes(4))
    fields = header(content, chunk_bytes, digest, version)
    front = (fields + struct.pack('<I', crc32c(fields))).ljust(SECTOR, b'\0')
    table = b''
    for row in range(0, len(sums), ROW):
        part = struct.pack('<IIQQQ', 0x54534b53, row // ROW, 77, 9, 3) + packed[8 * row:8 * (row + ROW)]
        part = part.ljust(SECTOR - 8, b'\0')
        table += part + struct.pack('<Q', crc64(part))
    return front + front + b''.join(chunks) + table + table


def inspect(skiff, path, *options):
    done = subprocess.run([skiff, 'inspect', 'snap', path, *options], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def check(skiff, folder, data, code, **expected):
    path = os.path.join(folder, 'snap-0000000000000009')
    with open(path, 'wb') as file:
        file.write(data)
    found_code, text = inspect(skiff, path, '--verify', '-o', 'json')
    found = json.loads(text)
    assert found_code == code, (found_code, found)
    for name, value in expected.items():
        assert found[name] == value, (name, found)
    with open(path, 'rb') as file:
        assert file.read() == data
    return found


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1:]


def main():
    skiff = sys.argv[1]
    content = bytes(i * 7 % 251 for i in range(3 * SECTOR + 100))
    good = snapshot(content, SECTOR)
    with tempfile.TemporaryDirectory() as folder:
        check(skiff, folder, good, 0, problem='none', index=9, term=3, cluster=77, chunks=4,
              bytes=len(content), digest_fits=True, fault_count=0, file_bytes=len(good))
        check(skiff, folder, snapshot(content, 65536), 0, chunks=1)
        many = snapshot(bytes(range(256)) * 16 * 510, SECTOR)  # more than a row of the table
        check(skiff, folder, many, 0, chunks=510)
        found = check(skiff, folder, flipped(good, 4 * SECTOR + 9), DATA, chunks_damaged=1)
        assert found['faults'] == [{'kind': 'chunk', 'number': 2, 'copy': 0, 'offset': 4 * SECTOR,
                                    'bytes': SECTOR, 'readable': True}], found
        path = os.path.join(folder, 'snap-0000000000000009')
        code, text = inspect(skiff, path)
        assert code == 0 and f'damaged: chunk 2, offset {4 * SECTOR}' in text, text
        check(skiff, folder, flipped(good, SECTOR), DATA, fault_count=1, digest_fits=True)
        check(skiff, folder, good[:-SECTOR], DATA, problem='another length than its header says')
        check(skiff, folder, flipped(flipped(good, 0), SECTOR), DATA, problem='it has no whole header')
        check(skiff, folder, snapshot(content, SECTOR, 2), DATA, problem='written by another version',
              version=2)
        code, text = inspect(skiff, os.path.join(folder, 'none'))
        assert code == DATA and 'No such file' in text, text
    assert subprocess.run([skiff, 'inspect', 'snap'], capture_output=True, check=False).returncode == 1
    print('ok')


main()
