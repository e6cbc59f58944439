// What an agent tells of its node and pods beside their statuses: the node's images, and Events of pods in the usual
// course of things. Bounded on both sides; nothing is ever decided from it.

/// How many words may still be said.
package struct WordAllowance: Equatable, Sendable {
  private let perSecond: Int64
  private let burst: Int64
  /// In thousandths of a word.
  private var left: Int64
  private var countedAt: BootTime?

  /// So many at once, and so many a second.
  package init(perSecond: Int64, burst: Int64) {
    self.perSecond = perSecond
    self.burst = burst
    left = burst * 1_000
  }

  /// Whether one more may be said now; if so, it is counted.
  package mutating func take(at now: BootTime) -> Bool {
    let passed = max(0, now - (countedAt ?? now))
    left = min(burst * 1_000, left + min(passed, 60_000) * perSecond)
    countedAt = now
    guard left >= 1_000 else { return false }
    left -= 1_000
    return true
  }
}

/// One image of a node, as `status.images` shows it.
package struct NodeImage: Equatable, Sendable {
  /// All of its names.
  package var names: [String]
  /// What it takes on the disk.
  package var bytes: Int64

  /// The kubelet's nodeStatusMaxImages and its bound of names of one image.
  package static let most = 50
  private static let mostNames = 5
  private static let longestName = 512

  /// Takes each value as it stands.
  package init(names: [String], bytes: Int64) {
    self.names = names
    self.bytes = bytes
  }

  /// As many of these as a Node shows: the largest, each with a few of its names.
  package static func shown(_ images: [NodeImage]) -> [NodeImage] {
    let largest = images.enumerated().sorted {
      $0.element.bytes == $1.element.bytes ? $0.offset < $1.offset : $0.element.bytes > $1.element.bytes
    }
    return largest.prefix(most).map { _, image in
      let names = image.names.filter { $0.utf8.count <= longestName }.prefix(mostNames)
      return NodeImage(names: Array(names), bytes: max(0, image.bytes))
    }
  }

  /// As `status.images` has it, and as it is sent.
  package var json: JSON { ["names": .strings(names), "sizeBytes": .int(bytes)] }

  /// Reads one. Throws what is missing or of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      names: try reader.optionalList("names", MessageReader.string), bytes: try reader.optionalInteger("sizeBytes") ?? 0
    )
  }
}

/// Something that happened to a container of an attempt, for people: it becomes an Event of the pod.
package struct PodFact: Equatable, Sendable {
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// Which container it is about; empty: the pod.
  package var container: String
  /// The Event's reason, one word.
  package var reason: String
  /// The Event's message.
  package var message: String

  /// Of one message the coordinator takes so many.
  package static let most = 256

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, container: String, reason: String, message: String) {
    self.attempt = attempt
    self.container = container
    self.reason = reason
    self.message = message
  }

  var json: JSON {
    [
      "attempt": .int(attempt), "container": .string(container), "reason": .string(reason),
      "message": .string(message),
    ]
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      attempt: try reader.integer("attempt"), container: try reader.string("container"),
      reason: try reader.string("reason"), message: try reader.string("message"))
  }
}
