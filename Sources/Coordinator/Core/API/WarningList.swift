// Warnings of one answer, bounded as Kubernetes bounds them, so that a client's HTTP library takes their headers. Knows
// nothing of what they are about.

import ClusterProto

enum WarningList {
  /// Characters of all warnings; above it each is cut.
  static let totalRunes = 4 * 1024
  /// Characters of each warning then.
  static let itemRunes = 256
  /// Headers: some clients read 100 of all kinds.
  static let countLimit = 88

  /// Each text once. Kubernetes leaves out silently what finds no room; here the last one tells how many they were.
  static func bounded(_ texts: [String]) -> [String] {
    var seen: Set<String> = []
    let all = texts.filter { !$0.isEmpty && seen.insert($0).inserted }
    let isWhole = all.count <= countLimit && all.reduce(0) { $0 + $1.unicodeScalars.count } <= totalRunes
    if isWhole { return all }
    var result: [String] = []
    var written = 0
    for text in all where written < totalRunes && result.count < countLimit {
      var cut = String.UnicodeScalarView()
      cut.append(contentsOf: text.unicodeScalars.prefix(itemRunes))
      written += cut.count
      result.append(String(cut))
    }
    let omitted = all.count - result.count
    return omitted > 0 ? result + ["\(omitted) more warnings are not shown"] : result
  }
}
