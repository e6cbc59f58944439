// Owns: the items of `stint run --array` and `--each`: numbers or lines become one item an index. It must not know
// where the text comes from, nor how a pod gets at its item.

import ClusterProto

/// What each index of a Job works on.
enum RunItems: Equatable {
  /// Index i has the item `first + i * step`.
  case numbers(first: Int64, step: Int64, count: Int64)
  /// Index i has the i-th line.
  case lines([String])

  /// More indexes no Job has, as in Kubernetes.
  static let limit: Int64 = 100_000
  /// A program's argument may have 128 KiB, and a word has more than its item.
  static let lineLimit = 100_000
  /// All that a ConfigMap holds, as in Kubernetes.
  static let mapLimit = 1 << 20
  /// A pod reads no more lines than this to find its own.
  static let blockLength = 1_000

  /// What is wrong with a text.
  struct Problem: Error, Equatable { let text: String }

  var count: Int64 {
    switch self {
    case .numbers(_, _, let count): count
    case .lines(let lines): Int64(lines.count)
    }
  }

  /// Reads `1-100`, `0-90:10`, or a list of such and of single numbers.
  init(array text: String) throws(Problem) {
    var parts: [(first: Int64, step: Int64, count: Int64)] = []
    var total: Int64 = 0
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let one = try Self.range(part, of: text)
      total += one.count
      guard total <= Self.limit else {
        throw Problem(text: "\"\(text)\" are more than \(Self.limit) items, and a Job has no more indexes")
      }
      parts.append(one)
    }
    if parts.count == 1 {
      self = .numbers(first: parts[0].first, step: parts[0].step, count: parts[0].count)
    } else {
      self = .lines(try Self.numbers(of: parts, text))
    }
  }

  private static func numbers(
    of parts: [(first: Int64, step: Int64, count: Int64)], _ text: String
  ) throws(Problem) -> [String] {
    var seen: Set<Int64> = []
    var lines: [String] = []
    for part in parts {
      for position in 0..<part.count {
        let number = part.first + position * part.step
        guard seen.insert(number).inserted else { throw Problem(text: "\(number) stands twice in \"\(text)\"") }
        lines.append("\(number)")
      }
    }
    return lines
  }

  private static func range(
    _ part: Substring, of text: String
  ) throws(Problem) -> (first: Int64, step: Int64, count: Int64) {
    let sides = part.split(separator: ":", omittingEmptySubsequences: false)
    let ends = (sides.first ?? "").split(separator: "-", omittingEmptySubsequences: false)
    guard sides.count <= 2, ends.count <= 2, let first = number(ends.first), let last = number(ends.last),
      let step = sides.count == 2 ? number(sides[1]) : 1
    else { throw Problem(text: "\"\(text)\" is not like 1-100, 0-90:10 or 1,4,7-9") }
    guard step > 0 else { throw Problem(text: "the step of \"\(part)\" is 0") }
    guard first <= last else { throw Problem(text: "\"\(part)\" ends before it begins") }
    // The difference of two numbers from 0 on always fits.
    let (count, isTooLarge) = ((last - first) / step).addingReportingOverflow(1)
    return (first, step, isTooLarge ? limit + 1 : min(count, limit + 1))
  }

  private static func number(_ text: Substring?) -> Int64? {
    guard let text, !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int64(text)
  }

  /// The lines of a file; empty ones are left out. `file` names it in errors.
  init(lines bytes: [UInt8], of file: String) throws(Problem) {
    var lines: [String] = []
    for (position, part) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
      let line = part.last == 0x0D ? part.dropLast() : part
      if line.isEmpty { continue }
      let place = "line \(position + 1) of \(file)"
      if line.contains(0) { throw Problem(text: "\(place) has a NUL byte, which no argument can have") }
      if line.count > Self.lineLimit {
        throw Problem(text: "\(place) has \(line.count) bytes; an item has at most \(Self.lineLimit)")
      }
      guard let text = String(validating: line, as: UTF8.self) else {
        throw Problem(text: "\(place) is not UTF-8")
      }
      lines.append(text)
      if Int64(lines.count) > Self.limit {
        throw Problem(text: "\(file) has more than \(Self.limit) lines, and a Job has no more indexes")
      }
    }
    if lines.isEmpty { throw Problem(text: "\(file) has no lines") }
    let size = lines.reduce(0) { $0 + $1.utf8.count + 1 }
    if size > Self.mapLimit {
      throw Problem(
        text: "the lines of \(file) are \(size) bytes, and the ConfigMap that brings them to the pods holds "
          + "\(Self.mapLimit) (1 MiB): split the file, or put it where all nodes can read it and give each pod a "
          + "line's number with --array 1-\(lines.count)")
    }
    self = .lines(lines)
  }

  /// The data of the ConfigMap that holds the lines: `items-0` has the first thousand, `items-1` the next.
  var blocks: [(key: String, value: String)] {
    guard case .lines(let lines) = self else { return [] }
    return stride(from: 0, to: lines.count, by: Self.blockLength).map { start in
      let block = lines[start..<min(start + Self.blockLength, lines.count)]
      return ("items-\(start / Self.blockLength)", block.joined(separator: "\n") + "\n")
    }
  }
}
