// Owns: how the files that this process may have open are shared out, so that whoever takes all of his share leaves the
// others theirs. It must not know connections.

/// Shares of RLIMIT_NOFILE. Together they are no more than the limit.
struct DescriptorBudget: Equatable {
  /// Places of one kind of proven connections, and how many of them one name may have.
  struct Share: Equatable {
    var total: Int
    var each: Int
  }

  /// The store, the loop, listeners, certificates that are read, a backup.
  static let own = 64
  /// Sessions that one node's certificate may have: a second one is open while the first has not been seen to end.
  static let sessionsOfNode = 16

  let limit: Int
  /// Connections in their hello.
  let hellos: Int
  /// Connections of the Kubernetes API that have not proven who they are.
  let unproven: Int
  /// Refused ones that may still read why.
  let refused: Int
  /// Of users and service accounts, over both doors; logs that they read count too.
  let users: Share
  /// The same of `system:masters`.
  let masters: Share
  /// Sessions of agents: all that is left.
  let agents: Share

  /// Everybody has a few places, however low the limit is.
  init(limit: Int) {
    self.limit = limit
    let usable = max(0, limit - Self.own)
    func part(_ divisor: Int, atMost most: Int) -> Int { min(most, max(8, usable / divisor)) }
    hellos = part(8, atMost: Door.helloLimit)
    unproven = part(8, atMost: HTTPDoor.unprovenLimit)
    refused = part(16, atMost: 128)
    let people = part(4, atMost: 4_096)
    users = Share(total: people, each: people / 2)
    let masters = part(8, atMost: 4_096)
    self.masters = Share(total: masters, each: masters / 2)
    let left = usable - hellos - unproven - refused - people - masters
    agents = Share(total: max(8, left), each: Self.sessionsOfNode)
  }
}
