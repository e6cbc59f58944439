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
  /// The next of a round.
  private var place = 0
  /// Where a session stood last, and whether that machine has said no at once since: its coordinator may be back in a
  /// moment. Others that do not answer at all must not keep the agent from it for the whole of a round.
  package private(set) var last: SocketAddress?
  private var isLastQuick = false
  private var tried: SocketAddress?

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

  /// The last of a round was the last one that was tried.
  package private(set) var isRoundOver = false

  /// The one to try now.
  package func next() -> SocketAddress? {
    let all = all
    guard !all.isEmpty else { return nil }
    isRoundOver = false
    if let last, isLastQuick, tried != last {
      tried = last
      return last
    }
    // Not twice one after the other.
    if isLastQuick, all.count > 1, all[place % all.count] == tried { place += 1 }
    let address = all[place % all.count]
    place = (place + 1) % all.count
    isRoundOver = place == 0
    tried = address
    return address
  }

  /// `address` led to no session. `atOnce`: the machine, or the way to it, said so, instead of nothing.
  package func failed(_ address: SocketAddress, atOnce: Bool) { if address == last { isLastQuick = atOnce } }

  /// A session stands there, by the cluster's authority: text for the file of what was given, if that is news. `also`:
  /// of a token of the same authority.
  package func reached(_ address: SocketAddress, also token: [String]) -> String? {
    defer { (place, last, isLastQuick, tried) = (all.firstIndex(of: address) ?? 0, address, true, nil) }
    let news = (given.contains(address) ? [address] : []) + Self.addresses(token)
    return change(&kept, to: Array(Self.distinct(news + kept).prefix(CoordinatorsNotice.most)))
  }

  /// The coordinator's word: text for its file, if that is news. What is no address of a machine is left out, and so is
  /// loopback: it is the coordinator's own, and here another machine's or, through a tunnel, a way around it.
  package func take(_ notice: CoordinatorsNotice) -> String? {
    let found = Self.addresses(notice.addresses).filter { !$0.isLoopback }
    guard !found.isEmpty else { return nil }
    // The one that leads there first: the agent's next start has no other way to know it.
    let text = change(&told, to: found.filter { $0 == last } + found.filter { $0 != last })
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
