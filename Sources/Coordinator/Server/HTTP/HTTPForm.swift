// Owns: the form of answer that Accept asks for, and laying answers of the core out in it. It must not know what is
// asked for.

import ClusterProto
import CoordinatorCore

/// How a client wants its answers.
struct HTTPForm: Equatable, Sendable {
  var form = AnswerForm.object
  /// Tables and metadata of meta.k8s.io/v1beta1, which differ from v1 in their name only.
  var isBeta = false
  var isYAML = false

  private static let version = "meta.k8s.io/v1"
  private static let beta: JSON = "meta.k8s.io/v1beta1"

  /// The first range of Accept that can be served; nil when none can. An absent header takes anything. `isPlain`: what
  /// is asked has no Table and no metadata of its own.
  init?(accept: String?, isPlain: Bool = false) {
    guard let accept, !accept.trimmingSpaces.isEmpty else { return }
    for range in accept.split(separator: ",").map({ MediaType($0) }) {
      let isJSON = ["application/json", "application/*", "*/*"].contains(range.name)
      guard isJSON || range.name == HTTPAnswer.yamlType else { continue }
      isYAML = !isJSON
      let name = range.parameter("as")
      if name.isEmpty { return }
      guard !isPlain, range.parameter("g") == "meta.k8s.io", ["v1", "v1beta1"].contains(range.parameter("v")) else {
        continue
      }
      isBeta = range.parameter("v") == "v1beta1"
      switch name {
      case "Table": form = .table
      case "PartialObjectMetadata", "PartialObjectMetadataList": form = .metadata
      default: continue
      }
      return
    }
    return nil
  }

  /// The media types that a refusal lists.
  static func served(isPlain: Bool) -> String {
    let types = [HTTPAnswer.jsonType, HTTPAnswer.yamlType]
    let views = ["Table", "PartialObjectMetadata"].map { "application/json;as=\($0);g=meta.k8s.io;v=v1" }
    return (isPlain ? types : types + views).joined(separator: ", ")
  }

  /// How the core's replies are changed for it; nil: not at all.
  var shape: ((APIReply) -> APIReply)? {
    guard isBeta, form != .object else { return nil }
    return { reply in
      switch reply {
      case .items(let items): .items(items.map { Self.inBeta($0) })
      case .event(let type, let object): .event(type: type, object: Self.inBeta(object))
      case .done(let code, let object, let warnings): .done(code: code, object: Self.inBeta(object), warnings: warnings)
      case .bytes: reply
      }
    }
  }

  /// A Table, a row of one, metadata or a frame; a Status stays as it is.
  private static func inBeta(_ object: JSON) -> JSON {
    var object = object
    if object["apiVersion"]?.stringValue == version { object["apiVersion"] = beta }
    if let inner = object["object"], inner["apiVersion"]?.stringValue == version { object["object"] = inBeta(inner) }
    if let rows = object["rows"]?.arrayValue { object["rows"] = .array(rows.map { inBeta($0) }) }
    return object
  }
}
