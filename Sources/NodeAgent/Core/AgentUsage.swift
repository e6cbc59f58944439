// What pods and the machine use, measured only while somebody asks: one reading, a second one soon after it, then some
// a minute. Makes rates of readings; how anything is read is the hosts'.

import ClusterProto

/// The readings that the next ones are compared with.
struct UsageWatch {
  /// Nobody has asked for what is read after that.
  var until: BootTime?
  /// When the next reading is due; nil: none is.
  var due: BootTime?
  /// The machine's, as just read.
  var node: Usage?
  private(set) var last: (at: BootTime, node: Usage, pods: [AttemptNumber: AttemptUsage])?

  static let firstPause: Int64 = 1_000
  static let pause: Int64 = 15_000

  /// Rates since the reading before; nil: there is none yet. What had no reading before is left out.
  mutating func take(_ pods: [AttemptUsage], at time: BootTime) -> UsageReport? {
    guard let node else { return nil }
    defer {
      last = (time, node, Dictionary(pods.map { ($0.attempt, $0) }, uniquingKeysWith: { first, _ in first }))
      self.node = nil
    }
    guard let before = last, time > before.at else { return nil }
    let window = time - before.at
    func rate(_ now: Usage, _ then: Usage) -> Usage {
      // A container that began anew counts from nothing.
      let used = max(0, now.cpu.addingSaturated(-then.cpu))
      return Usage(cpu: used.multipliedSaturated(by: 1_000) / window, memory: now.memory)
    }
    var told: [AttemptUsage] = []
    for pod in pods {
      guard let known = before.pods[pod.attempt] else { continue }
      var containers: [String: Usage] = [:]
      for name in pod.containers.keys.sorted() {
        guard let now = pod.containers[name], let then = known.containers[name] else { continue }
        containers[name] = rate(now, then)
      }
      if !containers.isEmpty { told.append(AttemptUsage(attempt: pod.attempt, containers: containers)) }
    }
    return UsageReport(node: rate(node, before.node), pods: told, windowMilliseconds: window)
  }

  mutating func forget() { self = UsageWatch() }
}

extension AgentCore {
  /// Somebody wants to know, for so long. Readings that go on go on.
  mutating func measure(for milliseconds: Int64, _ now: Now) {
    let bounded = min(max(milliseconds, 0), 3_600_000)
    usage.until = max(usage.until ?? now.boot, now.boot + bounded)
    if usage.due == nil { usage.due = now.boot }
  }

  /// Reads when that is due.
  mutating func measureIfDue(_ now: Now) {
    guard let due = usage.due, due <= now.boot else { return }
    // A keeper of a version before that cannot say.
    guard let until = usage.until, until > now.boot, keeperLink == .ready, identity?.limits != nil else {
      return usage.forget()
    }
    usage.due = now.boot + (usage.last == nil ? UsageWatch.firstPause : UsageWatch.pause)
    effects.append(.measureNode)
    effects.append(.keeper(.measure))
  }

  mutating func take(_ pods: [AttemptUsage], _ now: Now) {
    guard let report = usage.take(pods, at: now.boot), session != nil else { return }
    effects.append(.send(.usage(report)))
  }
}
