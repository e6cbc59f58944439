// Roles by name and bindings by who they are for, kept with every change of a role or a binding: what a request may is
// looked up, never searched for. Derives from the objects alone. It must not know requests or verbs.

import ClusterProto

/// Who a binding is for. A ServiceAccount is a user with a name of its own.
enum Principal: Hashable, Sendable {
  case user(String)
  case group(String)
}

/// What a kind is to authorisation.
enum AccessPart: Sendable { case role, binding }

/// A role that bindings of one place give to one principal.
struct BoundRole: Sendable {
  /// Without a namespace: a ClusterRole.
  var role: ObjectKey
  /// The names of these bindings; the first is the oldest.
  var bindings = InsertionSet<String>()
}

/// A role's rules, found by the resource that they name.
final class CompiledRole: Sendable {
  let rules: [PolicyRule]
  private let byResource: [String: [Int]]
  /// Those of every resource: looked at for each request, so not by name.
  private let ofAll: [Int]
  private let ofPaths: [Int]

  init(_ rules: [PolicyRule]) {
    self.rules = rules
    var byResource: [String: [Int]] = [:]
    var ofAll: [Int] = []
    var ofPaths: [Int] = []
    for (index, rule) in rules.enumerated() {
      if rule.resources.contains(PolicyRule.all) { ofAll.append(index) }
      for resource in rule.resources where resource != PolicyRule.all && byResource[resource]?.last != index {
        byResource[resource, default: []].append(index)
      }
      if !rule.urls.isEmpty { ofPaths.append(index) }
    }
    self.byResource = byResource
    self.ofAll = ofAll
    self.ofPaths = ofPaths
  }

  func allows(_ access: AccessAttributes) -> Bool {
    if access.resource.isEmpty {
      return ofPaths.contains { rules[$0].allows(path: access.path, verb: access.verb) }
    }
    if ofAll.contains(where: { rules[$0].allows(access) }) { return true }
    if access.subresource.isEmpty { return allows(access, access.resource) }
    return allows(access, "\(access.resource)/\(access.subresource)") || allows(access, "*/\(access.subresource)")
  }

  private func allows(_ access: AccessAttributes, _ resource: String) -> Bool {
    byResource[resource]?.contains { rules[$0].allows(access) } ?? false
  }
}

struct AccessIndex: Sendable {
  private(set) var roles: [ObjectKey: CompiledRole] = [:]
  /// By principal and namespace; without a namespace: everywhere.
  private var bound: [Principal: [String: [BoundRole]]] = [:]
  /// ClusterRoles that are sums of others: their selectors, by name, and the names sorted.
  private(set) var sums: [String: [LabelSelector]] = [:]
  private(set) var sumNames: [String] = []
  /// The ClusterRoles that each of them is the sum of.
  private(set) var parts: [String: Set<String>] = [:]
  /// Sums that may have to be made again.
  var dueSums = WorkQueue<String>()

  /// The roles that a principal has in that place alone.
  func roles(of principal: Principal, in place: String) -> [BoundRole] { bound[principal]?[place] ?? [] }

  mutating func observe(_ before: GenericObject?, _ after: GenericObject?) {
    guard let kind = (after ?? before)?.kind, let part = KindDescriptor.of(kind).access else { return }
    switch part {
    case .role:
      guard let key = (after ?? before)?.meta.key else { return }
      if after.map({ $0.body["rules"] }) != before.map({ $0.body["rules"] }) {
        roles[key] = after.map { CompiledRole(PolicyRule.list($0.body["rules"])) }
      }
      if !kind.isNamespaced { observeParts(key.name, before, after) }
    case .binding:
      if before?.body["subjects"] == after?.body["subjects"], before?.body["roleRef"] == after?.body["roleRef"],
        before != nil, after != nil
      {
        return
      }
      if let before { each(before) { $0.remove($1) } }
      if let after { each(after) { $0.insert($1) } }
    }
  }

  /// Adds a binding's name to its role, or takes it away, for each of its subjects.
  private mutating func each(_ binding: GenericObject, _ change: (inout InsertionSet<String>, String) -> Void) {
    let role = Self.role(of: binding)
    let place = binding.meta.namespace
    for subject in binding.body["subjects"]?.arrayValue ?? [] {
      guard let principal = Self.principal(subject, in: place) else { continue }
      var list = bound[principal]?[place] ?? []
      let position = list.firstIndex { $0.role == role } ?? list.endIndex
      if position == list.endIndex { list.append(BoundRole(role: role)) }
      change(&list[position].bindings, binding.meta.name)
      if list[position].bindings.isEmpty { list.remove(at: position) }
      bound[principal, default: [:]][place] = list.isEmpty ? nil : list
      if bound[principal]?.isEmpty == true { bound[principal] = nil }
    }
  }

  static func role(of binding: GenericObject) -> ObjectKey {
    let reference = binding.body["roleRef"] ?? .null
    let isOfNamespace = reference["kind"]?.stringValue == Kind.roles.name
    return ObjectKey(
      namespace: isOfNamespace ? binding.meta.namespace : "", name: reference["name"]?.stringValue ?? "")
  }

  static func principal(_ subject: JSON, in place: String) -> Principal? {
    let name = subject["name"]?.stringValue ?? ""
    switch subject["kind"]?.stringValue {
    case "User": return .user(name)
    case "Group": return .group(name)
    case "ServiceAccount":
      let given = subject["namespace"]?.stringValue ?? ""
      let namespace = given.isEmpty ? place : given
      return namespace.isEmpty ? nil : .user(Subject.serviceAccountName(namespace, name))
    default: return nil
    }
  }

  // Sums of ClusterRoles.

  private mutating func observeParts(_ name: String, _ before: GenericObject?, _ after: GenericObject?) {
    let selectors = Self.selectors(after)
    if selectors != Self.selectors(before) {
      sums[name] = selectors
      sumNames.removeAll { $0 == name }
      parts[name] = nil
      if selectors != nil {
        sumNames.insert(name, at: sumNames.firstIndex { $0 > name } ?? sumNames.endIndex)
        // Its parts are found when it is made.
      }
    }
    if selectors != nil { dueSums.add(name) }
    for sum in sumNames where sum != name {
      guard let selectors = sums[sum] else { continue }
      let isPart = after.map { object in selectors.contains { $0.matches(object.meta.labels) } } ?? false
      let wasPart = parts[sum]?.contains(name) ?? false
      if isPart != wasPart { if isPart { parts[sum]?.insert(name) } else { parts[sum]?.remove(name) } }
      if isPart || wasPart { dueSums.add(sum) }
    }
  }

  private static func selectors(_ role: GenericObject?) -> [LabelSelector]? {
    role?.body["aggregationRule"]?["clusterRoleSelectors"]?.arrayValue?.map { LabelSelector(json: $0) }
  }

  /// Remembers what a sum is made of, found by a look at all ClusterRoles.
  mutating func found(_ names: Set<String>, of sum: String) { parts[sum] = names }
}
