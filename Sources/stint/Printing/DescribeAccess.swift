// Owns: the descriptions of roles and bindings, in the words and the layout of kubectl's describer. It must not fetch
// anything.

import ClusterProto

extension Describer {
  private mutating func top(_ object: JSON) {
    field("Name", object[path: ["metadata", "name"]]?.stringValue ?? "")
    labels("Labels", object[path: ["metadata", "labels"]])
    annotations("Annotations", object[path: ["metadata", "annotations"]])
  }

  private static func texts(_ json: JSON?) -> [String] { (json?.arrayValue ?? []).compactMap(\.stringValue) }

  /// A Role or a ClusterRole: each rule by its resources.
  mutating func role(_ role: JSON) {
    top(role)
    line("PolicyRule:")
    line("Resources\tNon-Resource URLs\tResource Names\tVerbs", 1)
    line("---------\t-----------------\t--------------\t-----", 1)
    for rule in role["rules"]?.arrayValue ?? [] {
      let rest = ["nonResourceURLs", "resourceNames", "verbs"].map {
        "[\(Describer.texts(rule[$0]).joined(separator: " "))]"
      }.joined(separator: "\t")
      let names = Describer.texts(rule["resources"]).flatMap { resource in
        Describer.texts(rule["apiGroups"]).map { $0.isEmpty ? resource : "\(resource).\($0)" }
      }
      for name in names.isEmpty ? [""] : names { line("\(name)\t\(rest)", 1) }
    }
  }

  /// A RoleBinding or a ClusterRoleBinding.
  mutating func roleBinding(_ binding: JSON) {
    top(binding)
    line("Role:")
    field("Kind", binding[path: ["roleRef", "kind"]]?.stringValue ?? "", 1)
    field("Name", binding[path: ["roleRef", "name"]]?.stringValue ?? "", 1)
    line("Subjects:")
    line("Kind\tName\tNamespace", 1)
    line("----\t----\t---------", 1)
    for subject in binding["subjects"]?.arrayValue ?? [] {
      line(["kind", "name", "namespace"].map { subject[$0]?.stringValue ?? "" }.joined(separator: "\t"), 1)
    }
  }
}
