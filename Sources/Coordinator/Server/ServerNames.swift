// Owns: the names and addresses by which others may reach the coordinator: what its certificate names, what a request's
// Host may be, and what is told to clients. It must not know certificates, nor who listens.

import ClusterIO
import ClusterProto

/// Names and addresses of one coordinator.
package struct ServerNames: Sendable {
  /// Of every coordinator.
  static let loopback = ["localhost", "127.0.0.1", "::1"]

  /// All of them, each once and in the one way to write it.
  package let all: [String]
  /// As the operator gave them, the best first.
  private let advertised: [String]
  /// The machine's, where it listens on all of them.
  private let machine: [String]

  /// Of one that listens there. `advertise`: further names and addresses, the best first. `hostname` and `machine`:
  /// the machine's own, which count where it listens beyond loopback.
  package init(
    listen: [SocketAddress], advertise: [String], hostname: String? = nil, machine: [String]? = nil
  ) throws(ServerError) {
    advertised = ServerNames.distinct(advertise)
    for (given, name) in zip(advertise, advertise.map(ServerNames.written)) {
      guard SocketAddress.canonicalAddress(name) != nil || ServerNames.isName(name) else {
        throw ServerError(
          "--advertise \(given): neither a host name nor an IP address (without a port, and IPv6 without brackets)")
      }
      if SocketAddress.tcp(host: name, port: 0).isUnspecified {
        throw ServerError("--advertise \(given): nobody can connect to it; give an address that this machine has")
      }
    }
    var names = ServerNames.loopback
    for case .tcp(let host, _) in listen { names.append(host) }
    let isOpen = listen.filter(\.isUnspecified)
    let found = isOpen.isEmpty ? [] : machine ?? MachineAddresses.all()
    self.machine = found.filter { host in isOpen.contains { ServerNames.takes($0, host) } }
    names += self.machine + advertised
    if listen.contains(where: { !$0.isLoopback }) {
      let hostname = hostname ?? (try? MachineFacts.read(fallbackMachineID: "").hostname) ?? ""
      // One that is no DNS name is of use to nobody.
      if ServerNames.isName(ServerNames.written(hostname)) { names.append(hostname) }
    }
    all = ServerNames.distinct(names).filter { !SocketAddress.tcp(host: $0, port: 0).isUnspecified }
  }

  /// What others are told to connect to in order to reach a listener there.
  package func reached(at address: SocketAddress) -> SocketAddress {
    guard case .tcp(_, let port) = address, !address.isLoopback, let best = advertised.first else {
      return self.address(of: address)
    }
    return .tcp(host: best, port: port)
  }

  /// The same for who takes a numeric address only.
  package func address(of address: SocketAddress) -> SocketAddress {
    guard case .tcp(let host, let port) = address, !address.isLoopback else { return address }
    let own = machine.first { ServerNames.takes(address, $0) }
    let fixed = address.isUnspecified ? own ?? "127.0.0.1" : host
    return .tcp(host: advertised.first { SocketAddress.canonicalAddress($0) != nil } ?? fixed, port: port)
  }

  /// Where this machine's own programs reach a listener there, whatever others are told.
  static func local(_ address: SocketAddress) -> SocketAddress {
    guard case .tcp(_, let port) = address, address.isUnspecified else { return address }
    return .tcp(host: "127.0.0.1", port: port)
  }

  /// Where joiners and agents find a listener there, the best first.
  package func joinable(at address: SocketAddress) -> [SocketAddress] {
    guard case .tcp(let host, let port) = address, !address.isLoopback else { return [address] }
    let own = address.isUnspecified ? machine.filter { ServerNames.takes(address, $0) } : [host]
    let hosts = ServerNames.distinct(advertised + own)
    let addresses = hosts.map { SocketAddress.tcp(host: $0, port: port) }.filter { !$0.isLoopback }
    return addresses.isEmpty ? [.tcp(host: "127.0.0.1", port: port)] : Array(addresses.prefix(8))
  }

  /// Whether a listener on all addresses (`0.0.0.0` or `::`, which takes IPv4 too) takes who connects to this one.
  private static func takes(_ listener: SocketAddress, _ host: String) -> Bool {
    guard case .tcp(let all, _) = listener else { return false }
    return all.contains(":") || !host.contains(":")
  }

  /// Each once, in the one way to write it.
  static func distinct(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.map(written).filter { seen.insert($0).inserted }
  }

  private static func written(_ name: String) -> String { SocketAddress.canonicalAddress(name) ?? name.lowercased() }

  /// What looks like an address and is none (`10.0.1`) is no name either.
  private static func isName(_ name: String) -> Bool {
    Names.subdomainErrors(name).isEmpty && !name.allSatisfy { $0 == "." || $0.isNumber }
  }
}
