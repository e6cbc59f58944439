// One time zone: which offset holds when, read from a TZif file (RFC 8536). It must not know where the file came from.

import ClusterProto

/// A zone's offsets. Answers as Go's `time` package does where a local time does not exist or exists twice, since that
/// is what decides when Kubernetes runs a CronJob.
struct ZoneTable: Equatable, Sendable {
  /// An offset, and the seconds since 1970 in which it holds: `start..<end`.
  struct Span: Equatable, Sendable {
    var offset: Int64
    var start: Int64
    var end: Int64
  }

  static let utc = ZoneTable(initial: 0)

  /// Before the first transition.
  private var initial: Int64
  private var transitions: [(at: Int64, offset: Int64)] = []
  /// After the last one.
  private var rule: ZoneRule?

  private init(initial: Int64) { self.initial = initial }

  static func == (left: ZoneTable, right: ZoneTable) -> Bool {
    left.initial == right.initial && left.rule == right.rule
      && left.transitions.elementsEqual(right.transitions) { $0 == $1 }
  }

  /// The offset that holds at a moment.
  func span(at seconds: Int64) -> Span {
    guard let first = transitions.first, seconds >= first.at else {
      if transitions.isEmpty, let rule { return rule.span(at: seconds) }
      return Span(offset: initial, start: .min, end: transitions.first?.at ?? .max)
    }
    var low = 0
    var high = transitions.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if transitions[middle].at <= seconds { low = middle } else { high = middle }
    }
    if low + 1 < transitions.count {
      return Span(offset: transitions[low].offset, start: transitions[low].at, end: transitions[low + 1].at)
    }
    if let rule { return rule.span(at: seconds) }
    return Span(offset: transitions[low].offset, start: transitions[low].at, end: .max)
  }

  /// Seconds east of UTC.
  func offset(at seconds: Int64) -> Int64 { span(at: seconds).offset }

  /// The moment of a local time, given as if it were UTC. Go's choice: the offset that would hold if it were UTC, if
  /// that fits; else the one that holds where that leads.
  func moment(ofLocal local: Int64) -> Int64 {
    let guess = span(at: local)
    let moment = local - guess.offset
    if guess.offset == 0 || moment >= guess.start && moment < guess.end { return moment }
    return local - offset(at: moment)
  }

  /// RFC 3339 with the zone's offset.
  func rfc3339(_ time: WallTime) -> String {
    let offset = offset(at: time.seconds)
    let local = WallTime(nanoseconds: (time.seconds + offset) * 1_000_000_000).rfc3339
    if offset == 0 { return local }
    let minutes = offset.magnitude / 60
    let digits = [minutes / 60, minutes % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
    return "\(local.dropLast())\(offset < 0 ? "-" : "+")\(digits.joined(separator: ":"))"
  }
}

extension ZoneTable {
  /// A zone whose rule alone says it.
  init?(rule text: String) {
    guard let rule = ZoneRule(parsing: Substring(text)) else { return nil }
    self.init(initial: rule.standard)
    self.rule = rule
  }

  /// Reads a file; nil where it is none.
  init?(file: [UInt8]) {
    guard var block = ZoneBlock(file[...], wide: false) else { return nil }
    var footer = ArraySlice<UInt8>()
    if block.version >= 2 {
      guard let second = ZoneBlock(file.dropFirst(block.length), wide: true) else { return nil }
      block = second
      footer = file.dropFirst(file.count - second.rest.count).dropFirst().prefix { $0 != 10 }
    }
    guard let initial = block.offsets.first else { return nil }
    self.init(initial: initial)
    for (at, type) in zip(block.times, block.types) {
      guard block.offsets.indices.contains(type), transitions.last.map({ $0.at < at }) ?? true else { return nil }
      transitions.append((at, block.offsets[type]))
    }
    rule = ZoneRule(parsing: Substring(String(decoding: footer, as: UTF8.self)))
  }
}

/// One header and its data.
private struct ZoneBlock {
  var version: Int
  var times: [Int64] = []
  var types: [Int] = []
  var offsets: [Int64] = []
  /// Bytes of the block.
  var length = 0
  /// What follows.
  var rest: ArraySlice<UInt8>

  init?(_ bytes: ArraySlice<UInt8>, wide: Bool) {
    rest = bytes
    guard rest.count >= 44, rest.starts(with: Array("TZif".utf8)) else { return nil }
    let mark = rest[rest.startIndex + 4]
    version = mark == 0 ? 1 : Int(mark) - 48
    rest = rest.dropFirst(20)
    var counts: [Int] = []
    for _ in 0..<6 { counts.append(Int(Self.number(&rest, 4))) }
    // UT/local marks, standard/wall marks, leap seconds, transitions, types, letters.
    guard counts.allSatisfy({ (0...100_000).contains($0) }) else { return nil }
    let size = wide ? 8 : 4
    let (transitions, kinds) = (counts[3], counts[4])
    let tail = counts[5] + counts[2] * (size + 4) + counts[1] + counts[0]
    guard rest.count >= transitions * (size + 1) + kinds * 6 + tail else { return nil }
    for _ in 0..<transitions { times.append(Self.number(&rest, size)) }
    for _ in 0..<transitions { types.append(Int(rest.removeFirst())) }
    for _ in 0..<kinds {
      offsets.append(Self.number(&rest, 4))
      rest = rest.dropFirst(2)
    }
    rest = rest.dropFirst(tail)
    length = bytes.count - rest.count
  }

  /// Big endian, with a sign.
  private static func number(_ bytes: inout ArraySlice<UInt8>, _ size: Int) -> Int64 {
    let value = bytes.prefix(size).reduce(Int64(0)) { $0 << 8 | Int64($1) }
    bytes = bytes.dropFirst(size)
    return size == 4 ? Int64(Int32(truncatingIfNeeded: value)) : value
  }
}
