// Owns: the bytes of a JSON text while it is written: a buffer that grows, integers, and strings with Go's escapes.
// An array of bytes would ask at each of them whether it is the only owner, twice what the rest of the writing costs.
// It must not know what a value is made of (JSONWriter).

/// A text that is being written.
struct JSONOutput: ~Copyable {
  private var start: UnsafeMutablePointer<UInt8>
  private var capacity: Int
  private var count = 0

  init() {
    // A Job of everyday size fits.
    capacity = 2_048
    start = .allocate(capacity: capacity)
  }

  deinit { start.deallocate() }

  /// The text as it is.
  var bytes: [UInt8] { Array(UnsafeBufferPointer(start: start, count: count)) }

  /// Appends the text to what `output` has.
  func append(to output: inout [UInt8]) { output.append(contentsOf: UnsafeBufferPointer(start: start, count: count)) }

  mutating func append(_ byte: UInt8) {
    makeRoom(1)
    put(byte)
  }

  /// Bytes that need no escape.
  mutating func append(_ text: String) { for byte in text.utf8 { append(byte) } }

  mutating func append(integer value: Int64) {
    makeRoom(20)
    if value < 0 { put(0x2D) }
    var magnitude = value.magnitude
    let first = count
    repeat {
      put(0x30 + UInt8(truncatingIfNeeded: magnitude % 10))
      magnitude /= 10
    } while magnitude > 0
    var digits = UnsafeMutableBufferPointer(start: start + first, count: count - first)
    digits.reverse()
  }

  /// A JSON string with its quotes.
  mutating func append(quoted text: String) {
    append(0x22)
    let done: Void? = text.utf8.withContiguousStorageIfAvailable { append(escaping: UnsafeRawBufferPointer($0)) }
    if done == nil { Array(text.utf8).withUnsafeBytes { append(escaping: $0) } }
    append(0x22)
  }

  /// Eight bytes a step where none of them can need an escape, as nearly all text is; else one.
  private mutating func append(escaping text: UnsafeRawBufferPointer) {
    var index = 0
    while index < text.count {
      makeRoom(8)
      if text.count - index >= 8 {
        let word = text.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        if !Self.mayNeedEscape(word) {
          UnsafeMutableRawPointer(start + count).storeBytes(of: word, as: UInt64.self)
          count += 8
          index += 8
          continue
        }
      }
      let byte = text[index]
      index += 1
      if byte >= 0x20, byte != 0x22, byte != 0x5C, byte != 0xE2 {
        put(byte)
      } else if byte != 0xE2 {
        putEscape(byte)
      } else if index + 1 < text.count, text[index] == 0x80, text[index + 1] & 0xFE == 0xA8 {
        // U+2028 and U+2029 break JavaScript sources; Go escapes them always.
        for byte in (text[index + 1] == 0xA8 ? "\\u2028" : "\\u2029").utf8 { put(byte) }
        index += 2
      } else {
        put(byte)
      }
    }
  }

  /// Whether one of eight bytes is below a space, a quote, a backslash or no ASCII: the highest bit is set in it, or by
  /// a subtraction that goes below zero. A borrow from a lower byte can only say yes where one has said yes already.
  private static func mayNeedEscape(_ word: UInt64) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let quote = (word ^ (ones &* 0x22)) &- ones
    let backslash = (word ^ (ones &* 0x5C)) &- ones
    return (word | (word &- (ones &* 0x20)) | quote | backslash) & (ones &* 0x80) != 0
  }

  private mutating func putEscape(_ byte: UInt8) {
    put(0x5C)
    switch byte {
    case 0x22, 0x5C: put(byte)
    case 0x08: put(0x62)
    case 0x0C: put(0x66)
    case 0x0A: put(0x6E)
    case 0x0D: put(0x72)
    case 0x09: put(0x74)
    default:
      for byte in "u00".utf8 { put(byte) }
      put(0x30 + (byte >> 4))
      put((byte & 15) < 10 ? 0x30 + (byte & 15) : 0x57 + (byte & 15))
    }
  }

  /// Into room that was made.
  private mutating func put(_ byte: UInt8) {
    start[count] = byte
    count += 1
  }

  private mutating func makeRoom(_ more: Int) {
    if capacity - count < more { grow(more) }
  }

  @inline(never)
  private mutating func grow(_ more: Int) {
    capacity = max(capacity * 2, count + more)
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    larger.update(from: start, count: count)
    start.deallocate()
    start = larger
  }
}
