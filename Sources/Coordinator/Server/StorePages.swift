// Owns: the pages of a SQLite file as they were after the last whole transaction of its log, read without SQLite, which
// refuses a file when it stumbles over one bad page. It must not know what pages hold (StorePageContent), nor write.

import ClusterIO
import Glibc

/// A database file with its write-ahead log on top.
struct StorePages {
  /// Of the file's first page.
  struct Header: Equatable {
    var applicationID: UInt32
    var version: UInt32
    /// The first page of the list of free ones, 0: none.
    var firstFree: Int
    var freePages: Int
  }

  /// How many there are; the first one's number is 1.
  private(set) var count: Int
  private let size: Int
  private let file: Int32
  private let log: Int32
  /// Where the log has the newest copy of a page.
  private var frames: [Int: Int] = [:]
  private static let magic = Array("SQLite format 3\0".utf8)

  /// Opens both; what is not there holds nothing.
  init(path: String) {
    file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    log = open("\(path)-wal", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    let logHeader = StorePages.read(log, at: 0, 32)
    let inFile = StorePages.read(file, at: 0, 18).flatMap { head in
      Array(head.prefix(16)) == StorePages.magic ? StorePages.pageSize(head[16], head[17]) : nil
    }
    // Of a damaged first page the log may still know it; SQLite's own choice is the last guess.
    size = inFile ?? logHeader.flatMap { StorePages.logPageSize($0) } ?? 4_096
    count = StorePages.length(file) / size
    if let logHeader { readLog(logHeader) }
  }

  /// Ends the reading.
  func close() {
    for descriptor in [file, log] where descriptor >= 0 { Glibc.close(descriptor) }
  }

  /// The bytes of a page; nil: the file is too short, or the disk does not give them.
  subscript(number: Int) -> [UInt8]? {
    guard number >= 1, number <= count else { return nil }
    if let place = frames[number] { return StorePages.read(log, at: place, size) }
    let (place, isTooFar) = (number - 1).multipliedReportingOverflow(by: size)
    return isTooFar ? nil : StorePages.read(file, at: place, size)
  }

  /// What the first page says of the file; nil: it is damaged.
  var header: Header? {
    guard let page = self[1], Array(page.prefix(16)) == StorePages.magic else { return nil }
    let reader = StorePageBytes(page)
    guard let first = reader.number(32, 4), let free = reader.number(36, 4), let version = reader.number(60, 4),
      let owner = reader.number(68, 4)
    else { return nil }
    return Header(
      applicationID: UInt32(truncatingIfNeeded: owner), version: UInt32(truncatingIfNeeded: version),
      firstFree: first, freePages: free)
  }

  // MARK: - The log

  private static func logPageSize(_ header: [UInt8]) -> Int? {
    let reader = StorePageBytes(header)
    guard let magic = reader.number(0, 4), magic | 1 == 0x377f_0683, let size = reader.number(8, 4) else { return nil }
    return isPageSize(size) ? size : nil
  }

  /// Frame by frame up to the first that does not follow from those before; a transaction counts with its last frame.
  private mutating func readLog(_ header: [UInt8]) {
    guard StorePages.logPageSize(header) == size else { return }
    let isBigEndian = header[3] & 1 == 1
    var sum = LogSum(isBigEndian: isBigEndian)
    sum.add(header[0..<24])
    let salt = Array(header[16..<24])
    guard sum.bytes == Array(header[24..<32]) else { return }
    var (place, pending) = (32, [Int: Int]())
    while let frame = StorePages.read(log, at: place, 24 + size) {
      sum.add(frame[0..<8])
      sum.add(frame[24...])
      let reader = StorePageBytes(frame)
      guard Array(frame[8..<16]) == salt, sum.bytes == Array(frame[16..<24]), let number = reader.number(0, 4),
        let committed = reader.number(4, 4)
      else { return }
      pending[number] = place + 24
      place += 24 + size
      guard committed > 0 else { continue }
      frames.merge(pending) { _, newer in newer }
      pending = [:]
      count = committed
    }
  }

  /// SQLite's checksum over the log.
  private struct LogSum {
    let isBigEndian: Bool
    private var first: UInt32 = 0
    private var second: UInt32 = 0

    init(isBigEndian: Bool) { self.isBigEndian = isBigEndian }

    mutating func add(_ bytes: ArraySlice<UInt8>) {
      bytes.withUnsafeBytes { raw in
        for place in stride(from: 0, to: raw.count - 7, by: 8) {
          first &+= word(raw, place) &+ second
          second &+= word(raw, place + 4) &+ first
        }
      }
    }

    private func word(_ raw: UnsafeRawBufferPointer, _ place: Int) -> UInt32 {
      let word = raw.loadUnaligned(fromByteOffset: place, as: UInt32.self)
      return isBigEndian ? UInt32(bigEndian: word) : UInt32(littleEndian: word)
    }

    /// As the log has it.
    var bytes: [UInt8] {
      [first, second].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) } }
    }
  }

  // MARK: - Files

  private static func pageSize(_ high: UInt8, _ low: UInt8) -> Int? {
    let size = Int(high) << 8 | Int(low)
    return isPageSize(size) ? size : size == 1 ? 65_536 : nil
  }

  private static func isPageSize(_ size: Int) -> Bool { size >= 512 && size <= 65_536 && size & (size - 1) == 0 }

  private static func length(_ descriptor: Int32) -> Int {
    var status = stat()
    return descriptor >= 0 && fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
  }

  private static func read(_ descriptor: Int32, at place: Int, _ count: Int) -> [UInt8]? {
    guard descriptor >= 0 else { return nil }
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = max(0, pread(descriptor, buffer.baseAddress, count, off_t(place)))
    }
    return bytes.count == count ? bytes : nil
  }
}
