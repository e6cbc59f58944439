// Owns: whether a text is a duration as Go reads one, and Go's words for why not. It must not know what it is for.

import ClusterProto

enum GoDuration {
  private static let units: Set<String> = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"]

  /// nil for a duration such as `1h30m` or `-1.5s`.
  static func problem(_ text: String) -> String? {
    let quoted = JSON.string(text).text
    var rest = text[...]
    if let sign = rest.first, "+-".contains(sign) { rest.removeFirst() }
    if rest == "0" { return nil }
    if rest.isEmpty { return "time: invalid duration \(quoted)" }
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      guard number.contains(where: \.isNumber), number.filter({ $0 == "." }).count <= 1 else {
        return "time: invalid duration \(quoted)"
      }
      rest = rest[number.endIndex...]
      let unit = rest.prefix { $0 != "." && !($0.isASCII && $0.isNumber) }
      if unit.isEmpty { return "time: missing unit in duration \(quoted)" }
      if !units.contains(String(unit)) {
        return "time: unknown unit \(JSON.string(String(unit)).text) in duration \(quoted)"
      }
      rest = rest[unit.endIndex...]
    }
    return nil
  }
}
