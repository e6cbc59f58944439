// Owns: what is served without the core: version, health, discovery, OpenAPI documents. Each is made once.
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

    init(text: String) {
      bytes = Array(text.utf8)
      type = "text/plain; charset=utf-8"
    }
  }

  /// Kubernetes' version whose API this is. Clients choose what they send by it.
  static let gitVersion = "v1.31.0+stint"

  /// What everybody may read.
  static func open(_ parts: [String]) -> Answer? {
    switch parts {
    case ["version"]: version
    case ["healthz"], ["livez"], ["readyz"]: Answer(text: "ok")
    default: nil
    }
  }

  /// What is served to whom has a credential.
  static func closed(_ target: HTTPTarget, _ request: HTTPRequest) -> Answer? {
    let parts = target.parts
    switch parts.first {
    case nil: return index
    case "api":
      if parts.count == 1 {
        return HTTPMedia.wantsAggregated(accept: request.header("accept")) ? aggregatedCore : api(request)
      }
      return parts == ["api", "v1"] ? resources[""] : nil
    case "apis":
      if parts.count == 1 { return HTTPMedia.wantsAggregated(accept: request.header("accept")) ? aggregated : apis }
      guard !parts[1].isEmpty, parts.count == 2 || parts.count == 3 && parts[2] == "v1" else { return nil }
      return parts.count == 2 ? group[parts[1]] : resources[parts[1]]
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

  private static let version = Answer([
    "major": "1", "minor": "31", "gitVersion": .string(gitVersion), "gitCommit": "", "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "swiftc", "platform": "linux",
  ])

  private static let groups = Set(Kind.allCases.map(\.group)).sorted().filter { !$0.isEmpty }
  private static let index = Answer([
    "paths": .array(
      (["/api", "/api/v1", "/apis"] + groups.flatMap { ["/apis/\($0)", "/apis/\($0)/v1"] } + [
        "/healthz", "/livez", "/openapi/v3", "/readyz", "/version",
      ]).map { .string($0) })
  ])

  // Discovery, one list a request.

  /// The address is the one that the client came by; typed clients do without none.
  private static func api(_ request: HTTPRequest) -> Answer {
    let address: JSON = ["clientCIDR": "0.0.0.0/0", "serverAddress": .string(request.header("host") ?? "")]
    return Answer(["kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]])
  }

  private static let apis = Answer([
    "kind": "APIGroupList", "apiVersion": "v1", "groups": .array(groups.map(groupObject)),
  ])
  private static let group = Dictionary(
    uniqueKeysWithValues: groups.map { name in
      var object = groupObject(name)
      object["kind"] = "APIGroup"
      object["apiVersion"] = "v1"
      return (name, Answer(object))
    })

  private static func groupObject(_ name: String) -> JSON {
    let version: JSON = ["groupVersion": .string("\(name)/v1"), "version": "v1"]
    return ["name": .string(name), "versions": [version], "preferredVersion": version]
  }

  private static let resources = Dictionary(
    uniqueKeysWithValues: ([""] + groups).map { name in
      let list: JSON = [
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": .string(name.isEmpty ? "v1" : "\(name)/v1"),
        "resources": .array(Kind.allCases.filter { $0.group == name }.flatMap(resourceObjects)),
      ]
      return (name, Answer(list))
    })

  private static func verbs(_ kind: Kind) -> [String] {
    var verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    if kind == .namespaces { verbs.remove(at: 2) }
    return verbs
  }

  /// Subresources and their verbs.
  private static func subresources(_ kind: Kind) -> [(name: String, verbs: [String])] {
    let status = ("status", ["get", "patch", "update"])
    switch kind {
    case .pods: return [("log", ["get"]), status]
    case .jobs, .nodes, .namespaces: return [status]
    default: return []
    }
  }

  private static func strings(_ texts: [String]) -> JSON { .array(texts.map { .string($0) }) }

  private static func resourceObjects(_ kind: Kind) -> [JSON] {
    var object: JSON = [
      "name": .string(kind.plural), "singularName": .string(kind.singular), "namespaced": .bool(kind.isNamespaced),
      "kind": .string(kind.name), "verbs": strings(verbs(kind)),
    ]
    if !kind.shortNames.isEmpty { object["shortNames"] = strings(kind.shortNames) }
    if isInAll(kind) { object["categories"] = ["all"] }
    let rest: [JSON] = subresources(kind).map { subresource in
      [
        "name": .string("\(kind.plural)/\(subresource.name)"), "singularName": "",
        "namespaced": .bool(kind.isNamespaced), "kind": .string(kind.name), "verbs": strings(subresource.verbs),
      ]
    }
    return [object] + rest
  }

  private static func isInAll(_ kind: Kind) -> Bool { [.pods, .jobs, .services].contains(kind) }

  // Discovery, all at once.

  private static let aggregatedCore = aggregatedList([""])
  private static let aggregated = aggregatedList(groups)

  private static func aggregatedList(_ groups: [String]) -> Answer {
    let items: [JSON] = groups.map { name in
      let kinds = Kind.allCases.filter { $0.group == name }
      var metadata: JSON = ["creationTimestamp": .null]
      if !name.isEmpty { metadata["name"] = .string(name) }
      return [
        "metadata": metadata,
        "versions": [
          ["version": "v1", "freshness": "Current", "resources": .array(kinds.map(aggregatedResource))]
        ],
      ]
    }
    var answer = Answer([
      "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": [:],
      "items": .array(items),
    ])
    answer.type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    return answer
  }

  private static func aggregatedResource(_ kind: Kind) -> JSON {
    let type: JSON = ["group": .string(kind.group), "version": "v1", "kind": .string(kind.name)]
    var object: JSON = [
      "resource": .string(kind.plural), "responseKind": type, "scope": kind.isNamespaced ? "Namespaced" : "Cluster",
      "singularResource": .string(kind.singular), "verbs": strings(verbs(kind)),
    ]
    if !kind.shortNames.isEmpty { object["shortNames"] = strings(kind.shortNames) }
    if isInAll(kind) { object["categories"] = ["all"] }
    let inner: [JSON] = subresources(kind).map { subresource in
      ["subresource": .string(subresource.name), "responseKind": type, "verbs": strings(subresource.verbs)]
    }
    if !inner.isEmpty { object["subresources"] = .array(inner) }
    return object
  }

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

  private static let documents = Dictionary(
    uniqueKeysWithValues: ([""] + groups).map { ($0, Answer(OpenAPI.document(group: $0))) })

  private static let openAPI = Answer([
    "paths": .object(
      JSONObject(
        entries: ([""] + groups).map { name in
          let path = name.isEmpty ? "api/v1" : "apis/\(name)/v1"
          // Clients keep a document by its hash.
          let hash = documents[name].map { Crypto.hex(Crypto.sha256($0.bytes)) } ?? ""
          return (path, ["serverRelativeURL": .string("/openapi/v3/\(path)?hash=\(hash)")])
        }))
  ])
}
