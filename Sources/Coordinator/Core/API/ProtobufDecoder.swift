// Reads protobuf messages by the table into JSON trees. Every length and number is checked against the bytes there are,
// every value counted: hostile input is an error, never a trap. Knows no rule beyond types.

import ClusterProto

/// Where bytes of one message are read.
struct ProtobufCursor {
  enum Wire: UInt64 {
    case varint = 0
    case fixed64 = 1
    case bytes = 2
    case fixed32 = 5
  }

  private let bytes: [UInt8]
  private var position: Int
  private let end: Int

  /// `range` lies within `bytes`.
  init(bytes: [UInt8], range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { position >= end }

  mutating func varint() throws(ProtobufFailure) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard position < end else { throw .malformed("unexpected EOF") }
      let byte = bytes[position]
      position += 1
      // The tenth byte has room for one bit.
      if shift == 63, byte > 1 { break }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw .malformed("proto: integer overflow")
  }

  /// The next field's number and wire type; nil at the end of the message.
  mutating func tag() throws(ProtobufFailure) -> (number: UInt64, wire: Wire)? {
    if isAtEnd { return nil }
    let value = try varint()
    guard let wire = Wire(rawValue: value & 7) else { throw .malformed("proto: illegal wireType \(value & 7)") }
    guard value >> 3 > 0, value >> 3 < 1 << 29 else { throw .malformed("proto: illegal tag \(value >> 3)") }
    return (value >> 3, wire)
  }

  /// The bytes of a length-delimited field, which are passed.
  mutating func length() throws(ProtobufFailure) -> Range<Int> {
    let count = try varint()
    guard count <= UInt64(end - position) else { throw .malformed("unexpected EOF") }
    defer { position += Int(count) }
    return position..<position + Int(count)
  }

  func text(in range: Range<Int>) throws(ProtobufFailure) -> String {
    guard let text = String(validating: bytes[range], as: UTF8.self) else { throw .malformed("a string is no UTF-8") }
    return text
  }
}

/// Where a field stands, for messages about it.
struct ProtobufPlace {
  var kind: String
  var path = ""
  var depth = 0

  func member(_ name: String) -> ProtobufPlace {
    ProtobufPlace(kind: kind, path: path.isEmpty ? name : "\(path).\(name)", depth: depth + 1)
  }

  func element(_ index: Int) -> ProtobufPlace { ProtobufPlace(kind: kind, path: "\(path)[\(index)]", depth: depth) }

  var text: String { path.isEmpty ? kind : "\(kind) \(path)" }
}

struct ProtobufDecoder {
  let bytes: [UInt8]
  private let limits = JSONLimits.standard
  private var values = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  private mutating func count(_ place: ProtobufPlace) throws(ProtobufFailure) {
    values += 1
    if values > limits.nodes { throw .malformed("more than \(limits.nodes) values") }
    if place.depth > limits.depth { throw .malformed("nested deeper than \(limits.depth) levels") }
  }

  /// One message of the table.
  mutating func message(
    _ name: String, in range: Range<Int>, at place: ProtobufPlace
  ) throws(ProtobufFailure) -> JSONObject {
    try count(place)
    let fields = Protobuf.messages[name] ?? [:]
    var cursor = ProtobufCursor(bytes: bytes, range: range)
    var members: [(String, JSON)] = []
    var lists: [UInt64: [JSON]] = [:]
    var maps: [UInt64: [(String, JSON)]] = [:]
    var seen: Set<UInt64> = []
    while let tag = try cursor.tag() {
      guard let field = fields[tag.number] else {
        throw .notServed("field number \(tag.number) of \(name) (\(place.text))")
      }
      let inner = field.name.isEmpty ? place : place.member(field.name)
      switch field.type {
      case .unserved: throw .notServed("\(inner.text) (field number \(tag.number) of \(name))")
      case .list(let element): try append(element, tag.wire, &cursor, to: &lists[tag.number, default: []], inner)
      case .map(let element):
        try expect(.bytes, tag.wire, inner)
        maps[tag.number, default: []].append(try entry(element, in: try cursor.length(), inner))
      case let type:
        guard seen.insert(tag.number).inserted else { throw .malformed("\(inner.text) occurs twice") }
        let value = try self.value(type, tag.wire, &cursor, inner)
        if field.name.isEmpty, case .object(let object) = value {
          members += object.map { ($0.key, $0.value) }
        } else if field.isPointer || !Protobuf.isZero(value) {
          members.append((field.name, value))
        }
      }
    }
    for (number, values) in lists.sorted(by: { $0.key < $1.key }) {
      members.append((fields[number]?.name ?? "", .array(values)))
    }
    for (number, entries) in maps.sorted(by: { $0.key < $1.key }) {
      members.append((fields[number]?.name ?? "", .object(JSONObject(entries: entries))))
    }
    return JSONObject(entries: members)
  }

  private func expect(
    _ wanted: ProtobufCursor.Wire, _ wire: ProtobufCursor.Wire, _ place: ProtobufPlace
  ) throws(ProtobufFailure) {
    if wire != wanted { throw .malformed("proto: wrong wireType = \(wire.rawValue) for field \(place.text)") }
  }

  /// One element of a list, or a packed run of numbers.
  private mutating func append(
    _ type: ProtobufType, _ wire: ProtobufCursor.Wire, _ cursor: inout ProtobufCursor, to list: inout [JSON],
    _ place: ProtobufPlace
  ) throws(ProtobufFailure) {
    guard wire == .bytes, [.int32, .int64, .bool].contains(type) else {
      list.append(try value(type, wire, &cursor, place.element(list.count)))
      return
    }
    var packed = ProtobufCursor(bytes: bytes, range: try cursor.length())
    while !packed.isAtEnd { list.append(try value(type, .varint, &packed, place.element(list.count))) }
  }

  /// One entry of a map: key 1, value 2; what is absent is empty.
  private mutating func entry(
    _ type: ProtobufType, in range: Range<Int>, _ place: ProtobufPlace
  ) throws(ProtobufFailure) -> (String, JSON) {
    var cursor = ProtobufCursor(bytes: bytes, range: range)
    var key = ""
    var content: JSON = type == .quantity ? "0" : ""
    while let tag = try cursor.tag() {
      switch tag.number {
      case 1:
        try expect(.bytes, tag.wire, place)
        key = try cursor.text(in: try cursor.length())
      case 2: content = try value(type, tag.wire, &cursor, place)
      default: throw .malformed("field number \(tag.number) of an entry of \(place.text)")
      }
    }
    return (key, content)
  }

  private mutating func value(
    _ type: ProtobufType, _ wire: ProtobufCursor.Wire, _ cursor: inout ProtobufCursor, _ place: ProtobufPlace
  ) throws(ProtobufFailure) -> JSON {
    try count(place)
    switch type {
    case .int32, .int64, .bool:
      try expect(.varint, wire, place)
      let number = Int64(bitPattern: try cursor.varint())
      if type == .bool { return .bool(number != 0) }
      guard type == .int64 || Int32(exactly: number) != nil else { throw .malformed("proto: integer overflow") }
      return .int(number)
    default: break
    }
    try expect(.bytes, wire, place)
    let range = try cursor.length()
    switch type {
    case .string: return .string(try cursor.text(in: range))
    case .bytes: return .string(Base64.encode(Array(bytes[range])))
    case .named(let name): return .object(try message(name, in: range, at: place))
    case .quantity: return .string(try text(1, in: range, place) ?? "0")
    case .time, .microTime: return try time(in: range, isMicro: type == .microTime, place)
    case .intOrString: return try intOrString(in: range, place)
    case .fieldsV1:
      var inner = ProtobufCursor(bytes: bytes, range: range)
      guard let tag = try inner.tag() else { return .object(JSONObject()) }
      guard tag.number == 1, tag.wire == .bytes, let json = try? JSON(parsing: bytes[try inner.length()]), inner.isAtEnd
      else { throw .malformed("\(place.text) is not JSON") }
      return json
    case .int32, .int64, .bool, .unserved, .list, .map: throw .malformed("\(place.text) is not a value")
    }
  }

  /// The text in the only field of a message.
  private func text(
    _ number: UInt64, in range: Range<Int>, _ place: ProtobufPlace
  ) throws(ProtobufFailure) -> String? {
    var cursor = ProtobufCursor(bytes: bytes, range: range)
    var result: String?
    while let tag = try cursor.tag() {
      guard tag.number == number, tag.wire == .bytes else { throw .malformed("unknown field in \(place.text)") }
      result = try cursor.text(in: try cursor.length())
    }
    return result
  }

  /// Seconds 1 and nanoseconds 2 since 1970; nothing at all is a time that is not set.
  private func time(
    in range: Range<Int>, isMicro: Bool, _ place: ProtobufPlace
  ) throws(ProtobufFailure) -> JSON {
    if range.isEmpty { return .null }
    var cursor = ProtobufCursor(bytes: bytes, range: range)
    var seconds: Int64 = 0
    var nanoseconds: Int64 = 0
    while let tag = try cursor.tag() {
      guard tag.wire == .varint, tag.number == 1 || tag.number == 2 else {
        throw .malformed("unknown field in \(place.text)")
      }
      let number = Int64(bitPattern: try cursor.varint())
      if tag.number == 1 { seconds = number } else { nanoseconds = number }
    }
    // The years that a time in JSON may have.
    guard (-8_520_336_000..<8_835_955_200).contains(seconds), (0..<1_000_000_000).contains(nanoseconds) else {
      throw .malformed("\(place.text) is out of range")
    }
    // Kubernetes keeps whole seconds of a Time, as JSON has it.
    let time = WallTime(nanoseconds: seconds * 1_000_000_000 + (isMicro ? nanoseconds : 0))
    return .string(isMicro ? time.rfc3339Micro : time.rfc3339)
  }

  /// Type 1 (0: a number), the number 2, the text 3.
  private func intOrString(in range: Range<Int>, _ place: ProtobufPlace) throws(ProtobufFailure) -> JSON {
    var cursor = ProtobufCursor(bytes: bytes, range: range)
    var isText = false
    var number: Int64 = 0
    var text = ""
    while let tag = try cursor.tag() {
      switch (tag.number, tag.wire) {
      case (1, .varint):
        let type = try cursor.varint()
        guard type < 2 else { throw .malformed("\(place.text) is neither a number nor a string") }
        isText = type == 1
      case (2, .varint): number = Int64(bitPattern: try cursor.varint())
      case (3, .bytes): text = try cursor.text(in: try cursor.length())
      default: throw .malformed("unknown field in \(place.text)")
      }
    }
    guard Int32(exactly: number) != nil else { throw .malformed("proto: integer overflow") }
    return isText ? .string(text) : .int(number)
  }
}
