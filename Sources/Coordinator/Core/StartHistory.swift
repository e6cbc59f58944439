// The marks of this cluster's starts (C4): a copy of the store that is served repeats incarnations, but not their
// marks. It must not know who has seen which; that is Registration's.

import ClusterProto

/// The random mark of each start, back to the beginning of the epoch or as far as they are kept.
struct StartHistory: Equatable, Sendable {
  static let fact = "marks"
  /// A copy is told from the newest store for so many starts after they parted.
  static let limit = 1_024

  private var first: Int64 = 1
  private var marks: [String] = []

  init() {}

  /// As a row has it.
  init(json: JSON) {
    first = json["first"]?.intValue ?? 1
    marks = (json["marks"]?.arrayValue ?? []).map { $0.stringValue ?? "" }
  }

  var json: JSON { ["first": .int(first), "marks": .strings(marks)] }

  /// Enters a start. One without a mark (of a version that had none) is told from no other.
  mutating func begin(_ incarnation: Int64, mark: String) {
    let (next, isWrong) = first.addingReportingOverflow(Int64(marks.count))
    let (gap, isFar) = incarnation.subtractingReportingOverflow(next)
    if marks.isEmpty || isWrong || isFar || gap < 0 || gap > Int64(Self.limit) {
      first = incarnation
      marks = []
    } else {
      marks += Array(repeating: "", count: Int(gap))
    }
    marks.append(mark)
    let excess = max(0, marks.count - Self.limit)
    marks.removeFirst(excess)
    first += Int64(excess)
  }

  /// Whether that start was one of another history. False where either side has no mark of it.
  func contradicts(_ incarnation: Int64, mark: String) -> Bool {
    let (place, isFar) = incarnation.subtractingReportingOverflow(first)
    guard !mark.isEmpty, !isFar, place >= 0, place < Int64(marks.count) else { return false }
    let own = marks[Int(place)]
    return !own.isEmpty && own != mark
  }
}
