// Reads a container's log for `logs`: which lines, with or without stamps, and what was added since. Knows nothing of
// connections.

import ClusterIO
import ClusterProto
import Glibc

/// Reads one run of one container in pieces; `next` gives what is there now, so following is calling it again.
/// The open file stays the same through a rotation, so no line is lost or read twice by a reader that keeps up.
final class LogReader {
  private static let block = 64 << 10

  /// The run that is read: as restartCount counts.
  let restart: Int64
  private let request: LogRequest
  private let current: String
  private let rotated: String
  private var descriptor: Int32 = -1
  private var inode: UInt64 = 0
  private var remaining: Int64
  private var leftover: [UInt8] = []
  private var since: WallTime?
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
    current = "\(directory)/\(restart).log"
    rotated = current + ".1"
    remaining = max(0, request.limitBytes ?? Int64.max)
    if let seconds = request.sinceSeconds {
      let (span, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
      since = overflow || span == .min ? nil : now.adding(milliseconds: -span)
    } else {
      since = request.sinceTime
    }
    open(rotated)
    if let tail = request.tailLines { skipToTail(max(0, tail)) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The newest run that has a log file; runs after the first one always have.
  static func latestRun(in directory: String) -> Int64 {
    let names = (try? Files.list(directory)) ?? []
    return names.compactMap { $0.hasSuffix(".log") ? Int64($0.dropLast(4)) : nil }.max() ?? 0
  }

  /// Up to about 64 KiB of whole lines; empty: nothing more for now.
  func next() -> [UInt8] {
    var output: [UInt8] = []
    while output.isEmpty, !isLimited {
      guard remaining > 0 else {
        isLimited = true
        return []
      }
      let raw = readRaw()
      if raw.isEmpty { return [] }
      leftover.append(contentsOf: raw)
      guard let end = leftover.lastIndex(of: 10) else { continue }
      for line in leftover[...end].split(separator: 10, omittingEmptySubsequences: false).dropLast() {
        append(line, to: &output)
      }
      leftover.removeSubrange(...end)
      if Int64(output.count) >= remaining {
        output.removeLast(output.count - Int(remaining))
        isLimited = true
      }
      remaining -= Int64(output.count)
    }
    return output
  }

  private func append(_ line: ArraySlice<UInt8>, to output: inout [UInt8]) {
    guard let space = line.firstIndex(of: 32) else {
      // Not of our making: the rest of a line that a full disk tore.
      output.append(contentsOf: line)
      output.append(10)
      return
    }
    if let since {
      let stamp = WallTime(rfc3339: String(decoding: line[..<space], as: UTF8.self))
      if let stamp, stamp < since { return }
    }
    output.append(contentsOf: request.timestamps ? line : line[(space + 1)...])
    output.append(10)
  }

  /// The next bytes: of the open file, then of the one after it. The order of files is: rotated, current.
  private func readRaw() -> [UInt8] {
    while true {
      if descriptor >= 0 {
        let bytes = readOpen()
        if !bytes.isEmpty { return bytes }
        if status(current) == inode { return [] }
        // It is rotated out: what was written before that is read, then the next one follows.
        let rest = readOpen()
        if !rest.isEmpty { return rest }
      }
      let isOldest = descriptor < 0 || status(rotated) != inode
      if !(isOldest && open(rotated)) && !open(current) { return [] }
    }
  }

  private func status(_ path: String) -> UInt64? { (try? Files.status(path))?.inode }

  @discardableResult
  private func open(_ path: String) -> Bool {
    let opened = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return false }
    var facts = stat()
    fstat(opened, &facts)
    if descriptor >= 0 { close(descriptor) }
    descriptor = opened
    inode = UInt64(facts.st_ino)
    return true
  }

  private func readOpen() -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.block) { buffer, count in
      count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
    }
  }

  /// Leaves the open file where the last `lines` lines begin.
  private func skipToTail(_ lines: Int64) {
    let hasRotated = descriptor >= 0
    guard open(current) else {
      if hasRotated { lseek(descriptor, Self.tailStart(descriptor, lines: lines).start, SEEK_SET) }
      return
    }
    let (start, found) = Self.tailStart(descriptor, lines: lines)
    if found < lines, hasRotated, open(rotated) {
      lseek(descriptor, Self.tailStart(descriptor, lines: lines - found).start, SEEK_SET)
    } else {
      lseek(descriptor, start, SEEK_SET)
    }
  }

  /// Where the last `lines` lines of a file begin, reading backwards, and how many it has of them.
  private static func tailStart(_ descriptor: Int32, lines: Int64) -> (start: off_t, found: Int64) {
    let size = lseek(descriptor, 0, SEEK_END)
    guard lines > 0, size > 0 else { return (max(0, size), 0) }
    var end = size
    var found: Int64 = 0
    while end > 0 {
      let start = max(0, end - block)
      let bytes = [UInt8](unsafeUninitializedCapacity: end - start) { buffer, count in
        count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, off_t(start)))
      }
      for (index, byte) in bytes.enumerated().reversed() where byte == 10 && start + index != size - 1 {
        found += 1
        if found == lines { return (off_t(start + index + 1), lines) }
      }
      end = start
    }
    return (0, found + 1)
  }
}

/// Why a log cannot be read, in the words for the client.
struct LogError: Error, Equatable {
  var message: String
}
