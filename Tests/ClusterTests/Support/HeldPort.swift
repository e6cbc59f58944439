// Owns: a port of this machine that stays a test's own from before its coordinator's first start, over its deaths, to
// the test's end. It must not know who listens there.

import Glibc

@testable import stint

/// A bound socket that never listens. Who sets SO_REUSEADDR, as the coordinator does, may listen beside it; the kernel
/// gives the port to no outgoing connection and to nobody who asks for any free port.
final class HeldPort {
  let number: UInt16
  private let descriptor: Int32

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let result = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) | getsockname(descriptor, $0, &size)
      }
    }
    number = UInt16(bigEndian: address.sin_port)
    try check(result == 0, "no port can be held")
  }

  deinit { close(descriptor) }
}
