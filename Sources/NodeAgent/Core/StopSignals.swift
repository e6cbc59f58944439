// Signals by the names that images and manifests write: with or without SIG, or a number. Linux' own numbers.

/// Signals that ask a container to end.
enum StopSignals {
  private static let names = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
  ]
  private static let realTime: (first: Int32, last: Int32) = (34, 64)

  /// The number; nil: there is no such signal.
  static func number(_ text: String) -> Int32? {
    if let number = Int32(text) { return (1...realTime.last).contains(number) ? number : nil }
    var name = text.uppercased()
    if name.hasPrefix("SIG") { name.removeFirst(3) }
    if let index = names.firstIndex(of: name) { return Int32(index + 1) }
    func offset(_ prefix: String, _ sign: Character) -> Int32? {
      guard name.hasPrefix(prefix) else { return nil }
      let rest = name.dropFirst(prefix.count)
      if rest.isEmpty { return 0 }
      return rest.first == sign ? Int32(rest.dropFirst()) : nil
    }
    let number =
      offset("RTMIN", "+").map { realTime.first.addingReportingOverflow($0).partialValue }
      ?? offset("RTMAX", "-").map { realTime.last.subtractingReportingOverflow($0).partialValue }
    return number.flatMap { (realTime.first...realTime.last).contains($0) ? $0 : nil }
  }
}
