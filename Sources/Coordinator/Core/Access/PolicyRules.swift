// One rule of a role: what it allows, whether it covers another one, and how Kubernetes writes it. Pure comparisons of
// texts. It must not know roles, bindings or who asks.

import ClusterProto

/// A PolicyRule of rbac.authorization.k8s.io/v1.
struct PolicyRule: Hashable, Sendable {
  static let all = "*"
  /// Everything that can be done with objects, and with paths.
  static let everything = [
    PolicyRule(verbs: [all], groups: [all], resources: [all]), PolicyRule(verbs: [all], urls: [all]),
  ]

  var verbs: [String]
  var groups: [String] = []
  var resources: [String] = []
  /// The objects that it is about; none: all.
  var names: [String] = []
  /// Paths that name no resource.
  var urls: [String] = []

  init(
    verbs: [String], groups: [String] = [], resources: [String] = [], names: [String] = [], urls: [String] = []
  ) {
    self.verbs = verbs
    self.groups = groups
    self.resources = resources
    self.names = names
    self.urls = urls
  }

  init(json: JSON) {
    func texts(_ member: String) -> [String] { (json[member]?.arrayValue ?? []).compactMap(\.stringValue) }
    self.init(
      verbs: texts("verbs"), groups: texts("apiGroups"), resources: texts("resources"), names: texts("resourceNames"),
      urls: texts("nonResourceURLs"))
  }

  /// The rules of a role's `rules`.
  static func list(_ json: JSON?) -> [PolicyRule] { (json?.arrayValue ?? []).map { PolicyRule(json: $0) } }

  var json: JSON {
    var result: JSON = [:]
    for (member, texts) in members where !texts.isEmpty { result[member] = .array(texts.map { .string($0) }) }
    return result
  }

  private var members: [(String, [String])] {
    [
      ("apiGroups", groups), ("resources", resources), ("nonResourceURLs", urls), ("resourceNames", names),
      ("verbs", verbs),
    ]
  }

  /// Kubernetes' CompactString, by which it names rights that somebody lacks.
  var text: String {
    let labels = ["APIGroups", "Resources", "NonResourceURLs", "ResourceNames", "Verbs"]
    let parts = zip(labels, members).compactMap { label, member -> String? in
      if member.1.isEmpty { return nil }
      return "\(label):\(Self.quoted(member.1))"
    }
    return "{\(parts.joined(separator: ", "))}"
  }

  /// Go's `%q` of a list of texts.
  static func quoted(_ texts: [String]) -> String {
    "[\(texts.map { JSON.string($0).text }.joined(separator: " "))]"
  }

  // What it allows.

  /// Whether it allows this of a resource that its `resources` are known to name.
  func allows(_ access: AccessAttributes) -> Bool {
    Self.has(verbs, access.verb) && Self.has(groups, access.group) && (names.isEmpty || names.contains(access.name))
  }

  /// Whether it allows the verb on a path.
  func allows(path: String, verb: String) -> Bool {
    Self.has(verbs, verb) && urls.contains { Self.covers($0, path) }
  }

  private static func has(_ texts: [String], _ text: String) -> Bool { texts.contains { $0 == all || $0 == text } }

  /// Whether a path of a rule, which may end in `*`, stands for `path`.
  private static func covers(_ pattern: String, _ path: String) -> Bool {
    pattern == path || pattern == all || (pattern.hasSuffix(all) && path.hasPrefix(pattern.dropLast()))
  }

  // Whether it covers another rule.

  /// Whether everything that `other` allows is allowed by this rule alone.
  func covers(_ other: PolicyRule) -> Bool {
    let namesFit = names.isEmpty || (!other.names.isEmpty && other.names.allSatisfy(names.contains))
    return namesFit && Self.hasAll(verbs, other.verbs) && Self.hasAll(groups, other.groups)
      && coversResources(other.resources)
      && other.urls.allSatisfy { url in urls.contains { Self.covers($0, url) } }
  }

  private static func hasAll(_ texts: [String], _ others: [String]) -> Bool {
    texts.contains(all) || others.allSatisfy(texts.contains)
  }

  private func coversResources(_ others: [String]) -> Bool {
    if resources.contains(Self.all) { return true }
    return others.allSatisfy { other in
      if resources.contains(other) { return true }
      guard let slash = other.firstIndex(of: "/") else { return false }
      return resources.contains("*" + other[slash...])
    }
  }

  /// Comparisons of texts that a `covers` may take, at most.
  func cost(_ other: PolicyRule) -> Int {
    1 + verbs.count * other.verbs.count + groups.count * other.groups.count + resources.count * other.resources.count
      + names.count * other.names.count + urls.count * other.urls.count
  }

  /// How many rules of one group, resource, verb and name it stands for.
  var pieceCount: Int {
    let ofResources = groups.count.multipliedSaturated(by: resources.count).multipliedSaturated(by: max(1, names.count))
    return ofResources.addingSaturated(urls.count).multipliedSaturated(by: verbs.count)
  }

  /// These rules.
  var pieces: [PolicyRule] {
    var result: [PolicyRule] = []
    for group in groups {
      for resource in resources {
        for verb in verbs {
          let piece = PolicyRule(verbs: [verb], groups: [group], resources: [resource])
          result +=
            names.isEmpty
            ? [piece]
            : names.map { name in
              var named = piece
              named.names = [name]
              return named
            }
        }
      }
    }
    for url in urls { result += verbs.map { PolicyRule(verbs: [$0], urls: [url]) } }
    return result
  }

  /// Pieces of one resource as one rule again, in the order of the first of each.
  static func compacted(_ pieces: [PolicyRule]) -> [PolicyRule] {
    var result: [PolicyRule] = []
    var places: [PolicyRule: Int] = [:]
    for piece in pieces {
      var key = piece
      key.verbs = []
      if piece.urls.isEmpty, let place = places[key] {
        result[place].verbs += piece.verbs.filter { !result[place].verbs.contains($0) }
      } else {
        places[key] = result.count
        result.append(piece)
      }
    }
    return result
  }
}

/// What of some rules others do not cover. Bounded: roles may be large, and products of their lists larger by far.
struct RuleComparison {
  /// The rights that are there.
  let held: [PolicyRule]
  /// Comparisons of texts that are left.
  private var budget = 1_000_000

  init(held: [PolicyRule]) { self.held = held }

  /// The pieces of `rules` that no held rule covers; nil: there is too much to compare.
  mutating func missing(_ rules: [PolicyRule]) -> [PolicyRule]? {
    var result: [PolicyRule] = []
    for rule in rules {
      guard let isCovered = isCovered(rule) else { return nil }
      if isCovered { continue }
      guard rule.pieceCount <= budget else { return nil }
      for piece in rule.pieces {
        guard let isCovered = self.isCovered(piece) else { return nil }
        if !isCovered { result.append(piece) }
      }
    }
    return result
  }

  private mutating func isCovered(_ rule: PolicyRule) -> Bool? {
    for other in held {
      budget -= other.cost(rule)
      if budget < 0 { return nil }
      if other.covers(rule) { return true }
    }
    budget -= 1
    return budget < 0 ? nil : false
  }
}
