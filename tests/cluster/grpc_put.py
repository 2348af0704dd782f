"""A client that does nothing but etcd's Put, small and fast enough to be eight in one test.

HTTP/2 with literal headers, one request at a time. A response with a message is an acknowledgement:
a server that refuses sends none (gRPC's trailers-only form), so no header needs to be decoded.
"""
import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def literal(name, value):
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


HEADER_BLOCK = b''.join(literal(name, value) for name, value in (
    (b':method', b'POST'), (b':scheme', b'http'), (b':path', b'/etcdserverpb.KV/Put'),
    (b':authority', b'localhost'), (b'te', b'trailers'), (b'content-type', b'application/grpc')))


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def varint(number):
    out = b''
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def put_message(key, value):
    body = b'\x0a' + varint(len(key)) + key + b'\x12' + varint(len(value)) + value
    return struct.pack('>BI', 0, len(body)) + body


class PutClient:
    """Any trouble is an OSError; then the connection is of no further use."""

    def __init__(self, address, timeout):
        host, port = address.split(':')
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS, 0, 0))
        self.stream = -1
        self.received = b''

    def close(self):
        self.socket.close()

    def put(self, key, value):
        """True: acknowledged. False: refused; it will not be there unless the server said unknown."""
        self.stream += 2
        self.socket.sendall(frame(HEADERS, END_HEADERS, self.stream, HEADER_BLOCK) +
                            frame(DATA, END_STREAM, self.stream, put_message(key, value)))
        message = False
        while True:
            kind, flags, stream, payload = self.next_frame()
            if kind == SETTINGS and not flags & ACK:
                self.socket.sendall(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self.socket.sendall(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY:
                raise ConnectionResetError('GOAWAY')
            elif kind == RST_STREAM and stream == self.stream:
                return False
            elif kind == DATA and payload:
                self.socket.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', len(payload))))
                message = message or stream == self.stream
            if kind in (DATA, HEADERS) and stream == self.stream and flags & END_STREAM:
                return message

    def next_frame(self):
        head = self.take(9)
        length = int.from_bytes(head[:3], 'big')
        kind, flags, stream = struct.unpack('>BBI', head[3:])
        return kind, flags, stream, self.take(length)

    def take(self, count):
        while len(self.received) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionResetError('closed')
            self.received += more
        out, self.received = self.received[:count], self.received[count:]
        return out
