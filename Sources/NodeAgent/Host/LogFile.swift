// One container run's log on disk: lines with a time stamp, capped and rotated once. The keeper writes, the agent
// reads. A full disk drops lines and says so with a marker; it never blocks or breaks the pod.

import ClusterIO
import ClusterProto
import Glibc

/// Appends what a container writes, a line at a time, as `TIME TEXT` (RFC 3339 with nanoseconds, as Kubernetes'
/// timestamps). A line without its end when the pipe closes or the line grows over `lineLimit` is written as it is,
/// with an end added.
final class LogFile {
  /// Half of the cap: the file that is written and the one rotated out hold it together.
  static let rotationSize: Int64 = 5 << 20
  static let lineLimit = 64 << 10

  private let directory: String
  private let path: String
  private let rotationSize: Int64
  private var file: AppendFile?
  private var partial: [UInt8] = []
  private var dropped: Int64 = 0
  /// A failed write left part of a line behind.
  private var isTorn = false

  /// `directory` is the container's; it is made with the first line, so that a container that never restarts and says
  /// nothing leaves nothing. A later run's file is made at once (it tells the reader which run is the latest), and the
  /// log of the run before the previous one goes, as kubelet keeps the previous one only.
  init(directory: String, restart: Int64, rotationSize: Int64 = LogFile.rotationSize) {
    self.directory = directory
    self.rotationSize = rotationSize
    path = "\(directory)/\(restart).log"
    guard restart > 0 else { return }
    for old in ["\(directory)/\(restart - 2).log", "\(directory)/\(restart - 2).log.1"] { unlink(old) }
    try? openFile()
  }

  /// Takes bytes from the pipe, stamped `wall` (nanoseconds since 1970).
  func append(_ bytes: ArraySlice<UInt8>, wall: Int64) {
    let stamp = Self.stamp(wall)
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count + partial.count + stamp.count * 4)
    var rest = bytes
    while let end = rest.firstIndex(of: 10) {
      output.append(contentsOf: stamp)
      output.append(contentsOf: partial)
      output.append(contentsOf: rest[...end])
      partial.removeAll(keepingCapacity: true)
      rest = rest[(end + 1)...]
    }
    partial.append(contentsOf: rest)
    if partial.count > Self.lineLimit { flushPartial(stamp, into: &output) }
    write(output, stamp)
  }

  /// Writes the last line if it has no end, and closes the file.
  func close(wall: Int64) {
    if !partial.isEmpty || dropped > 0 {
      let stamp = Self.stamp(wall)
      var output: [UInt8] = []
      if !partial.isEmpty { flushPartial(stamp, into: &output) }
      write(output, stamp)
    }
    file?.close()
    file = nil
  }

  private func flushPartial(_ stamp: [UInt8], into output: inout [UInt8]) {
    output.append(contentsOf: stamp)
    output.append(contentsOf: partial)
    output.append(10)
    partial.removeAll(keepingCapacity: true)
  }

  private static func stamp(_ wall: Int64) -> [UInt8] { Array("\(WallTime(nanoseconds: wall).rfc3339Nano) ".utf8) }

  private func write(_ output: [UInt8], _ stamp: [UInt8]) {
    guard !output.isEmpty || dropped > 0 else { return }
    do throws(IOError) {
      try openFile()
      if let size = file?.size, size > rotationSize { try rotate() }
      if dropped > 0 {
        let marker = "[stint: \(dropped) bytes of log dropped: no space left on the node]\n"
        try put((isTorn ? [10] : []) + stamp + Array(marker.utf8))
        isTorn = false
        dropped = 0
      }
    } catch {
      dropped += Int64(output.count)
      return
    }
    let before = file?.size ?? 0
    do throws(IOError) {
      try put(output)
    } catch {
      let kept = max(0, (file?.size ?? before) - before)
      isTorn = isTorn || kept > 0
      dropped += Int64(output.count) - kept
    }
  }

  private func put(_ bytes: [UInt8]) throws(IOError) {
    if !bytes.isEmpty { try file?.append(bytes) }
  }

  private func openFile() throws(IOError) {
    guard file == nil else { return }
    try Files.makeDirectory(directory)
    file = try AppendFile(path: path)
  }

  private func rotate() throws(IOError) {
    file?.close()
    file = nil
    guard rename(path, path + ".1") == 0 else { throw IOError.last("rename", path) }
    file = try AppendFile(path: path)
  }
}
