// C4: what an agent says that it has seen, held against what this coordinator has given out. Only what is proven to be
// this cluster's own shows that the store is behind; a claim alone ends the session that makes it, and nothing else.

import ClusterProto

/// What the numbers of a registration show.
enum SeenNumbers: Equatable {
  /// Nothing that this coordinator has not given out.
  case known
  /// This coordinator serves an older copy of its store. In words for the operator.
  case behind(String)
  /// Another cluster's, or nobody's, in words for who runs the node.
  case unproven(String)
}

extension CoordinatorCore {
  /// This start's mark, as agents are told it.
  var startMark: String { fleet.proofs.mark(of: incarnation, random: configuration.startMark) }

  /// The key from the store, or a new one, which is in the first commit.
  mutating func restoreProofs() {
    if fleet.proofKey.isEmpty, !configuration.proofKey.isEmpty {
      fleet.proofKey = configuration.proofKey
      fleet.proofKeyIsNew = true
    }
    fleet.proofs = NumberProofs(key: fleet.proofKey, cluster: configuration.clusterID)
  }

  /// The highest numbers of this cluster that the registration proves; 0: none.
  func proven(_ registration: Registration) -> (incarnation: Int64, attempt: AttemptNumber) {
    let isStart = fleet.proofs.proves(mark: registration.incarnationMark, of: registration.highestIncarnation)
    let attempt = registration.provenAttempt.flatMap { fleet.proofs.proves($0) ? $0.attempt : nil }
    return (isStart ? registration.highestIncarnation : 0, attempt ?? 0)
  }

  /// What the node remembers is another cluster's.
  func foreign(_ registration: Registration) -> String? {
    let (own, other) = (configuration.clusterID, registration.rememberedCluster)
    guard !own.isEmpty, !other.isEmpty, own != other else { return nil }
    return "the data directory of node \(registration.node) is that of cluster \(other), and this is cluster \(own): "
      + Self.anew(registration.node)
  }

  /// How a node begins anew in this cluster.
  private static func anew(_ node: String) -> String {
    "on that machine end its pods and the agent (stint agent --stop --data DIRECTORY), delete that directory (rm -r "
      + "DIRECTORY), and join again: stint token create --node \(node) where the coordinator runs prints the command"
  }

  func judge(_ registration: Registration) -> SeenNumbers {
    let (node, seen, attempt) = (registration.node, registration.highestIncarnation, registration.highestAttempt)
    let proven = proven(registration)
    let isOtherStart = starts.contradicts(seen, mark: registration.incarnationMark)
    let advice =
      "the data directory is an old copy. Start the coordinator on its newest data directory; if that is lost, start "
      + "it on this one once with --moved."
    if isOtherStart, proven.incarnation == seen {
      return .behind(
        "node \(node) has seen another start with the number \(seen) of this cluster's coordinator (this is "
          + "incarnation \(incarnation)): \(advice)")
    }
    if proven.incarnation > incarnation {
      return .behind(
        "node \(node) has seen incarnation \(seen) of this cluster's coordinator, and this is only incarnation "
          + "\(incarnation): \(advice)")
    }
    if proven.attempt > fleet.lastAttempt {
      return .behind(
        "node \(node) has seen attempt \(proven.attempt), and this coordinator has given out only "
          + "\(fleet.lastAttempt): \(advice)")
    }
    guard isOtherStart || seen > incarnation || attempt > fleet.lastAttempt else { return .known }
    let start = isOtherStart ? "another start with the number \(seen)" : "incarnation \(seen)"
    return .unproven(
      "node \(node) says that it has seen \(start) and attempt \(attempt), without a proof that this cluster gave them "
        + "out; this is incarnation \(incarnation), and its last attempt is \(fleet.lastAttempt). Its data directory "
        + "is another cluster's or an old one, or somebody has written over it: \(Self.anew(node)). If this "
        + "coordinator's own directory may be an old copy, start it on the newest one instead")
  }
}
