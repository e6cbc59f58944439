// Owns: which addresses this machine has. It must not know who listens on them.

import Glibc

/// The addresses of this machine's network interfaces.
package enum MachineAddresses {
  /// Numeric addresses of the interfaces that are up, as others may use them: without loopback and link-local ones,
  /// IPv4 first.
  package static func all() -> [String] {
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return [] }
    defer { freeifaddrs(first) }
    var four: [String] = []
    var six: [String] = []
    var next = first
    while let entry = next {
      next = entry.pointee.ifa_next
      guard entry.pointee.ifa_flags & UInt32(IFF_UP) != 0, let address = entry.pointee.ifa_addr,
        case .tcp(let host, _)? = SocketAddress.read(address), !SocketAddress.tcp(host: host, port: 0).isLoopback
      else { continue }
      if !host.contains(":") {
        if !host.hasPrefix("169.254."), !four.contains(host) { four.append(host) }
      } else if !host.hasPrefix("fe80:"), !six.contains(host) {
        six.append(host)
      }
    }
    return four + six
  }
}
