// Owns: looking up the name of a coordinator, which may take seconds, for commands that somebody waits for. It must not
// be used by what serves others: coordinator and agents know machines by address.

import ClusterIO
import Glibc

/// The system's resolver.
enum NameLookup {
  /// Why a name stands for nothing.
  struct Failure: Error, Equatable {
    let message: String
    /// Asking again may help.
    let isTemporary: Bool
  }

  /// What an address with a name stands for, in the resolver's order; one without stands for itself.
  static func addresses(of address: SocketAddress) throws(Failure) -> [SocketAddress] {
    guard case .tcp(let host, let port) = address, !address.isNumeric else { return [address] }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &found)
    defer { freeaddrinfo(found) }
    guard code == 0 else {
      throw Failure(
        message: "the name \(host) of the coordinator cannot be looked up: \(String(cString: gai_strerror(code)))",
        isTemporary: code == EAI_AGAIN)
    }
    var result: [SocketAddress] = []
    var next = found
    while let entry = next {
      next = entry.pointee.ai_next
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      let numeric = getnameinfo(
        entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
      guard numeric == 0 else { continue }
      let host = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let known = SocketAddress.tcp(host: host, port: port)
      if known.isNumeric, !result.contains(known) { result.append(known) }
    }
    guard !result.isEmpty else {
      throw Failure(message: "the name \(host) of the coordinator has no address", isTemporary: false)
    }
    return result
  }
}
