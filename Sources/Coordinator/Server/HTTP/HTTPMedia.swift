// Owns: media types, and what a body's Content-Type and Content-Encoding make of its bytes.
// It must not know what bodies mean.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// One media range of an Accept header, or a Content-Type.
struct MediaType: Equatable, Sendable {
  /// `application/json`, in lower case.
  var name: String
  private var parameters: [(name: String, value: String)] = []

  init(_ text: some StringProtocol) {
    let parts = text.split(separator: ";")
    name = (parts.first?.trimmingSpaces ?? "").lowercased()
    for part in parts.dropFirst() {
      let sides = part.split(separator: "=", maxSplits: 1)
      guard sides.count == 2 else { continue }
      parameters.append((sides[0].trimmingSpaces.lowercased(), sides[1].trimmingSpaces))
    }
  }

  static func == (left: MediaType, right: MediaType) -> Bool {
    left.name == right.name && left.parameters.elementsEqual(right.parameters) { $0 == $1 }
  }

  func parameter(_ name: String) -> String { parameters.first { $0.name == name }?.value ?? "" }
}

enum HTTPMedia {
  /// Whether Accept asks first for aggregated discovery, version 2.
  static func wantsAggregated(accept: String?) -> Bool {
    guard let first = accept?.split(separator: ",").first.map({ MediaType($0) }) else { return false }
    return first.name == "application/json" && first.parameter("as") == "APIGroupDiscoveryList"
      && first.parameter("g") == "apidiscovery.k8s.io" && first.parameter("v") == "v2"
  }

  /// Whether a person reads the answer: by the option `pretty`, else where a program for people asks, as in Kubernetes.
  static func isPretty(_ request: HTTPRequest, _ target: HTTPTarget) -> Bool {
    if let flag = target.flag("pretty") { return flag }
    guard let agent = request.header("user-agent") else { return false }
    return ["curl", "Wget", "Mozilla/5.0"].contains { agent.hasPrefix($0) }
  }

  /// A body's bytes as they were before compression, which may make no more than the bound of a body of them.
  private static func expanded(_ request: HTTPRequest) throws(HTTPFailure) -> [UInt8] {
    guard let coding = request.header("content-encoding"), coding.lowercased() != "identity" else {
      return request.body
    }
    guard isGzip(request) else {
      throw HTTPFailure(415, "the body's Content-Encoding is not known: gzip is")
    }
    do throws(GunzipError) {
      return try Gunzip.expand(request.body, limit: HTTPParser.bodyLimit)
    } catch {
      switch error {
      case .damaged: throw HTTPFailure(400, "the body is no whole gzip stream")
      case .tooLarge: throw HTTPFailure(413, "Request entity too large: limit is \(HTTPParser.bodyLimit)")
      }
    }
  }

  /// Whether a body is compressed.
  static func isGzip(_ request: HTTPRequest) -> Bool { request.header("content-encoding")?.lowercased() == "gzip" }

  static let protobuf = "application/vnd.kubernetes.protobuf"

  /// The body as a tree, and for a patch its kind; no body leaves both nil. `strictErrors`: keys that stand twice, as
  /// strict decoding words them.
  static func body(
    _ request: HTTPRequest
  ) throws(HTTPFailure) -> (json: JSON?, patch: PatchKind?, strictErrors: [String]) {
    if request.body.isEmpty, request.method != "PATCH" { return (nil, nil, []) }
    let bytes = try expanded(request)
    let type = MediaType(request.header("content-type") ?? "").name
    var strictErrors: [String] = []
    if request.method == "PATCH" {
      guard let kind = PatchKind(rawValue: type) else { throw unsupported(type, PatchKind.allTypes) }
      return (try parse(bytes, isYAML: kind == .apply, &strictErrors), kind, strictErrors)
    }
    switch type {
    case "application/json": return (try parse(bytes, isYAML: false, &strictErrors), nil, strictErrors)
    // Client libraries leave the type out, and Kubernetes takes that as JSON. A page in a browser can leave it out,
    // too, but not its Origin.
    case "" where request.header("origin") == nil:
      return (try parse(bytes, isYAML: false, &strictErrors), nil, strictErrors)
    case "application/yaml": return (try parse(bytes, isYAML: true, &strictErrors), nil, strictErrors)
    case protobuf:
      do throws(ProtobufFailure) {
        return (try Protobuf.decode(bytes), nil, [])
      } catch {
        throw HTTPFailure(error.code, error.message)
      }
    default: throw unsupported(type, ["application/json", "application/yaml", protobuf])
    }
  }

  private static func unsupported(_ type: String, _ served: [String]) -> HTTPFailure {
    HTTPFailure(
      415,
      "the body of the request was in an unknown format (\(JSON.string(String(type.prefix(100))).text)) - accepted "
        + "media types include: \(served.joined(separator: ", "))")
  }

  /// Bytes of YAML that is no JSON: it takes ten times as long to read, and others wait meanwhile.
  private static let yamlLimit = 1 << 20

  private static func parse(
    _ bytes: [UInt8], isYAML: Bool, _ strictErrors: inout [String]
  ) throws(HTTPFailure) -> JSON {
    if isYAML {
      let isJSON = bytes.first { $0 > 0x20 } == UInt8(ascii: "{")
      guard isJSON || bytes.count <= yamlLimit else {
        throw HTTPFailure(413, "Request entity too large: limit of YAML is \(yamlLimit): send it as JSON")
      }
      var lines: [String] = []
      let documents: [JSON]
      do throws(YAMLError) {
        documents = try YAML.documents(bytes) { lines.append("\n  \($0)") }
      } catch {
        throw HTTPFailure(400, "\(error)")
      }
      if !lines.isEmpty { strictErrors = ["yaml: unmarshal errors:\(lines.joined())"] }
      guard let only = documents.first, documents.count == 1 else {
        throw HTTPFailure(400, "a body is exactly one document")
      }
      return only.withWholeNumbers
    }
    do throws(JSONError) {
      let (value, duplicates) = try JSON.parseReportingDuplicates(bytes)
      strictErrors = duplicates.map { "duplicate field \"\($0)\"" }
      return value
    } catch {
      throw HTTPFailure(400, "couldn't get version/kind; json parse error: \(error.message)")
    }
  }
}

extension JSON {
  /// What Go makes of YAML on its way to JSON: a whole number has no point, however it was written.
  fileprivate var withWholeNumbers: JSON {
    switch self {
    case .double(let value): Int64(exactly: value).map { .int($0) } ?? self
    case .array(let values): .array(values.map(\.withWholeNumbers))
    case .object(let members):
      .object(JSONObject(entries: members.map { ($0.key, $0.value.withWholeNumbers) }))
    default: self
    }
  }
}

extension PatchKind {
  /// The media types of patches, as a refusal lists them.
  static let allTypes: [String] = [
    PatchKind.json.rawValue, PatchKind.merge.rawValue, PatchKind.strategic.rawValue, PatchKind.apply.rawValue,
  ]
}
