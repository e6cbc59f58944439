// What the downward API tells a pod of itself, as variables and as files: kubelet's values, formats and errors.

import ClusterProto

/// Why a value of the downward API could not be given, in kubelet's words.
package struct DownwardError: Error, Equatable {
  /// What cannot be given, and why.
  package var message: String
}

/// The values of one attempt.
package struct DownwardAPI {
  private let assignment: Assignment
  private let place: PodPlace

  /// `place`: the node's facts; its volumes are not looked at.
  package init(assignment: Assignment, place: PodPlace) {
    self.assignment = assignment
    self.place = place
  }

  /// The text of a variable or file. `container`: whose resources are meant when the value names none; nil in volumes.
  /// In a volume `metadata.labels` and `metadata.annotations` are a line an entry, `key="value"`.
  package func text(of value: DownwardValue, askedBy container: String?) throws(DownwardError) -> String {
    switch value {
    case .field(let path): try field(path, allowsMaps: container == nil)
    case .resource(let other, let name, let divisor): try resource(name, of: other ?? container ?? "", divisor)
    }
  }

  private func field(_ path: String, allowsMaps: Bool) throws(DownwardError) -> String {
    switch path {
    case "metadata.name": return assignment.podName
    case "metadata.namespace": return assignment.namespace
    case "metadata.uid": return assignment.podUID
    case "spec.nodeName": return place.node
    case "spec.serviceAccountName": return assignment.spec.serviceAccountName
    case "status.hostIP", "status.podIP", "status.hostIPs", "status.podIPs": return place.address
    case "metadata.labels" where allowsMaps: return Self.lines(assignment.labels)
    case "metadata.annotations" where allowsMaps: return Self.lines(assignment.annotations)
    default: break
    }
    if let key = subscriptKey(path, "metadata.labels") { return assignment.labels[key] ?? "" }
    if let key = subscriptKey(path, "metadata.annotations") { return assignment.annotations[key] ?? "" }
    throw DownwardError(message: "unsupported fieldPath: \(path)")
  }

  /// `metadata.labels['a']` → `a`.
  private func subscriptKey(_ path: String, _ field: String) -> String? {
    let (opening, closing) = ("\(field)['", "']")
    guard path.hasPrefix(opening), path.hasSuffix(closing), path.utf8.count > opening.utf8.count + closing.utf8.count
    else { return nil }
    return String(path.dropFirst(opening.count).dropLast(closing.count))
  }

  /// kubelet's FormatMap.
  private static func lines(_ map: StringMap) -> String {
    map.map { "\($0.key)=\(quoted($0.value))" }.joined(separator: "\n")
  }

  /// The text as Go's %q prints it.
  package static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{7}": result += "\\a"
      case "\u{8}": result += "\\b"
      case "\u{B}": result += "\\v"
      case "\u{C}": result += "\\f"
      default:
        if isPrintable(scalar) { result.unicodeScalars.append(scalar) } else { result += escape(scalar.value) }
      }
    }
    return result + "\""
  }

  /// Go's unicode.IsPrint: of the spaces only the ASCII one.
  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: scalar == " "
    default: true
    }
  }

  private static func escape(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    func padded(_ length: Int) -> String { String(repeating: "0", count: max(0, length - digits.count)) + digits }
    if value < 0x80 { return "\\x" + padded(2) }
    return value < 0x10000 ? "\\u" + padded(4) : "\\U" + padded(8)
  }

  /// `limits.cpu` and the like in whole units of the divisor, rounded up. A missing limit means what the node has; a
  /// missing request, 0.
  private func resource(_ path: String, of target: String, _ divisor: String?) throws(DownwardError) -> String {
    guard let found = tree(of: target) else { throw DownwardError(message: "container \(target) not found") }
    let unsupported = DownwardError(message: "unsupported container resource : \(path)")
    let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
    guard parts.count == 2, parts[0] == "limits" || parts[0] == "requests" else { throw unsupported }
    let given = found[path: ["resources", parts[0], parts[1]]]
    let text = given.map { $0.stringValue ?? $0.text }
    let isLimit = parts[0] == "limits"
    let amount: Int64
    let unit: Int64
    switch parts[1] {
    case "cpu":
      amount = text.flatMap { Quantity.parseMillis($0) } ?? (isLimit ? place.capacity.cpuMillicores : 0)
      unit = divisor.flatMap { Quantity.parseMillis($0) } ?? 1000
    case "memory":
      amount = text.flatMap { Quantity.parseBytes($0) } ?? (isLimit ? place.capacity.memoryBytes : 0)
      unit = divisor.flatMap { Quantity.parseBytes($0) } ?? 1
    case "ephemeral-storage":
      amount = text.flatMap { Quantity.parseBytes($0) } ?? (isLimit ? place.capacity.storageBytes ?? 0 : 0)
      unit = divisor.flatMap { Quantity.parseBytes($0) } ?? 1
    default: throw unsupported
    }
    let step = max(1, unit == 0 ? (parts[1] == "cpu" ? 1000 : 1) : unit)
    let whole = max(0, amount)
    return String(whole / step + (whole % step == 0 ? 0 : 1))
  }

  private func tree(of container: String) -> JSON? {
    for member in ["containers", "initContainers"] {
      let all = assignment.spec.json[member]?.arrayValue ?? []
      if let found = all.first(where: { $0["name"]?.stringValue == container }) { return found }
    }
    return nil
  }
}
