// Owns: the parts that kubectl's descriptions share: labels, annotations, containers, volumes, tolerations, events.
// It must not know which kind is described. Texts and layout are those of kubectl's describer.

import ClusterProto

/// Collects a description as tab-separated text and lays it out.
struct Describer {
  private var text = ""
  /// The time that ages count from.
  let now: WallTime

  init(now: WallTime) { self.now = now }

  /// The description as it is printed.
  func laidOut() -> String {
    var writer = TabWriter.description()
    return writer.format(TerminalText.harmless(text))
  }

  /// Adds `line` indented by `level` steps of two spaces.
  mutating func line(_ line: String, _ level: Int = 0) {
    text += String(repeating: "  ", count: level) + line + "\n"
  }

  /// Adds `name:` and its value, unless the value is nil.
  mutating func field(_ name: String, _ value: String?, _ level: Int = 0) {
    if let value { line("\(name):\t\(value)", level) }
  }

  mutating func time(_ name: String, _ value: JSON?, _ level: Int = 0) {
    if let time = Describer.time(value) { field(name, time.rfc1123Z, level) }
  }

  /// Several values under one name, one a line.
  mutating func list(_ name: String, _ values: [String], _ level: Int = 0) {
    line("\(name):\t\(values.first ?? "<none>")", level)
    for value in values.dropFirst() { line("\t\(value)", level) }
  }

  mutating func labels(_ name: String, _ labels: JSON?, _ level: Int = 0) {
    list(name, StringMap(json: labels).map { "\($0.key)=\($0.value)" }, level)
  }

  /// Long values stand on lines of their own; the manifest that apply keeps is left out.
  mutating func annotations(_ name: String, _ annotations: JSON?, _ level: Int = 0) {
    let limit = 140
    var values: [String] = []
    for entry in StringMap(json: annotations) where entry.key != ThreeWayMerge.annotation {
      let value = entry.value.hasSuffix("\n") ? String(entry.value.dropLast()) : entry.value
      if value.utf8.count + entry.key.utf8.count + 2 > limit || value.contains("\n") {
        values.append("\(entry.key):")
        for part in value.split(separator: "\n", omittingEmptySubsequences: false) {
          values.append("  " + (part.count > limit - 2 ? part.prefix(limit - 2) + "..." : part))
        }
      } else {
        values.append("\(entry.key): \(value)")
      }
    }
    list(name, values, level)
  }

  mutating func tolerations(_ name: String, _ tolerations: JSON?, _ level: Int = 0) {
    let sorted = (tolerations?.arrayValue ?? []).enumerated().sorted { left, right in
      let first = left.element["key"]?.stringValue ?? ""
      let second = right.element["key"]?.stringValue ?? ""
      return first == second ? left.offset < right.offset : first < second
    }
    list(name, sorted.map { Describer.toleration($0.element) }, level)
  }

  private static func toleration(_ toleration: JSON) -> String {
    var text = toleration["key"]?.stringValue ?? ""
    let value = toleration["value"]?.stringValue ?? ""
    if !value.isEmpty { text += "=\(value)" }
    if let effect = toleration["effect"]?.stringValue, !effect.isEmpty { text += ":\(effect)" }
    if toleration["operator"]?.stringValue == "Exists", value.isEmpty {
      text += text.isEmpty ? "op=Exists" : " op=Exists"
    }
    if let seconds = toleration["tolerationSeconds"]?.intValue { text += " for \(seconds)s" }
    return text
  }

  mutating func events(_ events: [JSON]) {
    if events.isEmpty { return line("Events:\t<none>") }
    line("Events:")
    line("Type\tReason\tAge\tFrom\tMessage", 1)
    line("----\t------\t----\t----\t-------", 1)
    for event in EventText.sorted(events) {
      let message = TablePrinter.cell(.string(EventText.message(event)))
      line(
        [
          event["type"]?.stringValue ?? "", event["reason"]?.stringValue ?? "", EventText.age(event, now: now),
          EventText.source(event), message,
        ].joined(separator: "\t"), 1)
    }
  }

  /// A time member; nil when absent or no time.
  static func time(_ value: JSON?) -> WallTime? { value?.stringValue.flatMap { WallTime(rfc3339: $0) } }

  /// How long ago, as AGE columns say it.
  func age(_ value: JSON?) -> String {
    Describer.time(value).map { humanDuration(milliseconds: now.milliseconds(since: $0)) } ?? "<unknown>"
  }

  /// The controller, `Job/done`; nil without one.
  static func controller(_ object: JSON) -> String? {
    (object[path: ["metadata", "ownerReferences"]]?.arrayValue ?? [])
      .first { $0["controller"]?.boolValue == true }
      .map { "\($0["kind"]?.stringValue ?? "")/\($0["name"]?.stringValue ?? "")" }
  }
}

/// What tables and descriptions say of events.
enum EventText {
  /// By the time they were last seen; within one second, which is all that most of them tell, as they were written.
  static func sorted(_ events: [JSON]) -> [JSON] {
    func key(_ position: Int, _ event: JSON) -> (seconds: Int64, version: Int64, position: Int) {
      let version = event[path: ["metadata", "resourceVersion"]]?.stringValue.flatMap { Int64($0) } ?? 0
      return ((lastSeen(event)?.nanoseconds ?? 0) / 1_000_000_000, version, position)
    }
    return events.enumerated().map { (key: key($0, $1), event: $1) }.sorted { $0.key < $1.key }.map(\.event)
  }

  static func lastSeen(_ event: JSON) -> WallTime? {
    for value in [event[path: ["series", "lastObservedTime"]], event["lastTimestamp"], event["eventTime"]] {
      if let time = Describer.time(value) { return time }
    }
    return Describer.time(event[path: ["metadata", "creationTimestamp"]])
  }

  /// `9s`, or `9s (x4 over 2m)`.
  static func age(_ event: JSON, now: WallTime) -> String {
    func since(_ time: WallTime?) -> String {
      time.map { humanDuration(milliseconds: now.milliseconds(since: $0)) } ?? "<unknown>"
    }
    let first = Describer.time(event["firstTimestamp"]) ?? Describer.time(event["eventTime"]) ?? lastSeen(event)
    let count = event[path: ["series", "count"]]?.intValue ?? event["count"]?.intValue ?? 1
    return count > 1 ? "\(since(lastSeen(event))) (x\(count) over \(since(first)))" : since(first)
  }

  static func source(_ event: JSON) -> String {
    let source = event[path: ["source", "component"]]?.stringValue ?? ""
    return source.isEmpty ? event["reportingComponent"]?.stringValue ?? "" : source
  }

  static func message(_ event: JSON) -> String {
    var message = (event["message"]?.stringValue ?? "")[...]
    while message.last?.isWhitespace == true { message.removeLast() }
    while message.first?.isWhitespace == true { message.removeFirst() }
    return String(message)
  }
}
