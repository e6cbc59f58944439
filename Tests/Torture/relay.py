# Owns: a TCP relay on a machine of its own, and what it does to those who come through it: it delays, drips, holds
# back, turns over a byte, or ends their connections. It must not know what the bytes say.

import contextlib
import ctypes
import os
import socket
import threading
import time

CLONE_NEWNET = 0x40000000
CHUNK = 65536
# Seconds between looks at what is to be done.
LOOK = 0.05


def enter_network(pid):
    """This thread, and those that it starts from now on, are on that process's network."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


class Connection:
    """One that comes through; a byte that was turned over in it must be its end."""

    def __init__(self, client, server, peer):
        self.client, self.server, self.peer = client, server, peer
        self.corrupted = None
        self.ended = None

    def end(self):
        if self.ended is None:
            self.ended = time.clock_gettime(time.CLOCK_BOOTTIME)
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Relay:
    """Leads `port` of one machine to the same one of another. What is done is said by the address of who comes."""

    def __init__(self, cluster, name, target, port):
        self.address, self.target, self.port = cluster.address(name), target, port
        self.delay, self.drip, self.held = {}, {}, set()
        self.to_corrupt = {}
        self.corruptions = []
        self.connections = []
        self._lock = threading.Lock()
        self._is_over = False
        self._listener = None
        self._is_up = threading.Event()
        self._threads = []
        self._start(self._serve, cluster.pid(name))
        if not self._is_up.wait(10):
            raise OSError("the relay does not listen")

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def _serve(self, pid):
        enter_network(pid)
        self._listener = socket.create_server((self.address, self.port))
        self._is_up.set()
        while not self._is_over:
            try:
                client, (peer, *_) = self._listener.accept()
            except OSError:
                break
            try:
                server = socket.create_connection((self.target, self.port), timeout=5)
            except OSError:
                client.close()
                continue
            connection = Connection(client, server, peer)
            for end in (client, server):
                end.settimeout(LOOK)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections = [other for other in self.connections if other.ended is None] + [connection]
            self._start(self._pump, connection, client, server, "up")
            self._start(self._pump, connection, server, client, "down")

    def _pump(self, connection, source, sink, way):
        peer = connection.peer
        try:
            while not self._is_over and connection.ended is None:
                try:
                    data = source.recv(CHUNK)
                except TimeoutError:
                    continue
                if not data:
                    break
                time.sleep(self.delay.get(peer, 0))
                while peer in self.held and connection.ended is None and not self._is_over:
                    time.sleep(LOOK)
                self._send(sink, self._spoil(connection, data, way), peer)
        except OSError:
            pass
        connection.end()

    def _spoil(self, connection, data, way):
        with self._lock:
            if self.to_corrupt.get(connection.peer) != way:
                return data
            del self.to_corrupt[connection.peer]
            connection.corrupted = time.clock_gettime(time.CLOCK_BOOTTIME)
            self.corruptions.append(connection)
        place = len(data) // 2
        return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1:]

    def _send(self, sink, data, peer):
        while data:
            rate = self.drip.get(peer)
            part = data[:max(1, rate // 20)] if rate else data
            try:
                sent = sink.send(part)
            except TimeoutError:
                if self._is_over:
                    raise
                continue
            data = data[sent:]
            if rate:
                time.sleep(0.05)

    def corrupt(self, peer, way):
        """Turns over a bit of what comes next from (`up`) or to (`down`) that address."""
        with self._lock:
            self.to_corrupt[peer] = way

    def forget_corruption(self, peer):
        """Whether there was nothing to corrupt."""
        with self._lock:
            return self.to_corrupt.pop(peer, None) is not None

    def reset(self, peer):
        """Its connections end; how many there were."""
        with self._lock:
            mine = [connection for connection in self.connections if connection.peer == peer
                    and connection.ended is None]
        for connection in mine:
            connection.end()
        return len(mine)

    def end(self):
        self._is_over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self.connections:
            connection.end()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()
        for connection in self.connections:
            connection.client.close()
            connection.server.close()
