// What nodes have told of what they and their pods use: asked for only while somebody wants to know, kept only in
// memory, and only as long as it is fresh. Nothing is decided from it.

import ClusterProto

struct FleetUsage: Sendable {
  /// What a node said last.
  struct Sample: Sendable {
    var report: UsageReport
    /// Of its attempts' containers.
    var pods: [AttemptNumber: [String: Usage]]
    var at: BootTime
    var wall: WallTime
  }

  var nodes: [String: Sample] = [:]
  /// When all agents were asked last, and which came since.
  var askedAt: BootTime?
  var unasked = InsertionSet<String>()
  /// Nodes that were asked and were not known lately.
  var awaited = InsertionSet<String>()
  /// Requests that wait for the nodes' first words.
  var waiting: [RequestID: APIRequest] = [:]

  /// How long agents are to go on, and how soon they are asked again to.
  static let span: Int64 = 120_000
  static let renewal: Int64 = 30_000
  /// Older samples are of a node that tells no more: twice what an agent pauses, and some.
  static let freshness: Int64 = 45_000
  /// How long a request waits for nodes that do not answer.
  static let patience: Int64 = 3_000
  /// Of one message the coordinator keeps so many attempts.
  static let most = 10_000
}

extension CoordinatorCore {
  func isFresh(_ sample: FleetUsage.Sample) -> Bool { now.boot - sample.at <= FleetUsage.freshness }

  /// Whether every node that was asked has told lately, but for those that have gone meanwhile.
  var isUsageKnown: Bool { fleet.usage.awaited.allSatisfy { fleet.nodes[$0]?.session == nil } }

  /// Agents of versions before do not know the question, nor do they say what limits they enforce.
  private func tellsUsage(_ session: SessionID) -> Bool {
    fleet.sessions[session]?.registration?.conditions.contains { $0.type == LimitAbilities.condition } ?? false
  }

  /// A node's last words, while they are fresh.
  func usage(ofNode name: String) -> FleetUsage.Sample? {
    guard let known = fleet.usage.nodes[name], isFresh(known) else { return nil }
    return known
  }

  /// What a pod's containers use, by its node's last words.
  func usage(of pod: Pod) -> (sample: FleetUsage.Sample, containers: [String: Usage])? {
    guard let number = fleet.attemptOfPod[pod.meta.uid], let node = pod.nodeName, let sample = usage(ofNode: node),
      let containers = sample.pods[number]
    else { return nil }
    return (sample, containers)
  }

  /// A request that waits for the nodes' words, and its end.
  mutating func awaitUsage(_ id: RequestID, _ request: APIRequest) { fleet.usage.waiting[id] = request }
  @discardableResult
  mutating func takeAwaiting(_ id: RequestID) -> APIRequest? { fleet.usage.waiting.removeValue(forKey: id) }

  /// Which nodes hold pods to their limits.
  var limitNodes: LimitNodes { fleet.limitNodes }

  /// Asks all agents, and for a while after that only those that have come since.
  mutating func askForUsage() {
    let isRecent = fleet.usage.askedAt.map { now.boot - $0 < FleetUsage.renewal } ?? false
    let names = isRecent ? Array(fleet.usage.unasked) : fleet.nodes.keys.sorted()
    if !isRecent {
      fleet.usage.askedAt = now.boot
      fleet.usage.awaited = InsertionSet()
    }
    fleet.usage.unasked = InsertionSet()
    for name in names {
      guard let session = fleet.nodes[name]?.session, tellsUsage(session) else { continue }
      outputs.append(.send(session, .measure(milliseconds: FleetUsage.span), immediate: false))
      if usage(ofNode: name) == nil { fleet.usage.awaited.insert(name) }
    }
  }

  /// A node's new agent was not asked yet.
  mutating func noteUsageUnasked(_ name: String) { fleet.usage.unasked.insert(name) }

  /// A node that is no more says nothing.
  mutating func forgetUsage(ofNode name: String) {
    fleet.usage.nodes[name] = nil
    fleet.usage.unasked.remove(name)
    fleet.usage.awaited.remove(name)
  }

  mutating func take(_ report: UsageReport, from id: SessionID) {
    guard let node = fleet.sessions[id]?.node, fleet.nodes[node]?.session == id else { return }
    var pods: [AttemptNumber: [String: Usage]] = [:]
    for pod in report.pods.prefix(FleetUsage.most) where fleet.attempts[pod.attempt]?.node == node {
      pods[pod.attempt] = pod.containers
    }
    var kept = report
    kept.pods = []
    fleet.usage.nodes[node] = FleetUsage.Sample(report: kept, pods: pods, at: now.boot, wall: now.wall)
    fleet.usage.awaited.remove(node)
    if !fleet.usage.waiting.isEmpty, isUsageKnown { answerMetrics(waiting: fleet.usage.waiting.keys.sorted()) }
  }
}
