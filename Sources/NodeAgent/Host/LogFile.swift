// One container run's log on disk: what came from the pipe, capped and rotated once. The keeper's log thread writes,
// the agent reads. A full disk costs bytes and says so with a note; it never breaks the pod.

import ClusterIO
import ClusterProto
import Glibc

/// The files of one run. Everything here may wait for the disk: never on a loop.
package final class LogFile {
  /// Bytes of logs kept for a container: the file that is written and the one rotated out have half of it each.
  package static let usualLimit: Int64 = 10 << 20
  /// A rotation waits for a reader until the file has this many times its usual size.
  static let heldTimes: Int64 = 8
  /// A rotation waits for the end of a line this long.
  private static let lineSlack: Int64 = 1 << 20

  private let directory: String
  private let path: String
  private let rotationSize: Int64
  private var file: AppendFile?
  /// The rest of a record that a full disk cut: it goes first, so that the file can always be read.
  private var unfinished: [UInt8] = []
  private var dropped: Int64 = 0
  private var why = ""
  /// Bytes of output written so far.
  private var offset: Int64 = 0
  private var endsLine = true

  /// `directory` is the container's; it is made with the first byte, so that a container that never restarts and says
  /// nothing leaves nothing. A later run's file is made by `begin`.
  init(directory: String, restart: Int64, limit: Int64 = LogFile.usualLimit) {
    self.directory = directory
    rotationSize = max(1, limit / 2)
    path = "\(directory)/\(restart).log"
  }

  /// For runs after the first: makes the file at once (it tells the reader which run is the latest) and removes the log
  /// of the run before the previous one, as kubelet keeps the previous one only.
  static func begin(directory: String, restart: Int64) {
    guard restart > 0 else { return }
    for old in ["\(directory)/\(restart - 2).log", "\(directory)/\(restart - 2).log.1"] { unlink(old) }
    try? LogFile(directory: directory, restart: restart).openFile()
  }

  /// Writes records; what the disk does not take is counted and noted later.
  func write(_ batch: LogBatch) {
    do throws(IOError) {
      try openFile()
      try finishRecord()
      if let size = file?.size, size > rotationSize, endsLine || size > rotationSize + Self.lineSlack {
        try rotate(size)
      }
      if dropped > 0 { try writeNote() }
    } catch {
      lose(batch.payload, error)
      return
    }
    put(batch)
  }

  /// Bytes that never came here, because the disk held up those before.
  func lose(_ count: Int64, _ reason: String) {
    dropped += count
    why = reason
  }

  /// Writes what is still owed, as far as the disk takes it, and closes the file. False: something is still owed, and
  /// it may be closed again.
  @discardableResult
  func close() -> Bool {
    if isOwing { write(LogBatch()) }
    file?.close()
    file = nil
    return !isOwing
  }

  private var isOwing: Bool { dropped > 0 || !unfinished.isEmpty }

  private func lose(_ count: Int64, _ error: IOError) {
    lose(count, error.code == ENOSPC || error.code == EDQUOT ? "no space left on the node" : error.message)
  }

  private func put(_ batch: LogBatch) {
    guard !batch.isEmpty else { return }
    let before = file?.size ?? 0
    do throws(IOError) {
      try file?.append(batch.bytes)
      offset += batch.payload
      endsLine = batch.endsLine
    } catch {
      let kept = keep(batch, written: Int((file?.size ?? before) - before))
      offset += kept
      lose(batch.payload - kept, error)
    }
  }

  /// After a write that took only part of a batch: the record that it cut is finished later. Gives the output bytes
  /// that are, or will be, in the file.
  private func keep(_ batch: LogBatch, written: Int) -> Int64 {
    var position = 0
    var payload: Int64 = 0
    while position < written {
      let head = batch.bytes[position..<min(batch.bytes.count, position + LogFormat.recordBytes)]
      guard let record = LogFormat.record(head) else { break }
      position += LogFormat.recordBytes + record.length
      if record.kind == .data { payload += Int64(record.length) }
    }
    unfinished = Array(batch.bytes[min(written, position)..<position])
    return payload
  }

  private func finishRecord() throws(IOError) {
    guard !unfinished.isEmpty else { return }
    let before = file?.size ?? 0
    do throws(IOError) {
      try file?.append(unfinished)
      unfinished = []
    } catch {
      unfinished.removeFirst(Int(max(0, (file?.size ?? before) - before)))
      throw error
    }
  }

  private func writeNote() throws(IOError) {
    let lost = dropped
    var note = LogBatch()
    note.add(note: "[stint: \(lost) bytes of log dropped: \(why)]", wall: Clocks.now().wall)
    let before = file?.size ?? 0
    defer { if dropped == 0 { HostLog.line("keeper: \(lost) bytes of log dropped in \(path): \(why)") } }
    do throws(IOError) {
      try file?.append(note.bytes)
      dropped = 0
    } catch {
      let written = Int((file?.size ?? before) - before)
      if written > 0 {
        unfinished = Array(note.bytes.dropFirst(written))
        dropped = 0
      }
      throw error
    }
  }

  private func openFile() throws(IOError) {
    guard file == nil else { return }
    try makeDirectory()
    let opened = try AppendFile(path: path)
    if opened.size == 0 { try opened.append(LogFormat.head(offset: offset)) }
    file = opened
  }

  /// Up to DATA/logs. The data directory itself is not made anew: where it is not, it was moved away, and what would be
  /// made in its place would be nobody's.
  private func makeDirectory() throws(IOError) {
    do throws(IOError) {
      try Files.makeDirectory(directory, intermediate: false)
    } catch {
      guard error.code == ENOENT else { throw error }
      let attempt = Files.split(directory).parent
      for path in [Files.split(attempt).parent, attempt, directory] {
        try Files.makeDirectory(path, intermediate: false)
      }
    }
  }

  /// The file becomes the one before, whose bytes are gone then: not while somebody reads those, within a bound.
  private func rotate(_ size: Int64) throws(IOError) {
    if size <= rotationSize * Self.heldTimes, isRead(path + ".1") { return }
    file?.close()
    file = nil
    guard rename(path, path + ".1") == 0 else { throw IOError.last("rename", path) }
    try openFile()
  }

  /// Readers hold a shared lock on the file that they are in.
  private func isRead(_ path: String) -> Bool {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { Glibc.close(descriptor) }
    return flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
  }
}
