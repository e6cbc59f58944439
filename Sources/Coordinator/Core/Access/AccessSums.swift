// ClusterRoles that are sums of others (aggregationRule), as Kubernetes' controller makes them: the rules of each part,
// by the parts' names, each once. Driven by changes. It must not know who has the roles.

import ClusterProto

extension CoordinatorCore {
  /// Called for every object change, also for each row at start.
  mutating func accessObserve(_ change: ObjectChange) {
    guard case .other(let subject)? = change.subject else { return }
    if KindDescriptor.of(subject.kind).access == nil { return }
    func generic(_ object: APIObject?) -> GenericObject? {
      if case .other(let other)? = object { other } else { nil }
    }
    access.observe(generic(change.before), generic(change.after))
  }

  /// Makes sums again that may have changed; returns how many it looked at.
  mutating func sumRoles(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let name = access.dueSums.next() {
      touched += 1
      sumRole(name)
    }
    return touched
  }

  private mutating func sumRole(_ name: String) {
    guard let selectors = access.sums[name] else { return }
    if access.parts[name] == nil {
      var found: Set<String> = []
      for key in state.keys(of: .clusterroles) where key.name != name {
        guard let role = state.other(.clusterroles, key) else { continue }
        if selectors.contains(where: { $0.matches(role.meta.labels) }) { found.insert(key.name) }
      }
      access.found(found, of: name)
    }
    var rules: [PolicyRule] = []
    var seen: Set<PolicyRule> = []
    for part in (access.parts[name] ?? []).sorted() {
      for rule in access.roles[ObjectKey(namespace: "", name: part)]?.rules ?? [] where seen.insert(rule).inserted {
        rules.append(rule)
      }
    }
    // What a request may cost is bounded here, too.
    let json: JSON = rules.isEmpty ? .null : .array(rules.prefix(MetaValidation.listLimit).map(\.json))
    update(ObjectReference(kind: .clusterroles, key: ObjectKey(namespace: "", name: name))) { object in
      guard case .other(var role) = object, role.body["rules"] ?? .null != json else { return }
      role.body["rules"] = json
      object = .other(role)
    }
  }
}
