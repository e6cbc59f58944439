// How the last pods of a Job failed, as lines of text in an annotation of the Job: what is left of them when the pods
// are gone. Bounded in lines and bytes. Must not know which ends are failures.

/// One failed pod: `TIME POD[ index N][ on NODE]: WHAT`.
package struct JobFailure: Equatable, Sendable {
  /// When it ended.
  package var time: WallTime
  /// The pod's name.
  package var pod: String
  /// Its index; nil without indexes.
  package var index: Int64?
  /// Where it ran; empty: nowhere.
  package var node: String
  /// Container, exit code, reason and message.
  package var what: String

  /// Whether the pod was deleted and its end is not known yet.
  package var isOpen: Bool { what == JobFailures.openEnd }

  /// Of a pod, as its status tells it.
  package init(_ pod: Pod, index: Int64?, at time: WallTime) {
    self.time = time
    self.pod = pod.meta.name
    self.index = index
    node = pod.nodeName ?? ""
    what = Self.end(of: pod.status)
    if pod.meta.deletionTimestamp != nil {
      what = pod.status.phase.isTerminal ? "deleted; " + what : JobFailures.openEnd
    }
  }

  /// Of a pod whose restarts were too many: how its container ended before the last of them. Nil: it was not restarted.
  package init?(restarted pod: Pod, index: Int64?) {
    let restarted = (pod.status.containers + pod.status.initContainers).filter { $0.restartCount > 0 }
    // While the next run has not begun, the end before it is still the container's state.
    let ends = restarted.flatMap { one in
      [one.state.termination, one.lastTermination].compactMap { $0 }.map { (container: one, end: $0) }
    }
    guard let (container, end) = ends.first(where: { $0.end.exitCode != 0 }) else { return nil }
    self.init(pod, index: index, at: end.finishedAt)
    what = Self.text(container.name, end) + "; restarted \(container.restartCount) times"
  }

  /// In the annotation.
  package var line: String {
    let index = self.index.map { " index \($0)" } ?? ""
    return "\(time.rfc3339) \(pod)\(index)\(node.isEmpty ? "" : " on \(node)"): \(what)"
  }

  /// In an event.
  package var sentence: String {
    let index = self.index.map { " of index \($0)" } ?? ""
    return "Pod \(pod)\(index)\(node.isEmpty ? "" : " on \(node)") failed: \(what)"
  }

  /// The first container that failed, else the first that ended; before it what the pod as a whole failed of.
  private static func end(of status: PodStatus) -> String {
    var parts: [String] = []
    if !status.reason.isEmpty || !status.message.isEmpty {
      parts.append(joined(status.reason, status.message))
    } else if let disruption = status.condition("DisruptionTarget"), disruption.isTrue {
      parts.append(joined(disruption.reason, disruption.message))
    }
    let ended = (status.containers + status.initContainers).compactMap { container in
      container.state.termination.map { (name: container.name, end: $0) }
    }
    if let one = ended.first(where: { $0.end.exitCode != 0 }) ?? ended.first { parts.append(text(one.name, one.end)) }
    return parts.isEmpty ? "no container of it ended" : parts.joined(separator: "; ")
  }

  private static func text(_ container: String, _ end: ContainerState.Termination) -> String {
    let signal = end.signal == 0 ? "" : " by signal \(end.signal)"
    return joined("container \(container) exited with \(end.exitCode)\(signal) (\(end.reason))", end.message)
  }

  private static func joined(_ first: String, _ message: String) -> String {
    let text = message.utf8.map { $0 < 0x20 ? UInt8(0x20) : $0 }
    let isCut = text.count > JobFailures.messageBytes
    let rest = String(decoding: text.prefix(JobFailures.messageBytes), as: UTF8.self) + (isCut ? "…" : "")
    return first.isEmpty || rest.isEmpty ? first + rest : "\(first): \(rest)"
  }
}

/// The annotation as a whole.
package enum JobFailures {
  /// Failures that are kept: the last ones.
  package static let limit = 10
  /// Bytes of one message.
  static let messageBytes = 200
  /// Of a pod that was deleted and whose end is not known yet.
  static let openEnd = "deleted before it ended"

  /// The text with one more failure; nil: that pod's end is in it already, or older than all that are kept.
  package static func adding(_ failure: JobFailure, to text: String) -> String? {
    var lines = text.split(separator: "\n").map(String.init)
    if let position = lines.firstIndex(where: { isAbout(failure.pod, $0) }) {
      guard lines[position].hasSuffix(openEnd), !failure.isOpen else { return nil }
      lines.remove(at: position)
    }
    let line = failure.line
    let stamp = failure.time.rfc3339
    let place = lines.lastIndex { $0.prefix(stamp.count) <= stamp[...] }.map { $0 + 1 } ?? 0
    if place == 0, lines.count >= limit { return nil }
    lines.insert(line, at: place)
    return lines.suffix(limit).joined(separator: "\n")
  }

  /// Whether the pod was deleted and its end is still to be told.
  package static func awaitsEnd(of pod: String, in text: String) -> Bool {
    text.split(separator: "\n").contains { isAbout(pod, String($0)) && $0.hasSuffix(openEnd) }
  }

  private static func isAbout(_ pod: String, _ line: String) -> Bool {
    let words = line.split(separator: " ", maxSplits: 2)
    return words.count > 1 && (words[1] == pod || words[1] == "\(pod):")
  }
}
