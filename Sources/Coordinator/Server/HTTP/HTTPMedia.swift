// Owns: media types: the form of answer that Accept asks for, and what a body's Content-Type makes of its bytes.
// It must not know what bodies mean.

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
  /// The first range of Accept that can be served; nil when none can. An absent header takes anything.
  static func form(accept: String?) -> AnswerForm? {
    guard let accept, !accept.trimmingSpaces.isEmpty else { return .object }
    for range in accept.split(separator: ",").map({ MediaType($0) }) {
      guard ["application/json", "application/*", "*/*"].contains(range.name) else { continue }
      let isMeta = range.parameter("g") == "meta.k8s.io" && range.parameter("v") == "v1"
      switch range.parameter("as") {
      case "": return .object
      case "Table" where isMeta: return .table
      case "PartialObjectMetadata" where isMeta, "PartialObjectMetadataList" where isMeta: return .metadata
      default: continue
      }
    }
    return nil
  }

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

  /// Whether a body is compressed.
  static func isGzip(_ request: HTTPRequest) -> Bool { request.header("content-encoding")?.lowercased() == "gzip" }

  static let protobuf = "application/vnd.kubernetes.protobuf"

  /// The body as a tree, and for a patch its kind; no body leaves both nil. `strictErrors`: keys that stand twice, as
  /// strict decoding words them.
  static func body(
    _ request: HTTPRequest
  ) throws(HTTPFailure) -> (json: JSON?, patch: PatchKind?, strictErrors: [String]) {
    if request.body.isEmpty, request.method != "PATCH" { return (nil, nil, []) }
    let type = MediaType(request.header("content-type") ?? "").name
    var strictErrors: [String] = []
    if request.method == "PATCH" {
      guard let kind = PatchKind(rawValue: type) else { throw unsupported(type, PatchKind.allTypes) }
      return (try parse(request.body, isYAML: kind == .apply, &strictErrors), kind, strictErrors)
    }
    switch type {
    case "application/json": return (try parse(request.body, isYAML: false, &strictErrors), nil, strictErrors)
    // Client libraries leave the type out, and Kubernetes takes that as JSON. A page in a browser can leave it out,
    // too, but not its Origin.
    case "" where request.header("origin") == nil:
      return (try parse(request.body, isYAML: false, &strictErrors), nil, strictErrors)
    case "application/yaml": return (try parse(request.body, isYAML: true, &strictErrors), nil, strictErrors)
    case protobuf:
      do throws(ProtobufFailure) {
        return (try Protobuf.decode(request.body), nil, [])
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

  private static func parse(
    _ bytes: [UInt8], isYAML: Bool, _ strictErrors: inout [String]
  ) throws(HTTPFailure) -> JSON {
    if isYAML {
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
      return only
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

extension PatchKind {
  /// The media types of patches, as a refusal lists them.
  static let allTypes: [String] = [
    PatchKind.json.rawValue, PatchKind.merge.rawValue, PatchKind.strategic.rawValue, PatchKind.apply.rawValue,
  ]
}
