// Sets of fields, as managedFields holds them: a trie whose edges are FieldsV1's names. Union, intersection,
// difference, the FieldsV1 form, and paths as Kubernetes prints them. Knows nothing of schemas or managers.

import ClusterProto

/// A node of the trie: whether the field itself is in the set, and what is below it.
struct FieldSet: Equatable, Sendable {
  struct Child: Equatable, Sendable {
    /// `f:name`, `k:{"name":"main"}` or `v:"text"`.
    var key: String
    var set: FieldSet
  }

  var isMember = false
  /// In the order of their keys.
  private(set) var children: [Child] = []

  init(isMember: Bool = false) { self.isMember = isMember }

  /// The set with these edges, in any order, of which none is empty.
  init(isMember: Bool = false, children: [Child]) {
    self.isMember = isMember
    let isOrdered = zip(children, children.dropFirst()).allSatisfy { $0.key < $1.key }
    if isOrdered {
      self.children = children
    } else {
      // Spellings of one text are one edge.
      for child in children.sorted(by: { $0.key < $1.key }) {
        if let last = self.children.last, last.key == child.key { self.children.removeLast() }
        self.children.append(child)
      }
    }
  }

  /// The set of these paths of member names.
  init(paths: [[String]]) {
    for path in paths { insert(path[...]) }
  }

  var isEmpty: Bool { !isMember && children.isEmpty }

  private mutating func insert(_ path: ArraySlice<String>) {
    guard let name = path.first else {
      isMember = true
      return
    }
    var child = self["f:" + name] ?? FieldSet()
    child.insert(path.dropFirst())
    self["f:" + name] = child
  }

  /// What is below an edge. Setting an empty set removes the edge.
  subscript(key: String) -> FieldSet? {
    get {
      let index = position(of: key)
      return index < children.count && children[index].key == key ? children[index].set : nil
    }
    set {
      let index = position(of: key)
      let isThere = index < children.count && children[index].key == key
      if let newValue, !newValue.isEmpty {
        if isThere {
          children[index].set = newValue
        } else {
          children.insert(Child(key: key, set: newValue), at: index)
        }
      } else if isThere {
        children.remove(at: index)
      }
    }
  }

  private func position(of key: String) -> Int {
    // Walks build sets in order: the end is the common place.
    if let last = children.last, last.key < key { return children.count }
    var low = 0
    var high = children.count
    while low < high {
      let middle = (low + high) / 2
      if children[middle].key < key { low = middle + 1 } else { high = middle }
    }
    return low
  }

  func union(_ other: FieldSet) -> FieldSet { combined(other) { $0 || $1 } }
  func intersection(_ other: FieldSet) -> FieldSet { combined(other) { $0 && $1 } }
  /// Without exactly the other's members; what lies below a removed member stays.
  func subtracting(_ other: FieldSet) -> FieldSet { combined(other) { $0 && !$1 } }

  private func combined(_ other: FieldSet, _ rule: (Bool, Bool) -> Bool) -> FieldSet {
    if other.isEmpty { return rule(true, false) ? self : FieldSet() }
    if isEmpty { return rule(false, true) ? other : FieldSet() }
    var result = FieldSet(isMember: rule(isMember, other.isMember))
    if !rule(false, true), other.children.count > 8 * children.count {
      // Of a few edges each is looked up in many.
      for child in children {
        let set = child.set.combined(other[child.key] ?? FieldSet(), rule)
        if !set.isEmpty { result.children.append(Child(key: child.key, set: set)) }
      }
      return result
    }
    var left = 0
    var right = 0
    while left < children.count || right < other.children.count {
      let isLeft =
        right == other.children.count || left < children.count && children[left].key < other.children[right].key
      let isRight =
        !isLeft && (left == children.count || other.children[right].key < children[left].key)
      let key = isRight ? other.children[right].key : children[left].key
      let child = (isRight ? FieldSet() : children[left].set).combined(
        isLeft ? FieldSet() : other.children[right].set, rule)
      if !child.isEmpty { result.children.append(Child(key: key, set: child)) }
      if !isRight { left += 1 }
      if !isLeft { right += 1 }
    }
    return result
  }

  /// All but what is below one edge of the root.
  func dropping(_ key: String) -> FieldSet {
    var result = self
    result[key] = nil
    return result
  }

  /// The set with every struct's field that has members below it a member too.
  func namingFields(_ form: FieldForm) -> FieldSet {
    var result = FieldSet(isMember: isMember)
    for child in children {
      var (inner, isNamed) = (FieldForm.untyped, false)
      if child.key.hasPrefix("f:") {
        (inner, isNamed) = form.member(String(child.key.dropFirst(2)))
      } else if child.key.hasPrefix("k:") {
        inner = form.element
      }
      var set = child.set.namingFields(inner)
      if isNamed, !set.children.isEmpty { set.isMember = true }
      result.children.append(Child(key: child.key, set: set))
    }
    return result
  }
}

extension FieldSet {
  /// Reads FieldsV1. Names of a kind that is not known are left out, as Kubernetes does; nil for what is none.
  init?(json: JSON) {
    guard let members = json.objectValue else { return nil }
    var (isMember, children) = (false, [Child]())
    for (key, value) in members {
      if key == "." {
        isMember = true
        continue
      }
      guard ["f:", "k:", "v:", "i:"].contains(String(key.prefix(2))) else { continue }
      guard var child = FieldSet(json: value) else { return nil }
      if child.isEmpty { child.isMember = true }
      children.append(Child(key: key, set: child))
    }
    self.init(isMember: isMember, children: children)
  }

  /// FieldsV1. A leaf is `{}`, a member with more below it has `.`.
  var json: JSON {
    var members: [(String, JSON)] = []
    members.reserveCapacity(children.count + 1)
    if isMember, !children.isEmpty { members.append((".", .object(JSONObject()))) }
    for child in children { members.append((child.key, child.set.json)) }
    return .object(JSONObject(entries: members))
  }

  /// Every member as Kubernetes prints paths: `.spec.template.spec.containers[name="main"].image`; of one parent its
  /// members come before what is below them.
  var paths: [String] {
    var result: [String] = []
    collect("", &result)
    return result
  }

  private func collect(_ prefix: String, _ result: inout [String]) {
    for child in children where child.set.isMember { result.append(prefix + Self.text(child.key)) }
    for child in children where !child.set.children.isEmpty {
      child.set.collect(prefix + Self.text(child.key), &result)
    }
  }

  /// One edge as a part of a path, which all that lies below it repeats: so a long one is cut.
  static func text(_ key: String) -> String { Excerpt.of(whole(key)) }

  private static func whole(_ key: String) -> String {
    let rest = key.dropFirst(2)
    switch key.prefix(2) {
    case "f:": return ".\(rest)"
    case "v:": return "[=\(rest)]"
    case "k:":
      guard let keys = try? JSON(parsing: Array(rest.utf8)), let members = keys.objectValue else { return "[\(rest)]" }
      return "[" + members.map { "\($0.key)=\($0.value.text)" }.joined(separator: ",") + "]"
    default: return "[\(rest)]"
    }
  }
}
