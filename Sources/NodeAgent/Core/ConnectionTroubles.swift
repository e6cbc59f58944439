// Owns: what keeps an agent from a session with its coordinator, address by address, and when that is worth a line of
// the log: once for each change, with all addresses. Pure. It must not know connections, nor who writes the log.

import ClusterProto

/// Reasons that were told already. The same one with other numbers, as a time that goes on, is no news.
package struct ToldReasons: Equatable {
  private var told: Set<String> = []
  private var since: BootTime?
  /// What changes faster than anybody reads is told no more, for a while.
  package static let limit = 64
  /// Then all is told again: the first lines may be gone from the log.
  package static let forgottenAfterMilliseconds: Int64 = 3_600_000

  /// Nothing is told yet.
  package init() {}

  /// Whether `reason` has to be told, which it then was.
  package mutating func isNews(_ reason: String, of subject: String = "", at now: BootTime) -> Bool {
    if let since, now >= since + Self.forgottenAfterMilliseconds { self = ToldReasons() }
    let digits: ClosedRange<UInt8> = 0x30...0x39
    let words = String(decoding: reason.utf8.filter { !digits.contains($0) }, as: UTF8.self)
    guard told.count < Self.limit, told.insert("\(subject) \(words)").inserted else { return false }
    since = since ?? now
    return true
  }
}

/// Why each of the coordinator's addresses did not lead to a session the last time that it was tried.
package struct ConnectionTroubles {
  /// What an address came to.
  package enum Kind: Equatable, Sendable {
    /// Nobody there, or nobody who goes on.
    case unreachable
    /// The cluster's coordinator, which does not take this agent.
    case refused
    /// Somebody of an authority that is not believed.
    case foreign
  }

  private struct Trouble {
    var address: String
    var kind: Kind
    var reason: String
  }

  /// Of something that keeps the agent from every address.
  package static let everywhere = ""
  /// What to do where somebody is `foreign`.
  private let advice: String
  private var troubles: [Trouble] = []
  private var told = ToldReasons()
  private var isOut = false
  /// Bytes of a reason that are told.
  private static let longest = 500

  /// `advice`: what to do where another authority's coordinator answers.
  package init(advice: String) { self.advice = advice }

  /// A session stands.
  package mutating func reached() { self = ConnectionTroubles(advice: advice) }

  /// The try of `address`, one of `all`, has failed; a line for the log where that is news. The first failure is told
  /// at once, since the others may take their time; from then on a line is of all addresses.
  package mutating func failed(
    _ address: String, _ kind: Kind, _ reason: String, among all: [String], at now: BootTime
  ) -> String? {
    troubles.removeAll { $0.address == address || !all.contains($0.address) || address == Self.everywhere }
    // The address stands before it already.
    let doubled = "connect \(address): "
    let short = reason.hasPrefix(doubled) ? String(reason.dropFirst(doubled.count)) : reason
    troubles.append(
      Trouble(address: address, kind: kind, reason: String(decoding: short.utf8.prefix(Self.longest), as: UTF8.self)))
    let isFirst = !isOut
    isOut = true
    guard isFirst || address == Self.everywhere || troubles.count >= all.count else { return nil }
    var isNews = false
    for trouble in troubles where told.isNews(trouble.reason, of: trouble.address, at: now) { isNews = true }
    return isNews ? line(all) : nil
  }

  /// Whether every address has led to a coordinator of an authority that is not believed.
  package func areForeign(among all: [String]) -> Bool {
    !troubles.isEmpty && troubles.count >= all.count && troubles.allSatisfy { $0.kind == .foreign }
  }

  private func line(_ all: [String]) -> String {
    let ordered = (all + [Self.everywhere]).flatMap { address in troubles.filter { $0.address == address } }
    let advice = troubles.contains { $0.kind == .foreign } ? ": \(advice)" : ""
    if ordered.count == 1, let only = ordered.first, only.kind == .refused {
      return "the coordinator at \(only.address) refuses this agent: \(only.reason)"
    }
    let words = ordered.map { trouble in
      switch (trouble.address, trouble.kind) {
      case (Self.everywhere, _): trouble.reason
      case (let address, .refused): "\(address) refuses this agent: \(trouble.reason)"
      case (let address, _): "\(address): \(trouble.reason)"
      }
    }
    let isOnlySilent = troubles.allSatisfy { $0.kind == .unreachable }
    let head = isOnlySilent ? "the coordinator is out of reach" : "there is no session with a coordinator"
    return "\(head): \(words.joined(separator: "; "))\(advice)"
  }
}
