// The files of one run's log, read one after the other as one stream of pieces: rotated, current, and what follows.
// Knows no lines and no requests.

import ClusterIO
import ClusterProto
import Glibc

/// Reads pieces until there are no more for now. Holds a shared lock on the file that it is in.
struct LogSource: ~Copyable {
  enum Piece {
    case data(ArraySlice<UInt8>, WallTime)
    /// A line of ours, without its end.
    case note(String, WallTime)
    /// So many bytes of output came between, and are on no disk any more.
    case gone(Int64)
  }

  private static let block = 128 << 10

  private let current: String
  private let rotated: String
  private var descriptor: Int32 = -1
  private var inode: UInt64 = 0
  private var buffer: [UInt8] = []
  private var position = 0
  /// The record that is being read, and how much of it is left.
  private var record: LogFormat.Record?
  private var left = 0
  private var note: [UInt8] = []
  private var hasHead = false
  /// Bytes of output before the next one.
  private var offset: Int64 = 0

  init(path: String) {
    current = path
    rotated = path + ".1"
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The next piece; nil: nothing more for now.
  mutating func next() -> Piece? {
    while true {
      if let piece = parse() { return piece }
      guard fill() else { return nil }
    }
  }

  /// A piece out of what is in the buffer; nil: more has to be read.
  private mutating func parse() -> Piece? {
    while true {
      let available = buffer.count - position
      if !hasHead {
        guard available >= LogFormat.headBytes else { return nil }
        hasHead = true
        // No head of ours: as if nothing were missing, and no record will be found either.
        let begins = LogFormat.offset(take(LogFormat.headBytes)) ?? offset
        if begins > offset {
          defer { offset = begins }
          return .gone(begins - offset)
        }
        continue
      }
      guard let record else {
        guard available >= LogFormat.recordBytes else { return nil }
        guard let next = LogFormat.record(take(LogFormat.recordBytes)) else {
          // Not of our making: the rest of this file says nothing.
          position = buffer.count
          return nil
        }
        self.record = next
        left = next.length
        continue
      }
      if left == 0 {
        self.record = nil
        continue
      }
      guard available > 0 else { return nil }
      let bytes = take(min(left, available))
      left -= bytes.count
      let wall = WallTime(nanoseconds: record.wall)
      switch record.kind {
      case .data:
        offset += Int64(bytes.count)
        return .data(bytes, wall)
      case .note:
        note += bytes
        guard left == 0 else { continue }
        defer { note = [] }
        return .note(String(decoding: note, as: UTF8.self), wall)
      }
    }
  }

  private mutating func take(_ count: Int) -> ArraySlice<UInt8> {
    defer { position += count }
    return buffer[position..<(position + count)]
  }

  /// Reads on: in the open file, then in the one after it. False: nothing more for now.
  private mutating func fill() -> Bool {
    while true {
      if descriptor >= 0 {
        if readOpen() { return true }
        if status(current) == inode { return false }
        // It is rotated out: what was written before that is read, then the next one follows.
        if readOpen() { return true }
      }
      let isOldest = descriptor < 0 || status(rotated) != inode
      if !(isOldest && open(rotated)) && !open(current) { return false }
    }
  }

  private func status(_ path: String) -> UInt64? { (try? Files.status(path))?.inode }

  private mutating func open(_ path: String) -> Bool {
    let opened = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard opened >= 0 else { return false }
    var facts = stat()
    guard fstat(opened, &facts) == 0, UInt64(facts.st_ino) != inode || descriptor < 0 else {
      close(opened)
      return false
    }
    // Taken by the keeper for a moment when it rotates: then this file is going, and is read all the same.
    flock(opened, LOCK_SH | LOCK_NB)
    if descriptor >= 0 { close(descriptor) }
    descriptor = opened
    inode = UInt64(facts.st_ino)
    // A record that the end of the former file cut is as long as what is there.
    record = nil
    left = 0
    note = []
    hasHead = false
    buffer = []
    position = 0
    return true
  }

  private mutating func readOpen() -> Bool {
    let rest = buffer[position...]
    let descriptor = descriptor
    var count = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: rest.count + Self.block) { room, used in
      for (index, byte) in rest.enumerated() { room[index] = byte }
      count = max(0, read(descriptor, room.baseAddress?.advanced(by: rest.count), Self.block))
      used = rest.count + count
    }
    buffer = bytes
    position = 0
    return count > 0
  }
}
