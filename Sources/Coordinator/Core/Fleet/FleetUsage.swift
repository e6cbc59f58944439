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
  /// When agents were asked last.
  var askedAt: BootTime?
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

  /// Whether every node that can tell has told lately.
  var isUsageKnown: Bool {
    fleet.nodes.values.allSatisfy { record in
      guard let session = record.session, let node = fleet.sessions[session]?.node, tellsUsage(session) else {
        return true
      }
      return fleet.usage.nodes[node].map(isFresh) ?? false
    }
  }

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

  /// Asks all agents, unless they were just asked; those that came since are asked with the next question.
  mutating func askForUsage() {
    if let last = fleet.usage.askedAt, now.boot - last < FleetUsage.renewal, isUsageKnown { return }
    fleet.usage.askedAt = now.boot
    for name in fleet.nodes.keys.sorted() {
      guard let session = fleet.nodes[name]?.session, tellsUsage(session) else { continue }
      outputs.append(.send(session, .measure(milliseconds: FleetUsage.span), immediate: false))
    }
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
    if !fleet.usage.waiting.isEmpty, isUsageKnown { answerMetrics(waiting: fleet.usage.waiting.keys.sorted()) }
  }
}
