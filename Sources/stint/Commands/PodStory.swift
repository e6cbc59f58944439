// Owns: what a person who follows a Job is told of its pods: from each pod as it was and as it is, lines of text. Pure.
// It must not know how pods are watched.

import ClusterProto

/// One pod as far as a follower cares.
struct PodFacts: Equatable {
  var name: String
  var uid: String
  var index: Int64?
  var node: String
  var phase: String
  /// A container that has begun at some time: it has a log.
  var begun: [BegunContainer] = []
  /// The failed container's; nil: none has failed.
  var exitCode: Int64?
  var isDeleted = false

  struct BegunContainer: Equatable {
    var name: String
    var restarts: Int64
  }

  var isOver: Bool { phase == "Succeeded" || phase == "Failed" }
  /// How the follower names it: its index, else its name.
  var label: String { index.map { "\($0)" } ?? name }
  /// In sentences.
  var subject: String { index.map { "index \($0)" } ?? "pod \(name)" }

  init(_ pod: JSON) {
    name = pod[path: ["metadata", "name"]]?.stringValue ?? ""
    uid = pod[path: ["metadata", "uid"]]?.stringValue ?? ""
    index = Self.index(of: pod)
    node = pod[path: ["spec", "nodeName"]]?.stringValue ?? ""
    phase = pod[path: ["status", "phase"]]?.stringValue ?? "Pending"
    isDeleted = pod[path: ["metadata", "deletionTimestamp"]] != nil
    for list in ["initContainerStatuses", "containerStatuses"] {
      for container in pod[path: ["status", list]]?.arrayValue ?? [] {
        let state = container["state"]
        let restarts = container["restartCount"]?.intValue ?? 0
        if state?["running"] != nil || state?["terminated"] != nil || restarts > 0 {
          begun.append(BegunContainer(name: container["name"]?.stringValue ?? "", restarts: restarts))
        }
        if exitCode == nil, let code = state?[path: ["terminated", "exitCode"]]?.intValue, code != 0 {
          exitCode = code
        }
      }
    }
  }

  /// The completion index; nil where the Job has none.
  static func index(of pod: JSON) -> Int64? {
    pod[path: ["metadata", "annotations", "batch.kubernetes.io/job-completion-index"]]?.stringValue.flatMap {
      Int64($0)
    }
  }
}

/// The story of a Job's pods as it goes on.
struct PodStory {
  private(set) var pods: [String: PodFacts] = [:]
  /// Failures of each index, or of all pods where there are none; by `key`.
  private var failures: [Int64: Int64] = [:]
  /// Of each index the last failure's exit code, in the order of their coming.
  private var ends: [(index: Int64?, code: Int64)] = []
  /// Causes that have been told: others wait for the same.
  private var told: Set<String> = []

  /// What to tell of a pod that is now as `pod`.
  mutating func see(_ pod: JSON) -> [String] {
    let now = PodFacts(pod)
    let before = pods[now.uid]
    pods[now.uid] = now
    var lines: [String] = []
    let count = failures[now.index ?? -1] ?? 0
    if before == nil, count > 0, !now.isOver {
      lines.append(
        now.index == nil
          ? "\(now.subject) takes the place of one that failed" : "\(now.subject) is tried again (\(now.name))")
    }
    let ran = before?.phase == "Running"
    if now.phase == "Running", !ran {
      lines.append("\(now.subject) started on \(now.node)\(now.index == nil ? "" : " (\(now.name))")")
    }
    if now.phase == "Failed", before?.phase != "Failed" {
      failures[now.index ?? -1] = count + 1
      if let code = now.exitCode { ends.append((now.index, code)) }
      let place = now.node.isEmpty ? "" : " on \(now.node)"
      lines.append("\(now.subject) \(now.isDeleted ? "was stopped" : "failed")\(place): \(Self.why(pod))")
    } else if now.isDeleted, before?.isDeleted == false, !now.isOver {
      lines.append("\(now.subject) is being stopped\(now.node.isEmpty ? "" : " on \(now.node)")\(Self.disruption(pod))")
    }
    return lines.map(TerminalText.harmless) + waits(pod, now)
  }

  /// What keeps a pod, when it is not the same that keeps another one; nothing of one that is about to be placed.
  private mutating func waits(_ pod: JSON, _ now: PodFacts) -> [String] {
    guard now.phase == "Pending", !now.isDeleted, let cause = Causes.ofPod(pod), cause != Causes.unplaced,
      told.insert(cause).inserted
    else { return [] }
    return [TerminalText.harmless("\(now.subject) waits: \(cause)")]
  }

  /// Without the container's message: that is the end of its log, which has been shown.
  private static func why(_ pod: JSON) -> String {
    if let reason = pod[path: ["status", "reason"]]?.stringValue, !reason.isEmpty {
      return Causes.ofPod(pod) ?? reason
    }
    for list in ["initContainerStatuses", "containerStatuses"] {
      for container in pod[path: ["status", list]]?.arrayValue ?? [] {
        guard let end = container[path: ["state", "terminated"]], let code = end["exitCode"]?.intValue, code != 0 else {
          continue
        }
        let reason = end["reason"]?.stringValue ?? "Error"
        if ["ContainerCannotRun", "StartError"].contains(reason) { return Causes.ofPod(pod) ?? reason }
        return "exit code \(code)" + (reason == "Error" ? "" : " (\(reason))")
      }
    }
    return Causes.ofPod(pod) ?? "it failed"
  }

  private static func disruption(_ pod: JSON) -> String {
    for condition in pod[path: ["status", "conditions"]]?.arrayValue ?? []
    where condition["type"]?.stringValue == "DisruptionTarget" && condition["status"]?.stringValue == "True" {
      return ": \(condition["reason"]?.stringValue ?? "") \(condition["message"]?.stringValue ?? "")"
    }
    return ""
  }

  /// A pod is gone; what to tell of it.
  mutating func lose(_ pod: JSON) -> [String] {
    let facts = PodFacts(pod)
    guard let before = pods.removeValue(forKey: facts.uid), !before.isOver, !before.isDeleted, !facts.isOver else {
      return []
    }
    return ["\(before.subject): pod \(before.name) was deleted before it ended"]
  }

  /// The exit status of who follows a Job that has ended so: 0 when it completed; 124 when its time was up; else the
  /// failed container's code, that of the lowest index where several failed; 1 where none is known.
  func exitStatus(of job: JSON) -> Int32 {
    for condition in job[path: ["status", "conditions"]]?.arrayValue ?? []
    where condition["status"]?.stringValue == "True" {
      switch (condition["type"]?.stringValue, condition["reason"]?.stringValue) {
      case ("Complete", _): return 0
      case ("Failed", "DeadlineExceeded"): return StopMark.isOn(job) ? 130 : 124
      default: break
      }
    }
    let failed = IndexIntervals(text: job[path: ["status", "failedIndexes"]]?.stringValue ?? "")
    let counted = ends.filter { $0.index.map { failed.isEmpty || failed.contains($0) } ?? true }
    let lowest = counted.compactMap(\.index).min()
    let code = counted.last { $0.index == lowest }?.code ?? 1
    return Int32(clamping: code)
  }
}
