// Reads a container's log for `logs`: which lines, with or without stamps, and what was added since. Knows nothing of connections.

import ClusterIO
import ClusterProto
import Glibc

/// Reads one container's log of one attempt in pieces; `next` gives what is there now, so following is calling it again.
final class LogReader {
  private let request: LogRequest
  private let directory: String
  private var restart: Int64
  private var offset: Int64 = 0
  private var inode: UInt64 = 0
  private var rotatedFirst: Bool
  private var remaining: Int64
  private var leftover: [UInt8] = []
  private var since: WallTime?
  private(set) var isLimited = false

  /// Throws the message for the client when there is no such log.
  init(_ request: LogRequest, paths: NodePaths, now: WallTime) throws(LogError) {
    self.request = request
    directory = paths.logs(request.attempt, container: request.container)
    let restarts = Self.restarts(in: directory)
    if request.previous {
      guard restarts.count > 1 else {
        throw LogError(message: "previous terminated container \"\(request.container)\" not found")
      }
      restart = restarts[restarts.count - 2]
    } else {
      restart = restarts.last ?? 0
    }
    remaining = request.limitBytes ?? Int64.max
    if let seconds = request.sinceSeconds {
      since = WallTime(nanoseconds: now.nanoseconds - seconds * 1_000_000_000)
    } else {
      since = request.sinceTime
    }
    rotatedFirst = Files.exists("\(directory)/\(restart).log.1")
    if let tail = request.tailLines { skipToTail(tail) }
  }

  /// The restart numbers that have a log, rising.
  static func restarts(in directory: String) -> [Int64] {
    let names = (try? Files.list(directory)) ?? []
    return names.compactMap { $0.hasSuffix(".log") ? Int64($0.dropLast(4)) : nil }.sorted()
  }

  /// Up to about 64 KiB of whole lines; empty: nothing more for now. A log rotated while it is followed continues with the new file.
  func next() -> [UInt8] {
    guard remaining > 0 else {
      isLimited = true
      return []
    }
    let raw = readRaw()
    guard !raw.isEmpty else { return [] }
    leftover.append(contentsOf: raw)
    guard let end = leftover.lastIndex(of: 10) else { return [] }
    var output: [UInt8] = []
    for line in leftover[...end].split(separator: 10, omittingEmptySubsequences: false).dropLast() {
      append(line, to: &output)
    }
    leftover.removeSubrange(...end)
    if Int64(output.count) >= remaining {
      output.removeLast(output.count - Int(remaining))
      isLimited = true
    }
    remaining -= Int64(output.count)
    return output.isEmpty && !isLimited ? next() : output
  }

  private func append(_ line: ArraySlice<UInt8>, to output: inout [UInt8]) {
    let space = line.firstIndex(of: 32) ?? line.startIndex
    if let since {
      let stamp = WallTime(rfc3339: String(decoding: line[..<space], as: UTF8.self))
      if let stamp, stamp < since { return }
    }
    output.append(contentsOf: request.timestamps || space == line.startIndex ? line : line[(space + 1)...])
    output.append(10)
  }

  /// Reads the next bytes of the rotated file first, then of the current one; notices rotation by the inode.
  private func readRaw() -> [UInt8] {
    let current = "\(directory)/\(restart).log"
    let path = rotatedFirst ? current + ".1" : current
    guard let status = try? Files.status(path) else { return [] }
    if !rotatedFirst, inode != 0, status.inode != inode {
      // The file that was being read has been rotated out: finish it, then go on with the new one.
      rotatedFirst = true
      return readRaw()
    }
    let bytes = Self.read(path, from: offset, limit: 64 << 10)
    offset += Int64(bytes.count)
    if !rotatedFirst { inode = status.inode }
    if bytes.isEmpty, rotatedFirst {
      rotatedFirst = false
      offset = 0
      inode = 0
      return readRaw()
    }
    return bytes
  }

  private func skipToTail(_ lines: Int64) {
    guard lines > 0 else {
      rotatedFirst = false
      offset = (try? Files.status("\(directory)/\(restart).log"))?.size ?? 0
      return
    }
    let paths = rotatedFirst ? ["\(directory)/\(restart).log.1", "\(directory)/\(restart).log"] : ["\(directory)/\(restart).log"]
    var wanted = lines
    for (position, path) in paths.enumerated().reversed() {
      let (start, found) = Self.tailStart(path, lines: wanted)
      wanted -= found
      if wanted <= 0 || position == 0 {
        offset = start
        rotatedFirst = rotatedFirst && position == 0
        return
      }
    }
  }

  /// Where the last `lines` lines of a file begin, reading backwards, and how many it has of them.
  private static func tailStart(_ path: String, lines: Int64) -> (start: Int64, found: Int64) {
    guard let size = (try? Files.status(path))?.size else { return (0, 0) }
    var end = size
    var found: Int64 = 0
    while end > 0 {
      let start = max(0, end - (64 << 10))
      let block = read(path, from: start, limit: Int(end - start))
      for (index, byte) in block.enumerated().reversed() where byte == 10 && start + Int64(index) != size - 1 {
        found += 1
        if found == lines { return (start + Int64(index) + 1, lines) }
      }
      end = start
    }
    return (0, size > 0 ? found + 1 : 0)
  }

  private static func read(_ path: String, from offset: Int64, limit: Int) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    return [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      count = max(0, pread(descriptor, buffer.baseAddress, limit, off_t(offset)))
    }
  }
}

/// Why a log cannot be read, in the words for the client.
struct LogError: Error, Equatable {
  var message: String
}
