// One container run's log on disk: lines with a time stamp, capped and rotated once. The keeper writes, the agent reads.
// A full disk drops lines and says so with a marker; it never blocks or breaks the pod.

import ClusterIO
import ClusterProto
import Glibc

/// Appends what a container writes, a line at a time, as `TIME TEXT` (RFC 3339 with nanoseconds, as Kubernetes' timestamps).
/// A line without its end when the pipe closes or the line grows over `lineLimit` is written as it is, with an end added.
final class LogFile {
  /// Half of the cap: the file that is written and the one rotated out hold it together.
  static let rotationSize: Int64 = 5 << 20
  static let lineLimit = 64 << 10

  private let directory: String
  private let path: String
  private var file: AppendFile?
  private var partial: [UInt8] = []
  private var dropped: Int64 = 0
  private var stamp: [UInt8] = []
  private var stampSecond: Int64 = .min

  /// `directory` is the container's; it is made with the first line, so that silent containers leave nothing.
  init(directory: String, restart: Int64) {
    self.directory = directory
    path = "\(directory)/\(restart).log"
  }

  /// Takes bytes from the pipe, stamped `wall` (nanoseconds since 1970).
  func append(_ bytes: ArraySlice<UInt8>, wall: Int64) {
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count + 40)
    var rest = bytes
    while let end = rest.firstIndex(of: 10) {
      writeStamp(wall, into: &output)
      output.append(contentsOf: partial)
      output.append(contentsOf: rest[rest.startIndex...end])
      partial.removeAll(keepingCapacity: true)
      rest = rest[(end + 1)...]
    }
    partial.append(contentsOf: rest)
    if partial.count > Self.lineLimit { flushPartial(wall, into: &output) }
    write(output)
  }

  /// Writes the last line if it has no end, and closes the file.
  func close(wall: Int64) {
    var output: [UInt8] = []
    if !partial.isEmpty { flushPartial(wall, into: &output) }
    write(output)
    file?.close()
    file = nil
  }

  private func flushPartial(_ wall: Int64, into output: inout [UInt8]) {
    writeStamp(wall, into: &output)
    output.append(contentsOf: partial)
    output.append(10)
    partial.removeAll(keepingCapacity: true)
  }

  private func writeStamp(_ wall: Int64, into output: inout [UInt8]) {
    output.append(contentsOf: Array(WallTime(nanoseconds: wall).rfc3339Nano.utf8))
    output.append(32)
  }

  private func write(_ output: [UInt8]) {
    guard !output.isEmpty else { return }
    do {
      if file == nil {
        try Files.makeDirectory(directory)
        file = try AppendFile(path: path)
      }
      if let size = file?.size, size > Self.rotationSize { try rotate() }
      if dropped > 0 {
        var marker: [UInt8] = []
        writeStamp(Clocks.now().wall, into: &marker)
        try file?.append(marker + Array("[stint: \(dropped) bytes of log dropped: no space left on the node]\n".utf8))
        dropped = 0
      }
      try file?.append(output)
    } catch {
      dropped += Int64(output.count)
    }
  }

  private func rotate() throws(IOError) {
    file?.close()
    file = nil
    guard rename(path, path + ".1") == 0 else { throw IOError.last("rename", path) }
    file = try AppendFile(path: path)
  }
}
