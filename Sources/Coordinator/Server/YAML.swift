// Owns: YAML or JSON text → JSON trees: documents, anchors, merge keys, tags, and the limits that keep a small text
// from becoming a huge tree. It must not know what the documents describe.

import ClusterProto

/// Reader of manifests.
package enum YAML {
  /// Every non-empty document of `bytes`, in order. JSON text is YAML too, but read by the JSON parser when it is one
  /// whole JSON value. Limits: the depth and node count of `JSONLimits.standard`, aliases counted as what they stand
  /// for. Of a key that stands twice the last one wins, and `onDuplicate` hears `line 3: key "a" already set in map`.
  package static func documents(
    _ bytes: [UInt8], onDuplicate: (String) -> Void = { _ in }
  ) throws(YAMLError) -> [JSON] {
    try parts(bytes, onDuplicate: onDuplicate).filter { !$0.isNull }
  }

  /// As `documents`, with a null where one is empty: the place in the list is the place in the text.
  package static func parts(
    _ bytes: [UInt8], onDuplicate: (String) -> Void = { _ in }
  ) throws(YAMLError) -> [JSON] {
    let start = bytes.first { !$0.isWhitespace }
    if start == UInt8(ascii: "{"), let (json, duplicates) = try? JSON.parseReportingDuplicates(bytes),
      duplicates.isEmpty
    {
      return [json]
    }
    var duplicates: [String] = []
    let result = bytes.withUnsafeBufferPointer { buffer -> Result<[JSON], YAMLError> in
      do throws(YAMLError) {
        var composer = YAMLComposer(reader: try YAMLEventReader(buffer))
        let documents = try composer.documents()
        duplicates = composer.duplicates
        return .success(documents)
      } catch {
        return .failure(error)
      }
    }
    let documents = try result.get()
    for duplicate in duplicates { onDuplicate(duplicate) }
    return documents
  }
}

extension UInt8 {
  fileprivate var isWhitespace: Bool { self == 0x20 || (0x09...0x0d).contains(self) }
}

/// Builds trees from events. One per text.
private struct YAMLComposer: ~Copyable {
  /// A value with what it weighs when written out: nodes, and long text as several.
  private struct Node {
    var json: JSON
    var weight: Int
    /// A plain `<<`, which as a key merges.
    var isMergeKey = false
  }

  private var reader: YAMLEventReader
  private var anchors: [String: Node] = [:]
  /// Anchors whose node is still being read: an alias to one would be a cycle.
  private var openAnchors: [String] = []
  private var weight = 0
  private var usesAliases = false
  private(set) var duplicates: [String] = []
  private let limits = JSONLimits.standard
  private static let bytesPerNode = 256

  init(reader: consuming YAMLEventReader) { self.reader = reader }

  mutating func documents() throws(YAMLError) -> [JSON] {
    var result: [JSON] = []
    while true {
      switch try reader.next() {
      case .streamEnd: return result
      case .documentStart:
        anchors = [:]
        let node = try value(after: try reader.next(), depth: 0)
        result.append(node.json)
      default: continue
      }
    }
  }

  private mutating func value(after event: YAMLEvent, depth: Int) throws(YAMLError) -> Node {
    if depth > limits.depth { throw YAMLError(message: "exceeded max depth of \(limits.depth)") }
    switch event {
    case .alias(let name, let line):
      usesAliases = true
      if openAnchors.contains(name) {
        throw YAMLError(message: "line \(line): anchor '\(name)' value contains itself")
      }
      guard let node = anchors[name] else {
        throw YAMLError(message: "line \(line): unknown anchor '\(name)' referenced")
      }
      try count(node.weight)
      return node
    case .scalar(let text, let anchor, let tag, let isPlain, let line):
      let weight = 1 + text.utf8.count / Self.bytesPerNode
      try count(weight)
      let json = try scalar(text, tag: tag, isPlain: isPlain, line: line)
      let isMerge = text == "<<" && (isPlain || tag == "tag:yaml.org,2002:merge")
      return keep(Node(json: json, weight: weight, isMergeKey: isMerge), anchor)
    case .sequenceStart(let anchor, _): return try sequence(anchor, depth: depth)
    case .mappingStart(let anchor, _): return try mapping(anchor, depth: depth)
    case .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd:
      throw YAMLError(message: "unknown problem parsing YAML content")
    }
  }

  private mutating func count(_ amount: Int) throws(YAMLError) {
    weight += amount
    guard weight > limits.nodes else { return }
    throw YAMLError(
      message: usesAliases
        ? "document contains excessive aliasing" : "document has more than \(limits.nodes) values")
  }

  private mutating func keep(_ node: Node, _ anchor: String?) -> Node {
    if let anchor { anchors[anchor] = node }
    return node
  }

  private mutating func sequence(_ anchor: String?, depth: Int) throws(YAMLError) -> Node {
    let before = weight
    try count(1)
    if let anchor { openAnchors.append(anchor) }
    var values: [JSON] = []
    while true {
      let event = try reader.next()
      if case .sequenceEnd = event { break }
      values.append(try value(after: event, depth: depth + 1).json)
    }
    if anchor != nil { openAnchors.removeLast() }
    return keep(Node(json: .array(values), weight: weight - before), anchor)
  }

  private mutating func mapping(_ anchor: String?, depth: Int) throws(YAMLError) -> Node {
    let before = weight
    try count(1)
    if let anchor { openAnchors.append(anchor) }
    // In the order of the text: of equal keys the last one wins, a merge's as well.
    var members: [(String, JSON)] = []
    var ownKeys: Set<String> = []
    while true {
      let event = try reader.next()
      if case .mappingEnd = event { break }
      let line = event.line
      let key = try value(after: event, depth: depth + 1)
      let content = try value(after: try reader.next(), depth: depth + 1)
      if key.isMergeKey {
        try merge(content.json, into: &members, line: line)
        continue
      }
      let name = try keyText(key.json, line: line)
      if !ownKeys.insert(name).inserted { duplicates.append("line \(line): key \"\(name)\" already set in map") }
      members.append((name, content.json))
    }
    if anchor != nil { openAnchors.removeLast() }
    return keep(Node(json: .object(JSONObject(entries: members)), weight: weight - before), anchor)
  }

  /// Lays the map over what was read so far; of several, the earlier ones win.
  private func merge(_ source: JSON, into members: inout [(String, JSON)], line: Int) throws(YAMLError) {
    switch source {
    case .object(let object):
      for (key, value) in object { members.append((key, value)) }
    case .array(let maps):
      for map in maps.reversed() {
        guard case .object(let object) = map else { throw Self.wrongMerge(line) }
        for (key, value) in object { members.append((key, value)) }
      }
    default: throw Self.wrongMerge(line)
    }
  }

  private static func wrongMerge(_ line: Int) -> YAMLError {
    YAMLError(message: "line \(line): map merge requires map or sequence of maps as the value")
  }

  private func keyText(_ key: JSON, line: Int) throws(YAMLError) -> String {
    switch key {
    case .string(let text): text
    case .int(let number): String(number)
    case .bool(let value): value ? "true" : "false"
    case .double: key.text
    case .null, .array, .object:
      throw YAMLError(message: "line \(line): unsupported map key of type: \(key.typeName)")
    }
  }

  private func scalar(_ text: String, tag: String?, isPlain: Bool, line: Int) throws(YAMLError) -> JSON {
    guard let tag, tag != "!" else {
      guard isPlain else { return .string(text) }
      return try finite(YAMLScalar.resolve(text), text: text, line: line)
    }
    let prefix = "tag:yaml.org,2002:"
    guard tag.hasPrefix(prefix) else { return .string(text) }
    let type = String(tag.dropFirst(prefix.count))
    let resolved = YAMLScalar.resolve(text)
    switch (type, resolved) {
    case ("bool", .bool), ("int", .int), ("int", .double), ("float", .double), ("null", .null):
      if type == "int", case .double(let value) = resolved, value != value.rounded() { break }
      return try finite(resolved, text: text, line: line)
    case ("float", .int(let value)): return .double(Double(value))
    case ("bool", _), ("int", _), ("float", _), ("null", _): break
    case ("binary", _):
      guard let bytes = Base64.decode(text), let decoded = String(validating: bytes, as: UTF8.self) else {
        throw YAMLError(message: "line \(line): !!binary value contains invalid base64 data")
      }
      return .string(decoded)
    default: return .string(text)
    }
    throw YAMLError(message: "line \(line): cannot decode `\(text)` as a !!\(type)")
  }

  private func finite(_ json: JSON, text: String, line: Int) throws(YAMLError) -> JSON {
    if case .double(let value) = json, !value.isFinite {
      throw YAMLError(message: "line \(line): unsupported value: \(text)")
    }
    return json
  }
}
