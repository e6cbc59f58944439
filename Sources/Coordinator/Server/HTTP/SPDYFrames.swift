// Owns: bytes ↔ frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00 with 3.1's session window), under bounds. Header
// blocks stay compressed here. It must not know streams: whether a frame fits its stream is the session's to say.

import ClusterProto

/// Why a connection of frames cannot go on.
struct SPDYError: Error, Equatable, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}

/// One frame.
enum SPDYFrame: Equatable {
  case data(stream: UInt32, bytes: [UInt8], isLast: Bool)
  /// `block`: the headers, compressed. `isUnidirectional`: the one who is told may not send on it.
  case synStream(stream: UInt32, block: [UInt8], isLast: Bool, isUnidirectional: Bool)
  case synReply(stream: UInt32, block: [UInt8], isLast: Bool)
  case reset(stream: UInt32, status: UInt32)
  /// What the other side's receive window of each stream is at its beginning, where it says so.
  case settings(initialWindow: UInt32?)
  case ping(UInt32)
  case goAway(lastStream: UInt32, status: UInt32)
  case headers(stream: UInt32, block: [UInt8], isLast: Bool)
  case windowUpdate(stream: UInt32, delta: UInt32)

  /// What a reset says.
  enum ResetStatus {
    static let protocolError: UInt32 = 1
    static let refusedStream: UInt32 = 3
    static let cancel: UInt32 = 5
    static let streamAlreadyClosed: UInt32 = 9
  }

  /// Most bytes of a control frame, compressed headers too; a client's are a few hundred.
  static let controlLimit = 16 * 1024
  /// Most bytes of a data frame that is taken: it is held whole.
  static let dataLimit = 1 << 20
  /// The window of a stream where nobody says otherwise.
  static let usualWindow: Int64 = 64 * 1024

  private enum Kind {
    static let synStream: UInt16 = 1
    static let synReply: UInt16 = 2
    static let reset: UInt16 = 3
    static let settings: UInt16 = 4
    static let ping: UInt16 = 6
    static let goAway: UInt16 = 7
    static let headers: UInt16 = 8
    static let windowUpdate: UInt16 = 9
  }

  private static let final: UInt8 = 1
  private static let unidirectional: UInt8 = 2
  private static let initialWindowSetting: UInt32 = 7

  /// The frame's bytes.
  var bytes: [UInt8] {
    switch self {
    case .data(let stream, let bytes, let isLast):
      var result: [UInt8] = []
      result.reserveCapacity(8 + bytes.count)
      Self.put(stream, into: &result)
      Self.put(UInt32(isLast ? Self.final : 0) << 24 | UInt32(bytes.count), into: &result)
      result += bytes
      return result
    case .synStream(let stream, let block, let isLast, let isUnidirectional):
      let flags = (isLast ? Self.final : 0) | (isUnidirectional ? Self.unidirectional : 0)
      return Self.control(Kind.synStream, flags, [stream, 0], [0, 0] + block)
    case .synReply(let stream, let block, let isLast):
      return Self.control(Kind.synReply, isLast ? Self.final : 0, [stream], block)
    case .reset(let stream, let status): return Self.control(Kind.reset, 0, [stream, status])
    case .settings(let window):
      return Self.control(Kind.settings, 0, window.map { [1, Self.initialWindowSetting, $0] } ?? [0])
    case .ping(let id): return Self.control(Kind.ping, 0, [id])
    case .goAway(let last, let status): return Self.control(Kind.goAway, 0, [last, status])
    case .headers(let stream, let block, let isLast):
      return Self.control(Kind.headers, isLast ? Self.final : 0, [stream], block)
    case .windowUpdate(let stream, let delta): return Self.control(Kind.windowUpdate, 0, [stream, delta])
    }
  }

  private static func control(_ kind: UInt16, _ flags: UInt8, _ words: [UInt32], _ rest: [UInt8] = []) -> [UInt8] {
    var result: [UInt8] = [0x80, 3, UInt8(kind >> 8), UInt8(kind & 0xFF)]
    put(UInt32(flags) << 24 | UInt32(words.count * 4 + rest.count), into: &result)
    for word in words { put(word, into: &result) }
    return result + rest
  }

  private static func put(_ word: UInt32, into bytes: inout [UInt8]) {
    for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(word >> shift & 0xFF)) }
  }
}

/// Cuts a stream of bytes into frames, in any pieces they come. After an error it is of no more use.
struct SPDYReader {
  private var buffer: [UInt8] = []
  private var start = 0

  /// Bytes that are no whole frame yet.
  var buffered: Int { buffer.count - start }

  mutating func append(_ bytes: [UInt8]) {
    if start > 0, start == buffer.count || start > 64 * 1024 {
      buffer.removeFirst(start)
      start = 0
    }
    buffer += bytes
  }

  /// The next frame; nil when more bytes are needed. Control frames of a kind that nobody knows are passed over.
  mutating func next() throws(SPDYError) -> SPDYFrame? {
    while buffered >= 8 {
      let first = word(0)
      let length = Int(word(4) & 0xFF_FFFF)
      let isControl = first & 0x8000_0000 != 0
      guard length <= (isControl ? SPDYFrame.controlLimit : SPDYFrame.dataLimit) else {
        throw SPDYError("a frame of \(length) bytes")
      }
      guard buffered >= 8 + length else { return nil }
      let flags = UInt8(word(4) >> 24)
      let payload = buffer[(start + 8)..<(start + 8 + length)]
      start += 8 + length
      if !isControl {
        guard first != 0 else { throw SPDYError("data of stream 0") }
        return .data(stream: first, bytes: Array(payload), isLast: flags & 1 != 0)
      }
      guard first >> 16 == 0x8003 else { throw SPDYError("version \(first >> 16 & 0x7FFF) is not spoken here") }
      if let frame = try SPDYReader.control(UInt16(first & 0xFFFF), flags, payload) { return frame }
    }
    return nil
  }

  private func word(_ offset: Int) -> UInt32 { SPDYReader.word(buffer[(start + offset)...], 0) }

  private static func word(_ bytes: ArraySlice<UInt8>, _ index: Int) -> UInt32 {
    bytes[(bytes.startIndex + 4 * index)...].prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
  }

  private static func control(
    _ kind: UInt16, _ flags: UInt8, _ payload: ArraySlice<UInt8>
  ) throws(SPDYError) -> SPDYFrame? {
    let least = [1: 10, 2: 4, 3: 8, 4: 4, 6: 4, 7: 8, 8: 4, 9: 8][kind] ?? 0
    guard payload.count >= least else { throw SPDYError("a control frame of kind \(kind) with \(payload.count) bytes") }
    let first = least > 0 ? word(payload, 0) : 0
    let stream = first & 0x7FFF_FFFF
    let isLast = flags & 1 != 0
    if [1, 2, 3, 8].contains(kind), stream == 0 { throw SPDYError("a control frame of stream 0") }
    switch kind {
    case 1:
      return .synStream(
        stream: stream, block: Array(payload.dropFirst(10)), isLast: isLast, isUnidirectional: flags & 2 != 0)
    case 2: return .synReply(stream: stream, block: Array(payload.dropFirst(4)), isLast: isLast)
    case 3: return .reset(stream: stream, status: word(payload, 1))
    case 4: return try settings(payload, count: Int(first))
    case 6: return .ping(first)
    case 7: return .goAway(lastStream: stream, status: word(payload, 1))
    case 8: return .headers(stream: stream, block: Array(payload.dropFirst(4)), isLast: isLast)
    case 9: return .windowUpdate(stream: stream, delta: word(payload, 1) & 0x7FFF_FFFF)
    default: return nil
    }
  }

  private static func settings(_ payload: ArraySlice<UInt8>, count: Int) throws(SPDYError) -> SPDYFrame {
    guard payload.count == 4 + 8 * count else { throw SPDYError("settings that are \(payload.count) bytes long") }
    var window: UInt32?
    for entry in 0..<count where word(payload, 1 + 2 * entry) & 0xFF_FFFF == 7 { window = word(payload, 2 + 2 * entry) }
    return .settings(initialWindow: window)
  }
}

/// The names and values of a header block, as they stand in it before compression.
enum SPDYHeaders {
  /// Most bytes of a block, expanded.
  static let limit = 16 * 1024
  private static let countLimit = 64

  /// `headers` in this order; a name that comes twice is a mistake of the caller's.
  static func block(_ headers: [(name: String, value: String)]) -> [UInt8] {
    var bytes = word(headers.count)
    for (name, value) in headers {
      bytes += word(name.utf8.count) + Array(name.utf8) + word(value.utf8.count) + Array(value.utf8)
    }
    return bytes
  }

  /// By name in lower case. Of several values of a name the first is kept.
  static func parse(_ block: [UInt8]) throws(SPDYError) -> [String: String] {
    var rest = block[...]
    func number() throws(SPDYError) -> Int {
      guard rest.count >= 4 else { throw SPDYError("a header block ends too early") }
      defer { rest = rest.dropFirst(4) }
      return Int(rest.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }
    func text() throws(SPDYError) -> String {
      let length = try number()
      guard rest.count >= length else { throw SPDYError("a header block ends too early") }
      defer { rest = rest.dropFirst(length) }
      return String(decoding: rest.prefix(length).prefix { $0 != 0 }, as: UTF8.self)
    }
    let count = try number()
    guard count <= countLimit else { throw SPDYError("a header block with \(count) headers") }
    var headers: [String: String] = [:]
    for _ in 0..<count {
      let name = try text().lowercased()
      let value = try text()
      guard !name.isEmpty, headers[name] == nil else { throw SPDYError("a header block with an empty or double name") }
      headers[name] = value
    }
    guard rest.isEmpty else { throw SPDYError("bytes behind a header block") }
    return headers
  }

  private static func word(_ value: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(value >> $0 & 0xFF) } }
}
