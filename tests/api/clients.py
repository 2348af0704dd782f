#!/usr/bin/env python3
"""Goal:   unmodified clients and hostile ones get from the API what etcd would give them, and nobody
        else suffers from the hostile ones.
Method: the API before a fake node (server.c), driven by etcdctl, h2load, curl and raw sockets; with
        rings of 1024 slots and of 2. Prints a line per failed case; 1 if there was any.

    clients.py SERVER [etcdctl|wire|hostile|end ...]
"""
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
OWN_SECONDS, CURL_SECONDS = 2, 10  # time-outs of the server (server.c) and of curl
PATIENCE_SECONDS = 20  # for what must come; a machine may be busy with something else
failures = []


def check(name, good, seen=''):
    if not good:
        failures.append(name)
        print(f'FAILED {name}: {seen!r}', flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, path, slots):
        self.port = free_port()
        self.process = subprocess.Popen([path, str(self.port), str(slots)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        check('server starts', self.process.stdout.readline() == 'ready\n')

    def signal(self, number, line):
        """Until it says what has become of that."""
        self.process.send_signal(number)
        self.wait_line(line)

    def wait_line(self, wanted):
        for line in self.process.stdout:
            if line == wanted + '\n':
                return
        check('server says: ' + wanted, False, 'it has ended')

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            out, err = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
        check('server stops by itself', self.process.returncode == 0 and 'stopped' in out,
              (self.process.returncode, out, err))


def etcdctl(server, *words, text=None):
    done = subprocess.run(['etcdctl', f'--endpoints=127.0.0.1:{server.port}', *words], input=text,
                          stdin=subprocess.DEVNULL if text is None else None,
                          capture_output=True, timeout=60, env=dict(os.environ, ETCDCTL_API='3'))
    return done.returncode, done.stdout.decode('latin1'), done.stderr.decode('latin1')


def says(server, name, expected, *words):
    code, out, err = etcdctl(server, *words)
    check(name, code == 0 and out == expected, (out, err))


def refused(server, name, expected, *words, text=None):
    code, _, err = etcdctl(server, *words, text=text)
    check(name, code != 0 and expected in err, err)


def test_etcdctl(server):
    says(server, 'put', 'OK\n', 'put', 'a', '1')
    says(server, 'get', 'a\n1\n', 'get', 'a')
    says(server, 'get of nothing', '', 'get', 'none')
    says(server, 'put with previous', 'OK\na\n1\n', 'put', 'a', '2', '--prev-kv')
    says(server, 'put with previous of nothing', 'OK\n', 'put', 'b', '3', '--prev-kv')
    says(server, 'put again', 'OK\n', 'put', 'ba', '1')
    says(server, 'range', 'a\n2\nb\n3\n', 'get', 'a', 'ba')
    says(server, 'prefix', 'b\n3\nba\n1\n', 'get', '--prefix', 'b')
    says(server, 'from key', 'b\n3\nba\n1\n', 'get', '--from-key', 'b')
    says(server, 'keys only', 'a\n\nb\n\nba\n\n', 'get', '--prefix', '', '--keys-only')
    says(server, 'limit', 'a\n2\n', 'get', '--prefix', '', '--limit', '1')
    says(server, 'serializable', 'a\n2\n', 'get', 'a', '--consistency=s')
    says(server, 'descending', 'ba\n1\nb\n3\na\n2\n', 'get', '--prefix', '', '--order=DESCEND')
    says(server, 'by value', 'ba\n1\na\n2\nb\n3\n', 'get', '--prefix', '', '--sort-by=VALUE')
    _, out, _ = etcdctl(server, 'get', '--prefix', '', '--limit', '2', '-w', 'fields')
    check('more and count', '"More" : true' in out and '"Count" : 3' in out, out)
    _, out, _ = etcdctl(server, 'get', 'a', '-w', 'fields')
    for field in ('"ClusterID" : 203053033', '"MemberID" : 18369614218089748088', '"Revision" : 5',
                  '"RaftTerm" : 7', '"CreateRevision" : 2', '"ModRevision" : 3', '"Version" : 2'):
        check('field ' + field, field in out, out)
    says(server, 'delete with previous', '2\nb\n3\nba\n1\n', 'del', '--prefix', 'b', '--prev-kv')
    says(server, 'delete of nothing', '0\n', 'del', 'b')
    _, out, _ = etcdctl(server, 'get', 'a', '-w', 'fields')
    check('a delete of nothing has no revision', '"Revision" : 6' in out, out)
    says(server, 'ignore value', 'OK\n', 'put', '--ignore-value', 'a')

    _, out, _ = etcdctl(server, 'endpoint', 'status', '-w', 'fields')
    for field in ('"MemberID" : 18369614218089748088', '"Revision" : 7', '"RaftTerm" : 7',
                  '"Version" : "3.5.16"', '"Leader" : 18369614218089748088', '"IsLearner" : false',
                  '"Errors" : []'):
        check('status ' + field, field in out, out)
    says(server, 'members', 'feedface12345678, started, one, http://127.0.0.1:2, http://127.0.0.1:1,'
         ' false\n2, started, two, , http://127.0.0.1:3, false\n', 'member', 'list')
    code, out, err = etcdctl(server, 'endpoint', 'health')
    check('health', code == 0 and 'is healthy' in out + err, (out, err))

    refused(server, 'no key', 'etcdserver: key is not provided', 'put', '', 'x')
    refused(server, 'ignore value of nothing', 'etcdserver: key not found', 'put', '--ignore-value',
            'none')
    refused(server, 'unknown lease', 'etcdserver: requested lease not found', 'put', '--lease=77',
            'a', 'x')
    refused(server, 'future revision', 'mvcc: required revision is a future revision', 'get', 'a',
            '--rev', '1000')
    refused(server, 'unknown method', 'code = Unimplemented desc = unknown method Txn for service '
            'etcdserverpb.KV', 'txn', text=b'\nput a 1\n\n\n')
    refused(server, 'unknown service', 'unknown service etcdserverpb.Lease', 'lease', 'grant', '5')
    refused(server, 'no room', 'etcdserver: mvcc: database space exceeded', 'put', 'fault/NO_ROOM',
            'x')
    refused(server, 'fate unknown', 'possibly due to previous leader failure', 'put',
            'fault/UNKNOWN', 'x')
    refused(server, 'busy', 'etcdserver: too many requests', 'put', 'fault/BUSY', 'x')
    refused(server, 'timed out', 'etcdserver: request timed out', 'put', 'fault/TIMED_OUT', 'x')
    refused(server, 'deadline', 'context deadline exceeded', 'put', 'fault/SILENT', 'x',
            '--command-timeout=300ms')
    server.signal(signal.SIGUSR1, 'kept 0')

    value = bytes(i * 7919 % 251 + 1 for i in range(1 << 20))
    for i in range(12):
        code, _, err = etcdctl(server, 'put', f'large{i}', text=value)
        check('large value', code == 0, err)
    code, out, _ = etcdctl(server, 'get', '--prefix', 'large', '--print-value-only')
    check('large values', out.encode('latin1') == (value + b'\n') * 12, len(out))
    refused(server, 'too large', 'etcdserver: request is too large', 'put', 'large',
            text=value + value[:1 << 19] + b'x' * 64)
    says(server, 'delete all', '13\n', 'del', '--prefix', '')


def message(*fields):
    """Byte string fields, by number; a gRPC frame around them."""
    body = b''
    for number, text in fields:
        body += bytes([number << 3 | 2]) + varint(len(text)) + text
    return frame_message(body)


def varint(value):
    out = b''
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def frame_message(body, flag=0):
    return bytes([flag]) + struct.pack('>I', len(body)) + body


def curl(server, path, body, *headers, method='POST', content_type='application/grpc'):
    with tempfile.NamedTemporaryFile() as f:
        f.write(body)
        f.flush()
        words = ['curl', '-s', '-D', '-', '-o', '/dev/null', '--max-time', str(CURL_SECONDS),
                 '--http2-prior-knowledge', '-X', method, '--data-binary', '@' + f.name,
                 '-H', 'content-type: ' + content_type, '-H', 'te: trailers']
        for header in headers:
            words += ['-H', header]
        words.append(f'http://127.0.0.1:{server.port}{path}')
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            seen = b''
            for line in process.stdout:
                seen += line
                refused_early = b'grpc-status: ' in seen or not seen.startswith(b'HTTP/2 200')
                if line == b'\r\n' and refused_early:
                    # This may be all of it before curl has sent its body: then 7.88 sits out its time-out.
                    process.kill()
    return seen.decode('latin1')


def test_wire(server):
    put = '/etcdserverpb.KV/Put'
    good = message((1, b'w'), (2, b'v'))

    def expect(name, code, text, *words, **more):
        seen = curl(server, *words, **more)
        check(name, f'grpc-status: {code}\r' in seen and f'grpc-message: {text}\r' in seen, seen)

    seen = curl(server, put, good)
    check('put', seen.startswith('HTTP/2 200') and 'grpc-status: 0\r' in seen, seen)
    seen = curl(server, put, good, 'x-unknown: ' + 'y' * 3000, 'grpc-accept-encoding: gzip',
                'grpc-encoding: identity', 'grpc-timeout: 99999999H', 'client-api-version: 3.4')
    check('unknown headers', 'grpc-status: 0\r' in seen, seen)
    seen = curl(server, put, good, content_type='application/json')
    check('content type', seen.startswith('HTTP/2 415'), seen)
    seen = curl(server, put, good, method='PUT')
    check('method', seen.startswith('HTTP/2 405'), seen)
    expect('malformed method', 12, 'malformed method name: "/health"', '/health', good)
    expect('percent', 12, 'unknown service a%25b', '/a%b/c', good)
    expect('compressed', 13, 'grpc: compressed flag set with identity or empty encoding', put,
           frame_message(good[5:], 1))
    expect('gzip', 12, 'grpc: Decompressor is not installed for grpc-encoding', put, good,
           'grpc-encoding: gzip')
    expect('bad timeout', 13, 'malformed grpc-timeout', put, good, 'grpc-timeout: soon')
    expect('no message', 13, 'grpc: a unary call takes exactly one message', put, b'')
    expect('half a message', 13, 'grpc: a unary call takes exactly one message', put, good[:-1])
    expect('two messages', 13, 'grpc: a unary call takes exactly one message', put, good + good)
    expect('malformed', 13, 'grpc: error unmarshalling request', put, frame_message(b'\x0a\x05ab'))
    expect('wrong wire type', 13, 'grpc: error unmarshalling request', put,
           frame_message(b'\x08\x05'))
    expect('empty message', 3, 'etcdserver: key is not provided', put, frame_message(b''))
    expect('value and ignore_value', 3, 'etcdserver: value is provided', put,
           frame_message(good[5:] + b'\x28\x01'))
    expect('lease and ignore_lease', 3, 'etcdserver: lease is provided', put,
           frame_message(good[5:] + b'\x18\x01\x30\x01'))
    expect('sort option', 3, 'etcdserver: invalid sort option', '/etcdserverpb.KV/Range',
           frame_message(good[5:8] + b'\x28\x07'))
    seen = curl(server, put, frame_message(good[5:] + b'\xc8\x3e\x01\xfa\x3e\x02ab'))
    check('unknown fields', 'grpc-status: 0\r' in seen, seen)
    began = time.monotonic()
    expect('deadline', 4, 'context deadline exceeded', put, message((1, b'fault/SILENT')),
           'grpc-timeout: 150m')
    check('deadline in time', 0.15 <= time.monotonic() - began < OWN_SECONDS, time.monotonic() - began)
    began = time.monotonic()
    expect('own time-out', 14, 'etcdserver: request timed out', put, message((1, b'fault/SILENT')))
    check('own time-out in time', OWN_SECONDS <= time.monotonic() - began < CURL_SECONDS,
          time.monotonic() - began)
    server.signal(signal.SIGUSR1, 'kept 0')

    server.signal(signal.SIGUSR2, 'leader 0')
    expect('no leader', 14, 'etcdserver: no leader', put, good, 'hasleader: true')
    _, out, _ = etcdctl(server, 'endpoint', 'status', '-w', 'json')
    check('status without leader', 'etcdserver: no leader' in out, out)
    server.signal(signal.SIGUSR2, 'leader 1')
    seen = curl(server, put, good, 'hasleader: true')
    check('leader again', 'grpc-status: 0\r' in seen, seen)

    with tempfile.NamedTemporaryFile() as f:
        f.write(message((1, b'load'), (2, b'x' * 64)))
        f.flush()
        done = subprocess.run(['h2load', '-c8', '-m32', '-n20000', '-d', f.name, '-H',
                               'content-type: application/grpc', '-H', 'te: trailers',
                               f'http://127.0.0.1:{server.port}{put}'], capture_output=True,
                              timeout=120, text=True)
    check('h2load', '20000 succeeded' in done.stdout, done.stdout)
    _, out, _ = etcdctl(server, 'get', 'load', '-w', 'fields')
    check('h2load counted', '"Version" : 20000' in out, out)


class Raw:
    """Just enough of HTTP/2 to misbehave."""

    def __init__(self, server, preface=True, receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(10)
        self.socket.connect(('127.0.0.1', server.port))
        self.buffer = b''
        if preface:
            self.socket.sendall(PREFACE + self.frame(SETTINGS, 0, 0, b''))

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack(
            '>I', stream) + payload

    @staticmethod
    def header(name, value):
        return b'\x00' + bytes([len(name)]) + name + b'\x7f' + varint(len(value) - 127) + value \
            if len(value) >= 127 else b'\x00' + bytes([len(name)]) + name + bytes([len(value)]) + value

    def headers(self, stream, path, *more, flags=END_HEADERS):
        block = b''.join(self.header(n, v) for n, v in (
            (b':method', b'POST'), (b':scheme', b'http'), (b':path', path), (b':authority', b'x'),
            (b'content-type', b'application/grpc'), (b'te', b'trailers'), *more))
        return self.frame(HEADERS, flags, stream, block)

    def put(self, stream, key, value=b'v'):
        return self.headers(stream, b'/etcdserverpb.KV/Put') + self.frame(
            DATA, END_STREAM, stream, message((1, key), (2, value)))

    def send(self, data):
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def read_to_end(self):
        """All bytes, if the server closes."""
        data = b''
        try:
            while more := self.socket.recv(4096):
                data += more
        except OSError as error:
            check('the server closes', False, (error, data))
        return data

    def read(self, wanted):
        """Frames until one satisfies `wanted`, or None at the end."""
        while True:
            while len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], 'big')
                if len(self.buffer) < 9 + length:
                    break
                kind, flags = self.buffer[3], self.buffer[4]
                stream = int.from_bytes(self.buffer[5:9], 'big') & 0x7fffffff
                payload = self.buffer[9:9 + length]
                self.buffer = self.buffer[9 + length:]
                if wanted(kind, flags, stream):
                    return kind, flags, stream, payload
            try:
                more = self.socket.recv(65536)
            except OSError:
                return None
            if not more:
                return None
            self.buffer += more

    def answered(self, stream):
        return self.read(lambda kind, flags, s: s == stream and kind == HEADERS and
                         flags & END_STREAM) is not None


def is_served(server):
    return 'grpc-status: 0\r' in curl(server, '/etcdserverpb.KV/Put', message((1, b'alive'), (2, b'v')))


def serves(server, name):
    check(name, is_served(server))


def test_hostile(server):
    raw = Raw(server, preface=False)
    raw.send(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
    seen = raw.read_to_end()
    check('HTTP/1.1', seen.startswith(b'HTTP/1.1 400 ') and b'gRPC' in seen, seen)
    head, body = seen.split(b'\r\n\r\n')
    check('HTTP/1.1 length', b'Content-Length: %d\r' % len(body) in head, seen)

    raw = Raw(server, preface=False)
    for i in range(len(PREFACE)):
        raw.send(PREFACE[i:i + 1])
        time.sleep(0.002)
    data = raw.frame(SETTINGS, 0, 0, b'') + raw.put(1, b'bytewise')
    for i in range(len(data)):
        raw.send(data[i:i + 1])
    check('byte by byte', raw.answered(1))
    # One message over several DATA frames, empty ones among them.
    body = message((1, b'split'), (2, b'v' * 300))
    raw.send(raw.headers(3, b'/etcdserverpb.KV/Put'))
    for i in range(len(body)):
        raw.send(raw.frame(DATA, 0, 3, body[i:i + 1]) + raw.frame(DATA, 0, 3, b''))
    raw.send(raw.frame(DATA, END_STREAM, 3, b''))
    check('split message', raw.answered(3))
    says(server, 'split value', 'split\n' + 'v' * 300 + '\n', 'get', 'split')

    # count_only, which this etcdctl has no flag for: header, then nothing but the count.
    raw.send(raw.headers(5, b'/etcdserverpb.KV/Range') + raw.frame(
        DATA, END_STREAM, 5, frame_message(b'\x0a\x01b\x12\x01c\x48\x01')))
    seen = raw.read(lambda kind, f, s: s == 5 and kind == DATA)[3]
    header_bytes = seen[6]
    check('count only', seen[5] == 0x0a and seen[7 + header_bytes:] == b'\x20\x01', seen)

    # The client goes while its request is with the node; the answers come later.
    raw.send(raw.put(7, b'fault/SILENT') + raw.put(9, b'fault/SILENT', b'v' * 5000))
    server.wait_line('kept 2')
    raw.send(raw.frame(RST_STREAM, 0, 7, struct.pack('>I', 8)))
    gone = Raw(server)
    gone.send(gone.put(1, b'fault/SILENT', b'v' * 12000))
    server.wait_line('kept 3')
    gone.socket.close()
    serves(server, 'others meanwhile')
    server.signal(signal.SIGUSR1, 'kept 0')
    check('answer after a cancelled neighbour', raw.answered(9))
    serves(server, 'after late answers')

    # A body that never ends, and one too long: both are answered, and told to stop.
    raw.send(raw.headers(11, b'/etcdserverpb.KV/Put') + raw.frame(DATA, 0, 11, body[:20]))
    check('unfinished message', raw.answered(11))
    check('unfinished is reset', raw.read(lambda kind, f, s: s == 11 and kind == RST_STREAM))
    raw.send(raw.headers(13, b'/etcdserverpb.KV/Put') + raw.frame(DATA, 0, 13, b'\0\x7f\xff\xff\xff'))
    check('announced too long', raw.answered(13))
    raw.send(raw.headers(15, b'/etcdserverpb.KV/Put', *[(b'x%d' % i, b'y' * 1000)
                                                        for i in range(15)]))
    check('long headers are taken', raw.send(raw.frame(DATA, END_STREAM, 15, body)) and
          raw.answered(15))
    raw.send(raw.headers(17, b'/etcdserverpb.KV/Put', *[(b'x%d' % i, b'z' * 1000)
                                                        for i in range(16)]))
    check('too long headers are reset', raw.read(lambda kind, f, s: s == 17 and kind == RST_STREAM))

    for name, block in ((':path twice', [(b':path', b'/x'), (b':path', b'/x')]),
                        (':method twice', [(b':method', b'POST'), (b':method', b'POST')]),
                        ('a late :path', [(b'te', b'trailers'), (b':path', b'/x')])):
        stray = Raw(server)
        stray.send(stray.frame(HEADERS, END_HEADERS, 1,
                               b''.join(stray.header(n, v) for n, v in block)))
        check(name, stray.read(lambda kind, f, s: s == 1 and kind == RST_STREAM))
        stray.socket.close()
    nothing = Raw(server)
    nothing.send(nothing.frame(HEADERS, END_HEADERS | END_STREAM, 1, b''))
    check('no headers at all', nothing.answered(1))
    nothing.socket.close()

    raw.send(raw.frame(PING, 0, 0, b'12345678'))
    check('ping', raw.read(lambda kind, flags, s: kind == PING and flags & ACK))
    raw.send(raw.headers(19, b'/etcdserverpb.KV/Put') + raw.frame(DATA, 0, 19, frame_message(b'')))
    for _ in range(5):
        raw.send(raw.frame(DATA, 0, 19, bytes(16384)))
    check('an endless body is cut off', raw.read(lambda kind, f, s: s == 19 and kind == RST_STREAM))
    raw.send(raw.frame(DATA, 0, 0, b'x'))
    check('protocol error', raw.read(lambda kind, f, s: kind == GOAWAY) and
          raw.read(lambda *_: False) is None)

    # Streams opened and cancelled without end.
    raw = Raw(server)
    cancel = b''.join(raw.put(s, b'reset') + raw.frame(RST_STREAM, 0, s, struct.pack('>I', 8))
                      for s in range(1, 8001, 2))
    raw.send(cancel)
    check('rapid reset', raw.read(lambda kind, f, s: kind == GOAWAY))
    serves(server, 'after rapid resets')

    # A client that asks for much and takes nothing.
    for i in range(8):
        etcdctl(server, 'put', f'slow{i}', text=b'z' * (1 << 20))
    slow = Raw(server, receive_bytes=4096)
    slow.send(slow.frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', 1 << 30)))
    range_all = message((1, b'slow'), (2, b'slox'))
    for i in range(8):
        slow.send(slow.headers(2 * i + 1, b'/etcdserverpb.KV/Range') +
                  slow.frame(DATA, END_STREAM, 2 * i + 1, range_all) +
                  slow.frame(WINDOW_UPDATE, 0, 2 * i + 1, struct.pack('>I', 1 << 30)))
    time.sleep(0.5)
    serves(server, 'beside a slow reader')
    slow.socket.close()
    etcdctl(server, 'del', '--prefix', 'slow')

    many = [Raw(server) for _ in range(70)]
    closed = sum(raw.read(lambda *_: True) is None for raw in many)
    check('connections above the limit are closed', closed >= 6, closed)
    for raw in many:
        raw.socket.close()
    until = time.monotonic() + PATIENCE_SECONDS  # it may have to notice first that they have gone
    while not is_served(server) and time.monotonic() < until:
        time.sleep(0.02)
    serves(server, 'after a crowd')

    for seed in range(60):
        raw = Raw(server, preface=seed % 3 != 0)
        raw.send(bytes((seed * 131 + i * i * 7 + i // 3) & 0xff for i in range(3000)))
        raw.socket.close()
    serves(server, 'after noise')

    # Valid requests with some bytes changed: what is nearly right goes deepest.
    chance = random.Random(7)
    for _ in range(400):
        raw = Raw(server)
        data = bytearray(raw.put(1, b'mutated') + raw.put(3, b'mutated', b'v' * 200) +
                         raw.headers(5, b'/etcdserverpb.KV/Range') +
                         raw.frame(DATA, END_STREAM, 5, message((1, b'm'), (2, b'n'))) +
                         raw.frame(WINDOW_UPDATE, 0, 5, b'\0\0\1\0') +
                         raw.frame(PING, 0, 0, b'12345678') + raw.put(7, b'mutated'))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        raw.send(bytes(data))
        if chance.random() < 0.3:
            raw.socket.settimeout(0.05)
            raw.read(lambda *_: False)
        raw.socket.close()
    serves(server, 'after mutations')


def test_end(server, path):
    taken = subprocess.run([path, str(server.port), '2'], capture_output=True, text=True, timeout=10)
    check('port taken', taken.returncode == 1 and f'port {server.port}' in taken.stderr and
          'choose another' in taken.stderr, taken.stderr)

    raw = Raw(server)
    raw.send(raw.put(1, b'fault/SILENT') + raw.headers(3, b'/etcdserverpb.KV/Put'))
    idle = Raw(server, preface=False)
    waiting = subprocess.Popen(['etcdctl', f'--endpoints=127.0.0.1:{server.port}', 'put',
                                'fault/SILENT', 'x'], stderr=subprocess.PIPE, text=True,
                               env=dict(os.environ, ETCDCTL_API='3'))
    server.wait_line('kept 2')
    server.process.send_signal(signal.SIGTERM)
    check('the waiting call is ended', raw.answered(1) is True or raw.answered(3))
    check('goodbye', raw.read(lambda kind, f, s: kind == GOAWAY))
    check('closed', raw.read(lambda *_: False) is None)
    check('etcdctl is told', 'etcdserver: server stopped' in waiting.communicate(timeout=20)[1])
    idle.socket.close()


def main():
    for tool in ('etcdctl', 'h2load', 'curl'):
        if shutil.which(tool) is None:
            print(f'skipped: no {tool} here (Debian: etcd-client, nghttp2-client, curl)')
            return 77
    path = os.path.abspath(sys.argv[1])
    only = sys.argv[2:]
    for slots in (1024, 2):
        server = Server(path, slots)
        for name, test in (('etcdctl', test_etcdctl), ('wire', test_wire),
                           ('hostile', test_hostile)):
            if not only or name in only:
                test(server)
        if not only or 'end' in only:
            test_end(server, path)
        server.stop()
    print(f'{len(failures)} failed')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
