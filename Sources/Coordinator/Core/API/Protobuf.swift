// The types of protobuf bodies, read once from the table in ProtobufTypes.swift, and the first layer of such a body:
// the magic number and Kubernetes' envelope. How fields are read is in ProtobufDecoder.swift. Knows nothing of HTTP.

import ClusterProto

/// Why a protobuf body cannot be taken: 400 what is broken, 415 what is sound but has no meaning here.
package struct ProtobufFailure: Error, Equatable, Sendable {
  /// The HTTP code of the answer.
  package var code: Int
  /// What is wrong with the body.
  package var message: String

  static func malformed(_ why: String) -> ProtobufFailure {
    ProtobufFailure(code: 400, message: "the body cannot be read as protobuf: \(why)")
  }

  /// Nothing of a body is left out in silence: `what` has no meaning here, so the whole is refused.
  static func notServed(_ what: String) -> ProtobufFailure {
    ProtobufFailure(
      code: 415,
      message: "\(what) in a protobuf body is not understood by this server: send the object as JSON or YAML (with "
        + "kubectl: --dry-run=client -o yaml | kubectl create -f -)")
  }
}

/// The type of a protobuf field.
indirect enum ProtobufType: Equatable, Sendable {
  case string, int32, int64, bool, bytes, quantity, time, microTime, intOrString, fieldsV1
  /// Known by name only.
  case unserved
  case list(ProtobufType)
  /// String keys.
  case map(ProtobufType)
  /// A message of the table.
  case named(String)

  init(_ text: Substring) {
    if text.hasPrefix("[]") {
      self = .list(ProtobufType(text.dropFirst(2)))
    } else if text.hasPrefix("{}") {
      self = .map(ProtobufType(text.dropFirst(2)))
    } else {
      self = Self.words[text] ?? .named(String(text))
    }
  }

  private static let words: [Substring: ProtobufType] = [
    "string": .string, "int32": .int32, "int64": .int64, "bool": .bool, "bytes": .bytes, "quantity": .quantity,
    "time": .time, "microTime": .microTime, "intOrString": .intOrString, "fieldsV1": .fieldsV1, "unserved": .unserved,
  ]
}

struct ProtobufField: Equatable, Sendable {
  /// Empty: the fields of the message stand in its owner.
  var name: String
  var type: ProtobufType
  /// Whether zero differs from absence: a pointer in Kubernetes.
  var isPointer: Bool

  /// Reads `name=number:type`.
  static func parse(_ word: Substring) -> (number: UInt64, field: ProtobufField)? {
    let halves = word.split(separator: ":", maxSplits: 1)
    guard halves.count == 2 else { return nil }
    let sides = halves[0].split(separator: "=")
    guard sides.count == 2, let number = UInt64(sides[1]) else { return nil }
    let isPointer = halves[1].hasPrefix("*")
    return (
      number,
      ProtobufField(
        name: sides[0] == "." ? "" : String(sides[0]), type: ProtobufType(halves[1].dropFirst(isPointer ? 1 : 0)),
        isPointer: isPointer)
    )
  }
}

/// Bodies of `application/vnd.kubernetes.protobuf`.
package enum Protobuf {
  /// Fields by number, of every message by name.
  static let messages: [String: [UInt64: ProtobufField]] = {
    var result: [String: [UInt64: ProtobufField]] = [:]
    for line in Schema.lines([
      metaTypes, jobTypes, podTypes, volumeTypes, storageTypes, statusTypes, otherTypes, nodeTypes, serviceTypes,
      reviewTypes, accessTypes,
    ]) {
      let words = line.split(separator: " ")
      guard words.count >= 2, words[1] == "=" else { continue }
      result[String(words[0])] = Dictionary(
        words.dropFirst(2).compactMap { ProtobufField.parse($0) }.map { ($0.number, $0.field) },
        uniquingKeysWith: { $1 })
    }
    return result
  }()

  /// Fields by type whose zero is as good as absent, also in JSON: who reads an object and writes it back leaves them
  /// out, and must not have changed it by that.
  static let omitsZero: [String: Set<String>] = messages.mapValues(zeros)

  private static func zeros(_ fields: [UInt64: ProtobufField]) -> Set<String> {
    var result = Set(
      fields.values.filter { !$0.isPointer && [.string, .int32, .int64, .bool].contains($0.type) }.map(\.name))
    for field in fields.values where field.name.isEmpty {
      if case .named(let inner) = field.type { result.formUnion(zeros(messages[inner] ?? [:])) }
    }
    return result
  }

  /// What a client that writes JSON leaves out: zeros of fields that are no pointers, and times that are not set.
  static func isZero(_ value: JSON) -> Bool {
    switch value {
    case .null, .bool(false), .int(0), .string(""): true
    default: false
    }
  }

  /// The message of a kind; nil for what is not decoded.
  private static func root(apiVersion: String, kind: String) -> String? {
    switch (apiVersion, kind) {
    // Sent under the group version of what it deletes.
    case (_, "DeleteOptions"): "DeleteOptions"
    case ("events.k8s.io/v1", "Event"): "EventsEvent"
    case ("policy/v1", "Eviction"), ("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
      ("authorization.k8s.io/v1", "SubjectAccessReview"), ("authorization.k8s.io/v1", "LocalSubjectAccessReview"),
      ("authorization.k8s.io/v1", "SelfSubjectRulesReview"), ("authentication.k8s.io/v1", "SelfSubjectReview"),
      ("authentication.k8s.io/v1", "TokenRequest"), ("authentication.k8s.io/v1", "TokenReview"):
      kind
    default: Kind(apiVersion: apiVersion, kind: kind).flatMap { messages[$0.name] == nil ? nil : $0.name }
    }
  }

  private static let magic: [UInt8] = [0x6B, 0x38, 0x73, 0x00]

  /// The object of a body as the tree that its JSON would have. Bounds: those of JSON.
  package static func decode(_ bytes: [UInt8]) throws(ProtobufFailure) -> JSON {
    guard bytes.starts(with: magic) else {
      throw ProtobufFailure(
        code: 400,
        message: "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    }
    let envelope = try ProtobufEnvelope(bytes, from: magic.count)
    guard envelope.contentEncoding.isEmpty, envelope.contentType.isEmpty else {
      throw .notServed("an envelope with a content encoding or type")
    }
    guard let root = root(apiVersion: envelope.apiVersion, kind: envelope.kind) else {
      let shown = JSON.string(String(envelope.kind.prefix(100))).text
      throw .notServed("kind \(shown) of \(JSON.string(String(envelope.apiVersion.prefix(100))).text)")
    }
    var decoder = ProtobufDecoder(bytes: bytes)
    var object = try decoder.message(root, in: envelope.raw, at: ProtobufPlace(kind: envelope.kind))
    object["apiVersion"] = .string(envelope.apiVersion)
    object["kind"] = .string(envelope.kind)
    return .object(object)
  }
}

/// runtime.Unknown: the type of an object and its bytes.
private struct ProtobufEnvelope {
  var apiVersion = ""
  var kind = ""
  var raw: Range<Int>
  var contentEncoding = ""
  var contentType = ""

  init(_ bytes: [UInt8], from start: Int) throws(ProtobufFailure) {
    raw = bytes.count..<bytes.count
    var cursor = ProtobufCursor(bytes: bytes, range: start..<bytes.count)
    while let tag = try cursor.tag() {
      guard tag.wire == .bytes else { throw .malformed("wrong wire type in the envelope") }
      let range = try cursor.length()
      switch tag.number {
      case 1:
        var inner = ProtobufCursor(bytes: bytes, range: range)
        while let tag = try inner.tag() {
          guard tag.wire == .bytes, tag.number == 1 || tag.number == 2 else {
            throw .malformed("wrong field in the envelope's type")
          }
          let text = try inner.text(in: try inner.length())
          if tag.number == 1 { apiVersion = text } else { kind = text }
        }
      case 2: raw = range
      case 3: contentEncoding = try cursor.text(in: range)
      case 4: contentType = try cursor.text(in: range)
      default: throw .notServed("field \(tag.number) of the envelope")
      }
    }
  }
}
