// Owns: how pods ended, in words, and which indexes of a Job failed in which way. Pure. It must not know how the answer
// is laid out.

import ClusterProto

/// Ends of containers and pods in words.
enum EndWords {
  private static let signals: [Int64: String] = [
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
    11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
  ]

  /// `exit code 3`, with what is known of the number.
  static func exit(_ code: Int64, _ reason: String) -> String {
    switch (code, reason) {
    case (_, "OOMKilled"): "exit code \(code) (OOMKilled: it needed more memory than its limit)"
    case (_, "ContainerCannotRun"), (_, "StartError"): "exit code \(code) (\(reason): it could not be started)"
    case (126, _): "exit code 126 (found, but not executable)"
    case (127, _): "exit code 127 (command not found)"
    case (129...159, _): "exit code \(code)" + (signals[code - 128].map { " (\($0))" } ?? " (signal \(code - 128))")
    default: "exit code \(code)" + (reason.isEmpty || reason == "Error" ? "" : " (\(reason))")
    }
  }

  /// How a pod failed; nil: it has not, or nobody knows.
  static func of(_ pod: JSON) -> String? {
    let status = pod["status"]
    guard status?["phase"]?.stringValue == "Failed" else { return nil }
    for list in ["initContainerStatuses", "containerStatuses"] {
      for container in status?[list]?.arrayValue ?? [] {
        guard let end = container[path: ["state", "terminated"]], let code = end["exitCode"]?.intValue, code != 0 else {
          continue
        }
        let place = list == "initContainerStatuses" ? "init container \(container["name"]?.stringValue ?? ""): " : ""
        return place + exit(code, end["reason"]?.stringValue ?? "")
      }
    }
    let reason = status?["reason"]?.stringValue ?? ""
    let message = status?["message"]?.stringValue ?? ""
    return reason.isEmpty ? message.isEmpty ? nil : message : message.isEmpty ? reason : "\(reason): \(message)"
  }

  /// Why somebody else ended a pod: its node was lost, drained, too full; nil: nobody did.
  static func disruption(_ pod: JSON) -> String? {
    for condition in pod[path: ["status", "conditions"]]?.arrayValue ?? []
    where condition["type"]?.stringValue == "DisruptionTarget" && condition["status"]?.stringValue == "True" {
      return condition["message"]?.stringValue ?? condition["reason"]?.stringValue
    }
    return nil
  }
}

/// The failures of a Job, as its pods and its record tell them.
struct WhyFailures {
  /// Indexes that ended in one way.
  struct Group: Equatable {
    var words: String
    var indexes: IndexIntervals
  }

  /// Of an Indexed Job: which failed for good, and how; the largest group first.
  private(set) var groups: [Group] = []
  /// Those of which nothing is left.
  private(set) var unknown = IndexIntervals()
  private(set) var failed = IndexIntervals()
  /// The last failure of all, in words: `pod x on n: exit code 3`.
  private(set) var last: String?
  /// The pod to look at: of the lowest failed index, else the last one that failed.
  private(set) var example: JSON?

  init(_ job: JSON, _ pods: [JSON]) {
    let isIndexed = job[path: ["spec", "completionMode"]]?.stringValue == "Indexed"
    let ended = pods.filter { EndWords.of($0) != nil }.sorted { Self.time($0) < Self.time($1) }
    let record = Self.record(job)
    if let pod = ended.last {
      last = "pod \(Self.name(pod))\(Self.place(pod)): \(EndWords.of(pod) ?? "")"
    } else {
      last = record.last.map { "pod \($0.pod): \($0.words)" }
    }
    example = ended.last
    guard isIndexed else { return }
    var ends: [Int64: String] = [:]
    var examples: [Int64: JSON] = [:]
    for line in record { if let index = line.index { ends[index] = line.words } }
    for pod in ended {
      guard let index = PodFacts.index(of: pod) else { continue }
      ends[index] = EndWords.of(pod)
      examples[index] = pod
    }
    failed = IndexIntervals(text: job[path: ["status", "failedIndexes"]]?.stringValue ?? "")
    let hasOwnLimits = job[path: ["spec", "backoffLimitPerIndex"]] != nil
    if !hasOwnLimits {
      let done = IndexIntervals(text: job[path: ["status", "completedIndexes"]]?.stringValue ?? "")
      for index in ends.keys.sorted() where !done.contains(index) { failed.insert(index) }
    }
    for index in ends.keys.sorted() where failed.contains(index) {
      let words = ends[index] ?? ""
      if let position = groups.firstIndex(where: { $0.words == words }) {
        groups[position].indexes.insert(index)
      } else {
        var indexes = IndexIntervals()
        indexes.insert(index)
        groups.append(Group(words: words, indexes: indexes))
      }
    }
    var known = IndexIntervals()
    for group in groups { known.formUnion(group.indexes) }
    unknown = failed.subtracting(known)
    // Of equal size the lower index first, as they were found.
    groups = groups.enumerated().sorted {
      ($1.element.indexes.count, $0.offset) < ($0.element.indexes.count, $1.offset)
    }
    .map(\.element)
    if let first = examples.keys.filter({ failed.contains($0) }).min() { example = examples[first] }
  }

  /// `indexes 6 and 10 with exit code 3; index 4 with exit code 1`.
  var sentence: String {
    var parts = groups.map { "\(Self.words($0.indexes)) with \($0.words)" }
    if !unknown.isEmpty { parts.append("\(Self.words(unknown)) of which no pod and no record is left") }
    return parts.joined(separator: "; ")
  }

  /// Longer lists are cut: nobody reads them.
  private static let listBytes = 120

  static func words(_ indexes: IndexIntervals) -> String {
    if indexes.count == 1 { return "index \(indexes.text)" }
    var text = indexes.text
    if text.utf8.count > listBytes {
      let cut = text.prefix(listBytes)
      text = String(cut[..<(cut.lastIndex(of: ",") ?? cut.endIndex)]) + ",… (\(indexes.count) in all)"
    }
    return "indexes \(text)"
  }

  private static func name(_ pod: JSON) -> String { pod[path: ["metadata", "name"]]?.stringValue ?? "" }

  static func place(_ pod: JSON) -> String {
    let node = pod[path: ["spec", "nodeName"]]?.stringValue ?? ""
    return node.isEmpty ? "" : " on \(node)"
  }

  /// When its container ended, as text that sorts.
  private static func time(_ pod: JSON) -> String {
    let ends = (pod[path: ["status", "containerStatuses"]]?.arrayValue ?? []).compactMap {
      $0[path: ["state", "terminated", "finishedAt"]]?.stringValue
    }
    return (ends.max() ?? "") + " " + (pod[path: ["metadata", "creationTimestamp"]]?.stringValue ?? "")
  }

  /// What the Job remembers of pods that are gone: `TIME POD[ index N][ on NODE]: WHAT`.
  private static func record(_ job: JSON) -> [(pod: String, index: Int64?, words: String)] {
    let text = job[path: ["metadata", "annotations", JobAnnotation.failures]]?.stringValue ?? ""
    return text.split(separator: "\n").compactMap { line in
      // The time has colons, but no space behind them.
      guard let colon = line.firstRange(of: ": ") else { return nil }
      let head = line[..<colon.lowerBound].split(separator: " ")
      guard head.count > 1 else { return nil }
      let index = head.firstIndex(of: "index").flatMap { $0 + 1 < head.count ? Int64(head[$0 + 1]) : nil }
      return (String(head[1]), index, words(ofRecord: line[colon.upperBound...]))
    }
  }

  /// `container main exited with 3 (Error): …` as the same words as a pod's.
  private static func words(ofRecord what: Substring) -> String {
    guard let mark = what.firstRange(of: "exited with ") else { return String(what) }
    let rest = what[mark.upperBound...]
    let digits = rest.prefix { ("0"..."9").contains($0) }
    var reason = ""
    if let open = rest.firstIndex(of: "("), let close = rest[open...].firstIndex(of: ")") {
      reason = String(rest[rest.index(after: open)..<close])
    }
    return Int64(digits).map { EndWords.exit($0, reason) } ?? String(what)
  }
}
