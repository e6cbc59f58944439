// Owns: SQLite's file format as far as rows of tables need it: the pages of a table's tree, cells, records. Whatever
// the bytes are, reading them gives an answer or none, never a trap. It must not know which tables there are.

import ClusterProto

/// Numbers out of bytes that may be anything.
struct StorePageBytes {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The unsigned number of up to seven bytes, the highest first.
  func number(_ place: Int, _ count: Int) -> Int? {
    guard let slice = slice(place, count) else { return nil }
    return slice.reduce(0) { $0 << 8 | Int($1) }
  }

  /// Bytes from there; nil: there are not so many.
  func slice(_ place: Int, _ count: Int) -> ArraySlice<UInt8>? {
    guard place >= 0, count >= 0, place <= bytes.count, count <= bytes.count - place else { return nil }
    return bytes[place..<place + count]
  }

  /// SQLite's number of variable length, and where the next byte is. Sizes alone are read by it, so eight bytes do.
  func variable(_ place: Int) -> (value: Int, next: Int)? {
    var value = 0
    for index in 0..<9 {
      guard let byte = slice(place + index, 1)?.first else { return nil }
      if index == 8 { return (value &<< 8 | Int(byte), place + 9) }
      value = value &<< 7 | Int(byte & 0x7f)
      if byte < 0x80 { return (value, place + index + 1) }
    }
    return nil
  }
}

/// One page of a table's tree.
enum StoreTreePage {
  /// The pages below it.
  case interior([Int])
  /// Its rows, each with as much of the record as can be read: nil is none.
  case leaf([[StoreField]?])

  /// Page `number`; nil: it is no such page.
  init?(_ number: Int, of pages: StorePages) {
    guard let page = pages[number] else { return nil }
    let bytes = StorePageBytes(page)
    // The file's header is on its first page.
    let start = number == 1 ? 100 : 0
    guard let kind = bytes.number(start, 1), let count = bytes.number(start + 3, 2), count <= page.count / 4 else {
      return nil
    }
    func cell(_ index: Int, _ header: Int) -> Int? { bytes.number(start + header + 2 * index, 2) }
    switch kind {
    case 0x05:
      var below = (0..<count).map { cell($0, 12).flatMap { bytes.number($0, 4) } ?? 0 }
      below.append(bytes.number(start + 8, 4) ?? 0)
      self = .interior(below)
    case 0x0d:
      self = .leaf(
        (0..<count).map { cell($0, 8).flatMap { StoreTreePage.payload(bytes, at: $0, page.count, pages) } }
          .map { $0.flatMap(StoreField.record) })
    default: return nil
    }
  }

  /// A leaf's cell: length, row number, what has room here, and where the rest is.
  private static func payload(_ bytes: StorePageBytes, at place: Int, _ usable: Int, _ pages: StorePages) -> [UInt8]? {
    guard let (length, afterLength) = bytes.variable(place), let (_, start) = bytes.variable(afterLength),
      length >= 0, length <= pages.count.multipliedSaturated(by: usable)
    else { return nil }
    let most = usable - 35
    if length <= most { return bytes.slice(start, length).map { Array($0) } }
    let least = (usable - 12) * 32 / 255 - 23
    let wanted = least + (length - least) % (usable - 4)
    let local = wanted <= most ? wanted : least
    guard let head = bytes.slice(start, local), var next = bytes.number(start + local, 4) else { return nil }
    var payload = Array(head)
    payload.reserveCapacity(length)
    // Each page adds to it, so a chain that bites its tail ends too.
    while payload.count < length {
      guard let page = pages[next] else { return nil }
      let rest = StorePageBytes(page)
      guard let following = rest.number(0, 4),
        let part = rest.slice(4, min(usable - 4, length - payload.count))
      else { return nil }
      payload += part
      next = following
    }
    return payload
  }
}

/// One column of a row.
enum StoreField: Equatable {
  case bytes([UInt8])
  case number(Int)
  /// Null, and kinds that no table here has.
  case other

  /// A text or blob.
  var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
  /// A text.
  var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  /// The columns of a record; nil: it is none.
  static func record(_ payload: [UInt8]) -> [StoreField]? {
    let bytes = StorePageBytes(payload)
    guard let (headerEnd, first) = bytes.variable(0), headerEnd >= first, headerEnd <= payload.count else { return nil }
    var (place, content) = (first, headerEnd)
    var fields: [StoreField] = []
    while place < headerEnd {
      guard let (kind, next) = bytes.variable(place), kind >= 0 else { return nil }
      place = next
      let length = kind >= 12 ? (kind - 12) / 2 : [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0][kind]
      guard let slice = bytes.slice(content, length) else { return nil }
      content += length
      switch kind {
      case 1...5: fields.append(.number(slice.reduce(0) { $0 << 8 | Int($1) }))
      case 8, 9: fields.append(.number(kind - 8))
      case 12...: fields.append(.bytes(Array(slice)))
      default: fields.append(.other)
      }
    }
    return fields
  }
}
