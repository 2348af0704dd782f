"""The log of a dm-log-writes device: what was written to a disk, in the order in which it counted.

Format (the kernel's Documentation/admin-guide/device-mapper/log-writes.rst and dm-log-writes.c); all
numbers little-endian, places and lengths in sectors of the log's own sector size:

    sector 0          magic u64, version u64, entry count u64, sector size u32
    then each entry   a sector: place u64, length u64, flags u64, data bytes u64; a mark's text
                      follows in the same sector. Then, for a write, its data

A plain write is logged in front of the flush that covers it, a FUA write when it has completed, a
mark when it was set. So when the power goes after entry P, everything up to the last flush and each
FUA write up to P is on the disk; of the other writes any part may be.
"""
import struct

MAGIC, VERSION = 0x6a736677736872, 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


class Entry:
    """place, bytes: where and how much on the disk; data_at: in the log; text: of a mark."""

    def __init__(self, place, length, flags, data_at, text):
        self.place, self.bytes, self.flags = place, length, flags
        self.data_at, self.text = data_at, text

    def has_data(self):
        return self.bytes > 0 and not self.flags & (DISCARD | MARK)


def read_entries(log):
    """`log`: a file open for reading. All entries, in order."""
    log.seek(0)
    magic, version, count, sector = struct.unpack('<QQQI', log.read(28))
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError(f'no write log: magic {magic:#x}, version {version}')
    entries = []
    at = sector
    for _ in range(count):
        log.seek(at)
        head = log.read(sector)
        place, length, flags, text_bytes = struct.unpack('<QQQQ', head[:32])
        at += sector
        text = head[32:32 + text_bytes].rstrip(b'\0').decode() if flags & MARK else ''
        entry = Entry(place * sector, length * sector, flags, at, text)
        if entry.has_data():
            at += entry.bytes
        entries.append(entry)
    return entries


def read_data(log, entry):
    log.seek(entry.data_at)
    data = log.read(entry.bytes)
    assert len(data) == entry.bytes
    return data
