// The table of docs/security.md: what each built-in role may, by resource and verb, in the namespace where it is bound
// and elsewhere. Made from the rules of the built-in roles by a reading of its own, so that the page, the rules and
// what the doors do are three things that have to agree. RoleTableTests compares them.

import ClusterProto

@testable import CoordinatorCore

enum RoleTable {
  /// The roles of the columns. `everybody`: who has a name and no binding. `agent`: of its own, see the page.
  static let roles = ["view", "edit", "admin", "cluster-admin", "everybody", "agent"]

  /// One row: a resource or a part of it.
  struct Row {
    var group: String
    var resource: String
    var subresource = ""
    var isNamespaced: Bool
    /// What is served of it, and the verbs that are asked of it besides.
    var verbs: [String]

    /// Kubernetes' rules name lists of parts that nobody serves (pods/status); such a verb says nothing.
    func isAsked(_ verb: String) -> Bool {
      subresource.isEmpty || verbs.contains(verb) || !["get", "list", "watch"].contains(verb)
    }

    var name: String {
      let path = subresource.isEmpty ? resource : "\(resource)/\(subresource)"
      return group.isEmpty ? path : "\(path).\(group)"
    }
  }

  static let rows: [Row] =
    ServedResource.all.flatMap { served -> [Row] in
      let own = Row(
        group: served.group, resource: served.plural, isNamespaced: served.isNamespaced,
        verbs: served.verbs + extra(served))
      return [own]
        + served.subresources.map {
          Row(
            group: served.group, resource: served.plural, subresource: $0.name, isNamespaced: served.isNamespaced,
            verbs: $0.verbs)
        }
    } + [
      Row(group: "stint", resource: "authorities", isNamespaced: false, verbs: ["create", "delete", "get"]),
      Row(group: "stint", resource: "jointokens", isNamespaced: false, verbs: ["create", "delete", "list"]),
      Row(group: "stint", resource: "nodekeys", isNamespaced: false, verbs: ["delete"]),
      Row(group: "stint", resource: "users", isNamespaced: false, verbs: ["create", "delete", "list"]),
      Row(group: "", resource: "users", isNamespaced: false, verbs: ["impersonate"]),
      Row(group: "", resource: "groups", isNamespaced: false, verbs: ["impersonate"]),
    ]

  private static func extra(_ served: ServedResource) -> [String] {
    switch served.plural {
    case "roles", "clusterroles": ["bind", "escalate"]
    case "serviceaccounts": ["impersonate"]
    default: []
    }
  }

  /// The rules that a role has, sums included.
  private static func rules(_ role: String) -> [PolicyRule] {
    switch role {
    case "everybody":
      return BuiltIn.bindings.filter { $0.groups.contains(Subject.authenticated) }.flatMap { rules($0.role) }
    case "agent": return []
    default:
      guard let found = BuiltIn.roles.first(where: { $0.name == role }) else { return [] }
      guard let label = found.sumOf else { return found.rules }
      return BuiltIn.roles.filter { $0.labels[label] != nil }.flatMap { rules($0.name) }
    }
  }

  /// The verbs of a row that a role has where it is bound.
  static func verbs(_ role: String, _ row: Row) -> [String] {
    // An agent's own node, pods and what these use: no cell of a table of roles can say that.
    if role == "agent" {
      let own: Set = ["nodes", "pods", "secrets", "configmaps"]
      return row.group.isEmpty && row.subresource.isEmpty && own.contains(row.resource) ? ["get (own)"] : []
    }
    let path = row.subresource.isEmpty ? row.resource : "\(row.resource)/\(row.subresource)"
    let rules = rules(role)
    return row.verbs.filter { verb in
      rules.contains { rule in
        (rule.verbs.contains(verb) || rule.verbs == ["*"]) && (rule.groups.contains(row.group) || rule.groups == ["*"])
          && (rule.resources.contains(path) || rule.resources == ["*"])
      }
    }
  }

  /// Every verb that is asked of anything.
  static let allVerbs = writes + reads + ["impersonate", "bind", "escalate"]
  private static let writes = ["create", "delete", "deletecollection", "patch", "update"]
  private static let reads = ["get", "list", "watch"]

  /// A cell: `read` and `write` stand for all of these verbs that are served.
  static func cell(_ role: String, _ row: Row) -> String {
    let verbs = verbs(role, row)
    if verbs.isEmpty { return "–" }
    // Rights of their own kind are named.
    let named = ["impersonate", "bind", "escalate"]
    if verbs.count > 2, verbs == row.verbs, !verbs.contains(where: named.contains) { return "all" }
    var left = verbs
    var words: [String] = []
    for (word, group) in [("read", reads), ("write", writes)] {
      let served = group.filter(row.verbs.contains)
      guard served.count > 1, served.allSatisfy(verbs.contains) else { continue }
      words.append(word)
      left.removeAll(where: served.contains)
    }
    return (words + left).joined(separator: ", ")
  }

  /// The verbs that a cell of the page names.
  static func verbs(cell: String, _ row: Row) -> [String] {
    if cell == "–" { return [] }
    if cell == "all" { return row.verbs }
    return cell.split(separator: ", ").flatMap { word -> [String] in
      switch word {
      case "read": reads.filter(row.verbs.contains)
      case "write": writes.filter(row.verbs.contains)
      default: [String(word)]
      }
    }
  }

  static let text: String = {
    var lines = ["| resource | bound in | \(roles.joined(separator: " | ")) |", "|---|---|---|---|---|---|---|---|"]
    for row in rows {
      let cells = roles.map { cell($0, row) }
      lines.append(
        "| `\(row.name)` | \(row.isNamespaced ? "namespace" : "cluster") | \(cells.joined(separator: " | ")) |")
    }
    return lines.joined(separator: "\n") + "\n"
  }()
}
