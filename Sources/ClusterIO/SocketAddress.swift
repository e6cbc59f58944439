// Owns: turning `host:port` and socket paths into what bind and connect take.
// It must not look names up in the network, since that waits: `NameLookup` does.

import CLinux
import Glibc

/// Where a stream socket listens or connects to.
package enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// A numeric IPv4 or IPv6 address, or `localhost` (127.0.0.1); port 0 lets the system choose.
  case tcp(host: String, port: UInt16)
  /// A unix socket's path; longer ones than `sockaddr_un` holds work too.
  case unix(path: String)

  /// Reads `HOST:PORT` or `[IPV6]:PORT`, and with a port to assume `HOST`, `[IPV6]` or `IPV6`; nil when it is none.
  package init?(parsing text: String, defaultPort: UInt16) {
    if let address = SocketAddress(parsing: text) {
      self = address
      return
    }
    let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
    let host = isBracketed ? String(text.dropFirst().dropLast()) : text
    guard !host.isEmpty, !host.contains(":") || SocketAddress.canonicalAddress(host) != nil else { return nil }
    self = .tcp(host: host, port: defaultPort)
  }

  /// Reads `HOST:PORT` or `[IPV6]:PORT`; nil when it is neither.
  package init?(parsing text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
    } else if host.contains(":") {
      return nil
    }
    if host.isEmpty { return nil }
    self = .tcp(host: host, port: port)
  }

  /// `HOST:PORT`, with brackets around an IPv6 host, or the path.
  package var description: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): path
    }
  }

  /// Whether only processes of this machine can reach it.
  package var isLoopback: Bool {
    guard case .tcp(let host, _) = self else { return true }
    if host == "localhost" || host == "::1" { return true }
    var four = in_addr()
    return inet_pton(AF_INET, host, &four) == 1 && UInt32(bigEndian: four.s_addr) >> 24 == 127
  }

  /// Whether it stands for all addresses of the machine: `0.0.0.0` or `::`.
  package var isUnspecified: Bool {
    guard case .tcp(let host, _) = self else { return false }
    let address = SocketAddress.canonicalAddress(host)
    return address == "0.0.0.0" || address == "::"
  }

  /// The one way to write a numeric address; nil when it is none. An IPv4 address in IPv6 is the IPv4 address.
  package static func canonicalAddress(_ host: String) -> String? {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    var four = in_addr()
    var six = in6_addr()
    if inet_pton(AF_INET, host, &four) == 1 {
      inet_ntop(AF_INET, &four, &text, socklen_t(text.count))
      return Files.string(text)
    }
    guard inet_pton(AF_INET6, host, &six) == 1 else { return nil }
    inet_ntop(AF_INET6, &six, &text, socklen_t(text.count))
    let written = Files.string(text)
    let mapped = "::ffff:"
    if written.hasPrefix(mapped), written.contains(".") { return String(written.dropFirst(mapped.count)) }
    return written
  }

  /// What stands for one machine when connections are counted: the IPv4 address, or the 64 bits of an IPv6 address that
  /// a machine cannot choose by itself; nil for this machine's own and for unix sockets.
  package var origin: String? {
    guard case .tcp(let host, _) = self, !isLoopback else { return nil }
    var six = in6_addr()
    guard inet_pton(AF_INET6, host, &six) == 1 else { return host }
    withUnsafeMutableBytes(of: &six) { bytes in for index in 8..<16 { bytes[index] = 0 } }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    inet_ntop(AF_INET6, &six, &text, socklen_t(text.count))
    return Files.string(text)
  }

  /// Whether it can be reached without looking a name up.
  package var isNumeric: Bool {
    guard case .tcp(let host, _) = self, host != "localhost" else { return true }
    var four = in_addr()
    var six = in6_addr()
    return inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1
  }

  /// Whether this machine has it now, so that connections to it come back here.
  package var isOwn: Bool {
    guard case .tcp(let host, _) = self, let socket = try? SocketAddress.tcp(host: host, port: 0).withSocket(Glibc.bind)
    else { return false }
    Glibc.close(socket.0)
    return socket.1 == 0
  }

  /// The name that has to be looked up; nil for an address.
  package var name: String? {
    guard case .tcp(let host, _) = self, !isNumeric else { return nil }
    return host
  }

  /// Makes a non-blocking socket of the right family and calls `use` with it and the address in the system's form.
  /// The caller owns the socket.
  func withSocket(_ use: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32) throws(IOError) -> (Int32, Int32) {
    switch self {
    case .tcp(let host, let port): return try SocketAddress.withTCP(host, port, use)
    case .unix(let path): return try SocketAddress.withUnix(path, use)
    }
  }

  private static func makeSocket(_ family: Int32) throws(IOError) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(family, type, 0)
    guard descriptor >= 0 else { throw IOError.last("socket") }
    return descriptor
  }

  private static func withTCP(
    _ host: String, _ port: UInt16, _ use: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) throws(IOError) -> (Int32, Int32) {
    var four = sockaddr_in()
    var six = sockaddr_in6()
    if inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &four.sin_addr) == 1 {
      four.sin_family = sa_family_t(AF_INET)
      four.sin_port = port.bigEndian
      let descriptor = try makeSocket(AF_INET)
      return (descriptor, call(&four, descriptor, use))
    }
    guard inet_pton(AF_INET6, host, &six.sin6_addr) == 1 else {
      throw IOError(
        operation: "address", subject: host, message: "not a numeric address; give an IPv4 or IPv6 address or localhost"
      )
    }
    six.sin6_family = sa_family_t(AF_INET6)
    six.sin6_port = port.bigEndian
    let descriptor = try makeSocket(AF_INET6)
    // All addresses are those of IPv4, too, whatever the system's default.
    var off: Int32 = 0
    setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &off, 4)
    return (descriptor, call(&six, descriptor, use))
  }

  private static func withUnix(
    _ path: String, _ use: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) throws(IOError) -> (Int32, Int32) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var directory: Int32 = -1
    defer { if directory >= 0 { close(directory) } }
    var bytes = Array(path.utf8)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    if bytes.count >= room {
      // A short name for a long one: the socket's file below a handle of its directory.
      let (parent, name) = Files.split(path)
      directory = stint_open_directory(parent)
      guard directory >= 0 else { throw IOError.last("open", parent) }
      bytes = Array("/proc/self/fd/\(directory)/\(name)".utf8)
      guard bytes.count < room else { throw IOError(code: ENAMETOOLONG, operation: "socket", subject: path) }
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let descriptor = try makeSocket(AF_UNIX)
    return (descriptor, call(&address, descriptor, use))
  }

  private static func call<Address>(
    _ address: inout Address, _ descriptor: Int32, _ use: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    let size = socklen_t(MemoryLayout<Address>.size)
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { use(descriptor, $0, size) }
    }
  }

  /// The address a socket is bound to (`local`) or connected to; nil for unix sockets and failures.
  static func read(_ descriptor: Int32, local: Bool) -> SocketAddress? {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        local ? getsockname(descriptor, $0, &size) : getpeername(descriptor, $0, &size)
      }
    }
    guard result == 0 else { return nil }
    return withUnsafePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { read($0) }
    }
  }

  /// The address of a TCP socket in the system's form, which has the room that its family needs; nil for others.
  static func read(_ address: UnsafePointer<sockaddr>) -> SocketAddress? {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    let raw = UnsafeRawPointer(address)
    switch Int32(address.pointee.sa_family) {
    case AF_INET:
      let four = raw.loadUnaligned(as: sockaddr_in.self)
      var host = four.sin_addr
      inet_ntop(AF_INET, &host, &text, socklen_t(text.count))
      return .tcp(host: Files.string(text), port: UInt16(bigEndian: four.sin_port))
    case AF_INET6:
      let six = raw.loadUnaligned(as: sockaddr_in6.self)
      var host = six.sin6_addr
      inet_ntop(AF_INET6, &host, &text, socklen_t(text.count))
      let written = Files.string(text)
      return .tcp(host: canonicalAddress(written) ?? written, port: UInt16(bigEndian: six.sin6_port))
    default: return nil
    }
  }
}
