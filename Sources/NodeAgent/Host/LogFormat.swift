// How a container's log lies on disk: a head with the place of the file in the whole log, then records of what came
// from the pipe at one time, byte for byte, and notes about what is missing. Knows no files and no requests.

import ClusterProto

/// A log file's parts. Numbers are little-endian.
enum LogFormat {
  /// The head of a file: `magic`, then how many bytes of the program's output lie in files before it.
  static let magic = Array("stintlg1".utf8)
  static let headBytes = 16
  /// A record's head: wall time in nanoseconds (8), length (4), kind (1), three zeros.
  static let recordBytes = 16

  enum Kind: UInt8 {
    /// What the program wrote.
    case data = 0
    /// A line of ours about bytes that were lost at this place.
    case note = 1
  }

  struct Record: Equatable {
    var wall: Int64
    var length: Int
    var kind: Kind
  }

  static func head(offset: Int64) -> [UInt8] { magic + bytes(UInt64(bitPattern: offset), 8) }

  /// The offset in a file's head; nil: this is no such file.
  static func offset(_ head: ArraySlice<UInt8>) -> Int64? {
    guard head.count == headBytes, head.starts(with: magic) else { return nil }
    return Int64(bitPattern: number(head.dropFirst(8)))
  }

  static func head(_ record: Record) -> [UInt8] {
    bytes(UInt64(bitPattern: record.wall), 8) + bytes(UInt64(record.length), 4) + [record.kind.rawValue, 0, 0, 0]
  }

  /// A record's head; nil when it is none.
  static func record(_ head: ArraySlice<UInt8>) -> Record? {
    guard head.count == recordBytes, let kind = Kind(rawValue: head[head.startIndex + 12]) else { return nil }
    return Record(
      wall: Int64(bitPattern: number(head.prefix(8))), length: Int(number(head.dropFirst(8).prefix(4))), kind: kind)
  }

  private static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (UInt64($0) * 8)) }
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// Records on their way to a file.
struct LogBatch: Sendable {
  private(set) var bytes: [UInt8] = []
  /// Bytes of the program's output in it.
  private(set) var payload: Int64 = 0
  /// The last record ends a line.
  private(set) var endsLine = true

  var isEmpty: Bool { bytes.isEmpty }

  mutating func add(_ data: UnsafeRawBufferPointer, wall: Int64) {
    guard let last = data.last else { return }
    bytes += LogFormat.head(LogFormat.Record(wall: wall, length: data.count, kind: .data))
    bytes.append(contentsOf: data)
    payload += Int64(data.count)
    endsLine = last == 10
  }

  mutating func add(note: String, wall: Int64) {
    let text = Array(note.utf8)
    bytes += LogFormat.head(LogFormat.Record(wall: wall, length: text.count, kind: .note)) + text
  }
}
