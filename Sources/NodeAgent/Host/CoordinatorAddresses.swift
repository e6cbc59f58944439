// Owns: where the agent looks for its coordinator: what it was started with, what the coordinator has told, and what it
// was given before; and which of them is next. It must not know connections, nor write files on the loop's thread.

import ClusterIO
import ClusterProto

/// The addresses, in the order in which they are tried. All are tried: whoever answers must prove that it is of the
/// cluster's authority, so a wrong one costs a try and nothing else.
package final class CoordinatorAddresses {
  /// Of this start: from the command line, a join token, or what was kept.
  private let given: [SocketAddress]
  private var told: [SocketAddress] = []
  /// What somebody gave in this or an earlier start, as the file has it.
  package private(set) var kept: [SocketAddress] = []
  private var place = 0

  /// `told` and `kept`: lines of files; what is no address in them is left out.
  package init(given: [SocketAddress], told: String, kept: String) {
    self.given = given
    self.told = Self.addresses(told.split(separator: "\n").map(String.init))
    self.kept = Self.addresses(kept.split(separator: "\n").map(String.init))
  }

  /// Reads both files.
  package convenience init(given: [SocketAddress], paths: NodePaths) {
    func text(_ path: String) -> String { String(decoding: (try? Files.read(path, limit: 8_192)) ?? [], as: UTF8.self) }
    self.init(given: given, told: text(paths.toldCoordinators), kept: text(paths.coordinators))
  }

  /// Each once.
  package var all: [SocketAddress] { Self.distinct(given + told + kept) }

  /// The one that is next, or that was last reached.
  package var current: SocketAddress? {
    let all = all
    return all.isEmpty ? nil : all[place % all.count]
  }

  /// The last of them was the last one that was tried.
  package var isRoundOver: Bool { place == 0 }

  /// Until this one has answered the next one is as good.
  package func advance() { place = (place + 1) % max(all.count, 1) }

  /// A session stands there, by the cluster's authority: text for the file of what was given, if that is news. `also`:
  /// of a token of the same authority.
  package func reached(_ address: SocketAddress, also token: [String]) -> String? {
    defer { place = all.firstIndex(of: address) ?? 0 }
    let news = (given.contains(address) ? [address] : []) + Self.addresses(token)
    return change(&kept, to: Array(Self.distinct(news + kept).prefix(CoordinatorsNotice.most)))
  }

  /// The coordinator's word: text for its file, if that is news. What is no address of a machine is left out, and so is
  /// loopback: it is the coordinator's own, and here another machine's or, through a tunnel, a way around it.
  package func take(_ notice: CoordinatorsNotice) -> String? {
    let found = Self.addresses(notice.addresses).filter { !$0.isLoopback }
    guard !found.isEmpty else { return nil }
    let last = current
    let text = change(&told, to: found)
    place = last.flatMap { all.firstIndex(of: $0) } ?? 0
    return text
  }

  private func change(_ list: inout [SocketAddress], to next: [SocketAddress]) -> String? {
    guard next != list else { return nil }
    list = next
    return next.map { "\($0)\n" }.joined()
  }

  private static func addresses(_ texts: [String]) -> [SocketAddress] {
    distinct(texts.prefix(CoordinatorsNotice.most).compactMap(SocketAddress.init(parsing:)).filter(isUsable))
  }

  private static func isUsable(_ address: SocketAddress) -> Bool {
    guard case .tcp(let host, let port) = address, port > 0, !address.isUnspecified else { return false }
    return SocketAddress.canonicalAddress(host) != nil || Names.subdomainErrors(host).isEmpty
  }

  private static func distinct(_ list: [SocketAddress]) -> [SocketAddress] {
    var seen: Set<SocketAddress> = []
    return list.filter { seen.insert($0).inserted }
  }
}
