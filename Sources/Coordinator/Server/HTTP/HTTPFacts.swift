// Owns: what is served without the core: version, the index of paths, OpenAPI documents. Each is made once.
// It must not know objects.

import ClusterIO
import ClusterProto
import CoordinatorCore

enum HTTPFacts {
  struct Answer: Sendable {
    var code = 200
    var bytes: [UInt8]
    var type = "application/json"

    init(_ json: JSON) { bytes = json.bytes + [0x0A] }

    init(pretty json: JSON) { bytes = Array(json.pretty(indent: 2).utf8) }

    init(text: String) {
      bytes = Array(text.utf8)
      type = "text/plain; charset=utf-8"
    }
  }

  /// Kubernetes' version whose API this is. Clients choose what they send by it.
  static let gitVersion = "v1.31.0+stint"

  /// What everybody may read.
  static func open(_ target: HTTPTarget) -> Answer? {
    target.parts == ["version"] ? version : HTTPHealth.answer(target)
  }

  /// What is served to whom has a credential.
  static func closed(_ target: HTTPTarget, _ request: HTTPRequest) -> Answer? {
    let parts = target.parts
    switch parts.first {
    case nil: return index
    case "api", "apis":
      return HTTPDiscovery.answer(parts, request)
    case "openapi":
      if parts == ["openapi", "v2"] {
        let isProtobuf = request.header("accept")?.contains("com.github.proto-openapi") == true
        return isProtobuf ? openAPI2Protobuf : openAPI2
      }
      guard parts.count > 1, parts[1] == "v3" else { return nil }
      switch parts.count {
      case 2: return openAPI
      case 4 where parts[2] == "api" && parts[3] == "v1": return documents[""]
      case 5 where parts[2] == "apis" && !parts[3].isEmpty && parts[4] == "v1": return documents[parts[3]]
      default: return nil
      }
    default: return nil
    }
  }

  private static let version = Answer(pretty: [
    "major": "1", "minor": "31", "gitVersion": .string(gitVersion), "gitCommit": "", "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "swiftc",
    "platform": .string("linux/\(MachineFacts.readArchitecture())"),
  ])

  private static let index = Answer(pretty: [
    "paths": .array(
      (["/api", "/api/v1", "/apis"]
        + ServedResource.discoveredGroups.flatMap { ["/apis/\($0)", "/apis/\($0)/\(ServedResource.version(of: $0))"] }
        + [
          "/healthz", "/livez", "/openapi/v3", "/readyz", "/version",
        ]).map { .string($0) })
  ])

  // OpenAPI. Version 2 describes nothing: kubectl asks for it where version 3 lacks a kind, and would call its absence
  // an error of its own instead of saying that there is no such kind.

  private static let openAPI2 = Answer([
    "swagger": "2.0", "info": ["title": "Stint", "version": "v1"], "paths": [:], "definitions": [:],
  ])

  /// The same as a message of gnostic's openapi.v2.Document: swagger (1), info (2) with title (1) and version (2).
  private static let openAPI2Protobuf: Answer = {
    func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(bytes.count)] + bytes }
    let info = field(1, Array("Stint".utf8)) + field(2, Array("v1".utf8))
    var answer = Answer(text: "")
    answer.bytes = field(1, Array("2.0".utf8)) + field(2, info)
    answer.type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    return answer
  }()

  /// What is measured has no schema here.
  private static let described = [""] + ServedResource.discoveredGroups.filter { $0 != MetricsGroup.name }

  private static let documents = Dictionary(
    uniqueKeysWithValues: described.map { ($0, Answer(OpenAPI.document(group: $0))) })

  private static let openAPI = Answer([
    "paths": .object(
      JSONObject(
        entries: described.map { name in
          let path = name.isEmpty ? "api/v1" : "apis/\(name)/v1"
          // Clients keep a document by its hash.
          let hash = documents[name].map { SHA256.hex(of: $0.bytes) } ?? ""
          return (path, ["serverRelativeURL": .string("/openapi/v3/\(path)?hash=\(hash)")])
        }))
  ])
}
