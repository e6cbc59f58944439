// Who may bear a node name that another keeper has borne (rule C3): the successor that proves the old pods dead (proofs
// ii and iii), or anybody once R has passed. Each claim is held against what somebody else could say too. Changes
// nothing: what follows from it is Registration's and Fencing's.

import ClusterProto

/// Why a keeper may not have the node name now, and when to ask again.
struct NameObstacle: Equatable {
  var text: String
  var retryMilliseconds: Int64
}

/// What a registration proves about the pods of the keeper on record.
private enum Succession {
  case proven
  /// In words that follow "taken by another keeper".
  case unproven(String)
  /// It will be proven if the old keeper is silent for so long.
  case unsettled(String, milliseconds: Int64)
}

extension CoordinatorCore {
  private static let longestRetry: Int64 = 10_000

  /// What keeps the registered keeper from the name; nil: it may have it.
  func obstacle(to registration: Registration, after record: NodeRecord) -> NameObstacle? {
    let holder = record.holder
    // The same keeper is proven by its random id, unless another kernel claims it. No boot id: the record was lost.
    if holder.keeper == registration.keeper, holder.bootID.isEmpty || holder.bootID == registration.bootID {
      return nil
    }
    var reason = ""
    var wait = Self.longestRetry
    switch succession(registration, record) {
    case .proven: return nil
    case .unproven(let text): reason = text
    case .unsettled(let text, let milliseconds):
      reason = text
      wait = milliseconds
    }
    let taken = "node name \"\(registration.node)\" is taken by another keeper\(reason)"
    guard let free = takeOverTime(record) else {
      return NameObstacle(
        text: "\(taken), and its pods tolerate its absence without limit", retryMilliseconds: wait)
    }
    if free <= now.boot { return nil }
    let seconds = (free - now.boot + 999) / 1000
    return NameObstacle(
      text: "\(taken) until its lease and its pods' tolerations are over, in \(seconds) s at the soonest",
      retryMilliseconds: max(1, min(wait, free - now.boot)))
  }

  /// Proofs (ii) and (iii).
  private func succession(_ registration: Registration, _ record: NodeRecord) -> Succession {
    let holder = record.holder
    guard !holder.machineID.isEmpty, registration.machineID == holder.machineID else {
      return .unproven(" on another machine")
    }
    // Machines of one image share the machine id. What cannot be read on one side proves nothing.
    guard registration.hardwareID == holder.hardwareID else {
      return .unproven(" on other hardware (machines of one image need a node name each)")
    }
    guard !holder.directory.isEmpty, registration.directory == holder.directory else {
      return .unproven(
        " with another data directory (one that was moved or copied proves nothing about the pods left behind)")
    }
    if registration.bootID == holder.bootID {
      return registration.sweptKeepers.contains(holder.keeper)
        ? .proven : .unproven(" of this data directory, whose pods this one cannot see")
    }
    // A cloned disk shares all that was compared, and where hardware has no id even that. But a boot follows the one
    // before it: the old one is silent, and has been for longer than the new one has run.
    let silence = now.boot - silent(since: record.lastHeartbeat)
    if let heard = record.heardAt, !isYounger(registration, than: now.boot - heard) {
      return .unproven(
        " that still spoke when this machine was running already: two machines with one disk image need a node name "
          + "each")
    }
    guard silence >= configuration.leaseMilliseconds else {
      return .unsettled(
        " that spoke \(silence) ms ago, which a new boot of its machine must not",
        milliseconds:
          configuration.leaseMilliseconds - silence)
    }
    return .proven
  }

  /// Whether the machine's kernel has run for less than that time; clock rates may be off by 5 %.
  private func isYounger(_ registration: Registration, than milliseconds: Int64) -> Bool {
    guard let uptime = registration.uptimeMilliseconds else { return false }
    return uptime - uptime / 20 <= milliseconds
  }
}

extension NodeHolder {
  /// As a registration says.
  init(_ registration: Registration) {
    self.init(
      keeper: registration.keeper, machineID: registration.machineID, bootID: registration.bootID,
      hardwareID: registration.hardwareID, directory: registration.directory)
  }
}

extension Registration {
  /// Longest identity and longest list of them that an agent of ours sends, with room to spare.
  private static let longest = 256
  /// Beyond these no coordinator comes in a thousand years of 100,000 attempts a second: such a claim is no sign of
  /// an old copy (C4).
  private static let highestCredibleIncarnation: Int64 = 1 << 40
  private static let highestCredibleAttempt: Int64 = 1 << 52

  /// What is wrong with its claims as they stand; nil: nothing.
  var malformation: String? {
    if let error = Names.subdomainErrors(node).first {
      return "node name \"\(node.prefix(253))\" is not valid: \(error)"
    }
    if keeper.isEmpty || bootID.isEmpty { return "the registration names no keeper or no boot id" }
    let words =
      [keeper, machineID, bootID, hardwareID, directory, incarnationMark, rememberedCluster]
      + [provenAttempt?.proof ?? ""] + sweptKeepers
    if words.count > Self.longest || words.contains(where: { $0.utf8.count > Self.longest }) {
      return "the registration's identities are longer than \(Self.longest) bytes, or more than that many"
    }
    if let uptimeMilliseconds, uptimeMilliseconds < 0 { return "the registration's uptime is negative" }
    guard (0...Self.highestCredibleIncarnation).contains(highestIncarnation),
      (0...Self.highestCredibleAttempt).contains(max(highestAttempt, provenAttempt?.attempt ?? 0)),
      (0...Self.highestCredibleAttempt).contains(min(highestAttempt, provenAttempt?.attempt ?? 0))
    else {
      return "node \(node) says that it has seen incarnation \(highestIncarnation) and attempt \(highestAttempt), "
        + "which no coordinator reaches"
    }
    return nil
  }
}
