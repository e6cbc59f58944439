// What an agent's report may put into a pod's status: as much as kubelet would, and of the pod's own containers. What
// is longer is cut, what has no place is left out; the report counts all the same. Knows no sessions.

import ClusterProto

/// Bounds of what agents say. An agent that lies is believed (security.md), but its words are everybody's to carry.
package enum ReportBounds {
  /// Bytes of a sentence for people; kubelet's bound of a termination message.
  package static let message = 4_096
  /// Of all messages of a pod's containers together, kubelet's as well.
  static let messagesOfPod = 12 * 1_024
  static let reason = 1_024
  private static let image = 4_096
  private static let conditionType = 316
  private static let conditions = 32
  private static let address = 64

  /// What is passed on of an agent's word about the end of a stream, which may be anything: a sentence, and a code that
  /// HTTP has for it.
  package static func end(code: Int, message: String) -> (code: Int, message: String) {
    let isCode = code == 200 || (400...599).contains(code)
    return (isCode ? code : 500, cut(message, Self.message))
  }

  /// The beginning of a text, whole characters of at most so many bytes.
  package static func cut(_ text: String, _ limit: Int) -> String {
    if text.utf8.count <= limit { return text }
    var end = text.utf8.index(text.startIndex, offsetBy: limit)
    while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return String(text[..<end])
  }

  /// The status as it may be kept of a pod with that spec.
  static func bounded(_ reported: PodStatus, of spec: PodSpec) -> PodStatus {
    var status = reported
    status.reason = cut(status.reason, reason)
    status.message = cut(status.message, message)
    status.conditions = status.conditions.prefix(conditions).map { bounded($0) }
    status.hostIP = shown(address: status.hostIP)
    status.podIP = shown(address: status.podIP)
    status.nominatedNodeName = cut(status.nominatedNodeName, 253)
    let count = spec.containers.count + spec.initContainers.count + spec.ephemeralContainers.count
    let each = min(message, messagesOfPod / max(1, count))
    status.initContainers = bounded(status.initContainers, of: spec.initContainers, each)
    status.containers = bounded(status.containers, of: spec.containers, each)
    status.ephemeralContainers = bounded(status.ephemeralContainers, of: spec.ephemeralContainers, each)
    return status
  }

  private static func bounded(_ condition: Condition) -> Condition {
    var result = condition
    result.type = cut(result.type, conditionType)
    if !["True", "False", "Unknown"].contains(result.status) { result.status = "Unknown" }
    result.reason = cut(result.reason, reason)
    result.message = cut(result.message, message)
    return result
  }

  /// Each container of the spec once, in the order in which they were reported.
  private static func bounded(
    _ reported: [ContainerStatus], of containers: [ContainerSpec], _ limit: Int
  ) -> [ContainerStatus] {
    var names = Set(containers.map(\.name))
    var result: [ContainerStatus] = []
    for var container in reported where names.remove(container.name) != nil {
      container.image = cut(container.image, image)
      container.imageID = cut(container.imageID, image)
      container.lastTermination = container.lastTermination.map { bounded($0, limit) }
      switch container.state {
      case .running: break
      case .waiting(let why, let text): container.state = .waiting(reason: cut(why, reason), message: cut(text, limit))
      case .terminated(let end): container.state = .terminated(bounded(end, limit))
      }
      result.append(container)
    }
    return result
  }

  private static func bounded(_ end: ContainerState.Termination, _ limit: Int) -> ContainerState.Termination {
    var end = end
    end.reason = cut(end.reason, reason)
    end.message = cut(end.message, limit)
    return end
  }

  /// An address as clients can use it; of anything else none.
  private static func shown(address text: String) -> String {
    let isAddress =
      text.utf8.count <= address
      && text.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20) || [0x2E, 0x3A, 0x25].contains(byte)
      }
    return isAddress ? text : ""
  }
}
