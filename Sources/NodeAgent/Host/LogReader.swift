// Reads a container's log for `logs`: which lines, with or without stamps, and what was added since. Byte for byte what
// the container wrote; a line of ours stands where some of it is gone. Knows nothing of connections.

import ClusterIO
import ClusterProto
import Glibc

/// Why a log cannot be read, in the words for the client.
struct LogError: Error, Equatable {
  var message: String
}

/// Reads one run of one container in pieces; `next` gives what is there now, so following is calling it again. Its lock
/// on the file that it is in holds back the rotation that would take the next one away.
final class LogReader {
  private static let pieceLimit = 64 << 10

  /// The run that is read: as restartCount counts.
  let restart: Int64
  private let request: LogRequest
  private var source: LogSource
  private var remaining: Int64
  private var since: WallTime?
  /// Lines that `tailLines` leaves out, at the beginning.
  private var linesToSkip: Int64 = 0
  private var isLineStart = true
  /// The present line is not shown.
  private var isSkipping = false
  /// The output so far ends in the middle of a line.
  private var isMidLine = false
  /// What is to be told before the next bytes.
  private var gone: Int64 = 0
  /// `limitBytes` is used up.
  private(set) var isLimited = false

  /// Throws the message for the client when there is no such log.
  init(_ request: LogRequest, paths: NodePaths, now: WallTime) throws(LogError) {
    self.request = request
    let directory = paths.logs(request.attempt, container: request.container)
    let latest = Self.latestRun(in: directory)
    if request.previous, latest < 1 {
      throw LogError(message: "previous terminated container \"\(request.container)\" not found")
    }
    restart = request.previous ? latest - 1 : latest
    let path = "\(directory)/\(restart).log"
    remaining = max(0, request.limitBytes ?? Int64.max)
    if let seconds = request.sinceSeconds {
      let (span, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
      since = overflow || span == .min ? nil : now.adding(milliseconds: -span)
    } else {
      since = request.sinceTime
    }
    if let tail = request.tailLines {
      var counted = LogSource(path: path)
      linesToSkip = max(0, Self.countLines(&counted) - max(0, tail))
    }
    source = LogSource(path: path)
  }

  /// The newest run that has a log file; runs after the first one always have.
  static func latestRun(in directory: String) -> Int64 {
    let names = (try? Files.list(directory)) ?? []
    return names.compactMap { $0.hasSuffix(".log") ? Int64($0.dropLast(4)) : nil }.max() ?? 0
  }

  /// Passes over what is there, the beginning of a line too.
  func skip() {
    while let piece = source.next() {
      if case .data(let bytes, _) = piece { isLineStart = bytes.last == 10 }
    }
  }

  /// About 64 KiB at most; empty: nothing more for now.
  func next() -> [UInt8] {
    var output: [UInt8] = []
    while output.count < Self.pieceLimit, !isLimited {
      guard remaining > 0 else {
        isLimited = true
        break
      }
      guard let piece = source.next() else { break }
      let before = output.count
      switch piece {
      case .gone(let count): gone += count
      case .note(let text, let wall): append(note: text, wall, to: &output)
      case .data(let bytes, let wall):
        tellGone(wall, to: &output)
        append(bytes, wall, to: &output)
      }
      let added = Int64(output.count - before)
      if added >= remaining {
        output.removeLast(Int(added - remaining))
        isLimited = true
      }
      remaining -= min(added, remaining)
    }
    return output
  }

  /// A mark where bytes are missing that the request asked for.
  private func tellGone(_ wall: WallTime, to output: inout [UInt8]) {
    guard gone > 0 else { return }
    let text = "[stint: \(gone) bytes of this log are gone: they were rotated out at the node's limit]"
    gone = 0
    append(note: text, wall, to: &output)
  }

  /// A line of ours; what follows is a line of its own.
  private func append(note: String, _ wall: WallTime, to output: inout [UInt8]) {
    isLineStart = true
    guard linesToSkip == 0, since.map({ wall >= $0 }) ?? true else { return }
    if isMidLine { output.append(10) }
    if request.timestamps { output += Self.stamp(wall) }
    output += Array(note.utf8) + [10]
    isMidLine = false
  }

  private func append(_ bytes: ArraySlice<UInt8>, _ wall: WallTime, to output: inout [UInt8]) {
    var rest = bytes
    while !rest.isEmpty {
      if isLineStart { beginLine(wall, to: &output) }
      // Nothing to look for: all at once.
      let isPlain = linesToSkip == 0 && since == nil && !request.timestamps && !isSkipping
      let end = isPlain ? rest.endIndex : Self.lineEnd(rest)
      if !isSkipping {
        output.append(contentsOf: rest[..<end])
        isMidLine = rest[end - 1] != 10
      }
      isLineStart = rest[end - 1] == 10
      if isLineStart, linesToSkip > 0 { linesToSkip -= 1 }
      rest = rest[end...]
    }
  }

  private func beginLine(_ wall: WallTime, to output: inout [UInt8]) {
    isLineStart = false
    isSkipping = linesToSkip > 0
    if !isSkipping, let limit = since {
      isSkipping = wall < limit
      // Later lines are later.
      if !isSkipping { since = nil }
    }
    if !isSkipping, request.timestamps { output += Self.stamp(wall) }
  }

  private static func stamp(_ wall: WallTime) -> [UInt8] { Array("\(wall.rfc3339Nano) ".utf8) }

  /// Behind the first end of a line; the end of the bytes when there is none.
  private static func lineEnd(_ bytes: ArraySlice<UInt8>) -> Int {
    bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress, let found = memchr(base, 10, buffer.count) else { return bytes.endIndex }
      return bytes.startIndex + (UnsafeRawPointer(found) - base) + 1
    }
  }

  private static func countLines(_ source: inout LogSource) -> Int64 {
    var count: Int64 = 0
    var isMidLine = false
    while let piece = source.next() {
      guard case .data(let bytes, _) = piece else { continue }
      var rest = bytes
      while !rest.isEmpty {
        let end = lineEnd(rest)
        isMidLine = rest[end - 1] != 10
        if !isMidLine { count += 1 }
        rest = rest[end...]
      }
    }
    return isMidLine ? count + 1 : count
  }
}
