// What objects say about fields: the set of fields of a configuration, the comparison of two states, the merge of a
// configuration into a state, and the removal of a set. The rules are structured-merge-diff's, which server-side apply
// is defined by. Knows nothing of managers.

import ClusterProto

/// How one state differs from another: fields added, removed and modified, containers that came or went included.
struct FieldComparison: Sendable {
  var added = FieldSet()
  var removed = FieldSet()
  var modified = FieldSet()

  /// Fields that have a new value.
  var taken: FieldSet { added.union(modified) }

  init() {}

  /// `nil` is absent; null is a value. Elements of one name are compared together, as one value.
  init(_ left: JSON?, _ right: JSON?, _ form: FieldForm) {
    let form = form.resolved(left, right)
    if form.isLeaf || Self.isEmpty(left) && Self.isEmpty(right) {
      if left == nil {
        added.isMember = true
      } else if right == nil {
        removed.isMember = true
      } else if left != right {
        modified.isMember = true
      }
      return
    }
    var parts = Parts()
    switch form {
    case .fields, .map:
      let (old, new) = (left?.objectValue ?? JSONObject(), right?.objectValue ?? JSONObject())
      for (key, value) in old { parts.attach("f:" + key, value, new[key], form.member(key).form) }
      for (key, value) in new where !old.contains(key) { parts.attach("f:" + key, nil, value, form.member(key).form) }
    default:
      let old = FieldMerge.elements(left, form)
      let new = FieldMerge.elements(right, form)
      for key in old.keys {
        let isTwice = old.repeated.contains(key) || new.repeated.contains(key)
        parts.attach(key, old.values[key], new.values[key], isTwice ? .atomic(.any) : form.element)
      }
      for key in new.keys where old.values[key] == nil {
        parts.attach(key, nil, new.values[key], new.repeated.contains(key) ? .atomic(.any) : form.element)
      }
    }
    added = FieldSet(isMember: left == nil, children: parts.added)
    removed = FieldSet(isMember: right == nil, children: parts.removed)
    modified = FieldSet(children: parts.modified)
  }

  /// What is below one place, gathered before it is put in order at once.
  private struct Parts {
    var added: [FieldSet.Child] = []
    var removed: [FieldSet.Child] = []
    var modified: [FieldSet.Child] = []

    mutating func attach(_ key: String, _ left: JSON?, _ right: JSON?, _ form: FieldForm) {
      let inner = FieldComparison(left, right, form)
      if !inner.added.isEmpty { added.append(FieldSet.Child(key: key, set: inner.added)) }
      if !inner.removed.isEmpty { removed.append(FieldSet.Child(key: key, set: inner.removed)) }
      if !inner.modified.isEmpty { modified.append(FieldSet.Child(key: key, set: inner.modified)) }
    }
  }

  /// Absent, null, or without members: such pairs are compared as values, which keeps null and empty apart.
  static func isEmpty(_ json: JSON?) -> Bool {
    switch json {
    case nil, .null?: true
    case .object(let members)?: members.isEmpty
    case .array(let values)?: values.isEmpty
    default: false
    }
  }
}

enum FieldMerge {
  /// A list's elements by their names, each name once in the order of first appearance.
  struct Elements {
    var keys: [String] = []
    var values: [String: JSON] = [:]
    /// Names that several elements have: their value is the list of them all.
    var repeated: Set<String> = []
  }

  static func elements(_ json: JSON?, _ form: FieldForm) -> Elements {
    var result = Elements()
    var groups: [[JSON]] = []
    var places: [String: Int] = [:]
    for value in json?.arrayValue ?? [] {
      guard let key = form.elementKey(value) else { continue }
      if let place = places[key] {
        groups[place].append(value)
      } else {
        places[key] = groups.count
        result.keys.append(key)
        groups.append([value])
      }
    }
    for (key, group) in zip(result.keys, groups) {
      result.values[key] = group.count == 1 ? group[0] : .array(group)
      if group.count > 1 { result.repeated.insert(key) }
    }
    return result
  }

  /// The fields that a configuration names.
  static func fieldSet(_ json: JSON, _ form: FieldForm) -> FieldSet {
    let form = form.resolved(json)
    if form.isLeaf { return FieldSet(isMember: true) }
    var children: [FieldSet.Child] = []
    switch form {
    case .fields, .map:
      for (key, value) in json.objectValue ?? JSONObject() {
        let (inner, isNamed) = form.member(key)
        var child = fieldSet(value, inner)
        if !isNamed || value.isNull || value.objectValue?.isEmpty == true { child.isMember = true }
        if !child.isEmpty { children.append(FieldSet.Child(key: "f:" + key, set: child)) }
      }
    default:
      let elements = elements(json, form)
      for key in elements.keys {
        guard let value = elements.values[key] else { continue }
        var child = elements.repeated.contains(key) ? FieldSet() : fieldSet(value, form.element)
        child.isMember = true
        children.append(FieldSet.Child(key: key, set: child))
      }
    }
    return FieldSet(children: children)
  }

  /// The live state with the configuration laid over it: what it names wins, null included.
  static func merge(_ live: JSON?, _ config: JSON?, _ form: FieldForm) -> JSON? {
    guard let config else { return live }
    guard let live else { return config }
    let form = form.resolved(live, config)
    if form.isLeaf { return config }
    // Only leaves are set to null.
    if config.isNull, !FieldComparison.isEmpty(live) { return live }
    switch form {
    case .fields, .map:
      guard let new = config.objectValue else { return config }
      guard let old = live.objectValue, !old.isEmpty || !new.isEmpty else { return config }
      return .object(old.merging(new) { key, before, value in merge(before, value, form.member(key).form) })
    default:
      guard config.arrayValue != nil, !(live.arrayValue ?? []).isEmpty else { return config }
      return .array(mergeElements(live, config, form))
    }
  }

  /// The configuration's elements in its order, the live ones that it does not name in theirs, between the neighbours
  /// that both lists share.
  private static func mergeElements(_ live: JSON, _ config: JSON, _ form: FieldForm) -> [JSON] {
    let old = (live.arrayValue ?? []).map { (key: form.elementKey($0), value: $0) }
    let known = elements(live, form)
    let new = elements(config, form)
    var shared = new.keys.filter { known.values[$0] != nil }[...]
    var nextShared = shared.popFirst()
    var done: Set<String> = []
    var result: [JSON] = []
    func take(_ key: String) {
      let before = known.repeated.contains(key) ? nil : known.values[key]
      if let value = merge(before, new.values[key], form.element) { result.append(value) }
      done.insert(key)
    }
    var (left, right) = (0, 0)
    while left < old.count || right < new.keys.count {
      let key = left < old.count ? old[left].key : nil
      let isNamed = key.map { new.values[$0] != nil } ?? false
      if left < old.count, !isNamed {
        result.append(old[left].value)
        left += 1
        continue
      }
      if let key, right < new.keys.count {
        if key == new.keys[right] {
          take(key)
          left += 1
          right += 1
          nextShared = shared.popFirst()
          continue
        }
        // Shared, but not the one whose turn it is: it comes where the configuration has it.
        if let nextShared, nextShared != key {
          left += 1
          continue
        }
      }
      if let key, done.contains(key) { left += 1 }
      if right < new.keys.count {
        take(new.keys[right])
        if nextShared == new.keys[right] { nextShared = shared.popFirst() }
        right += 1
      } else if let key, !done.contains(key) {
        left += 1
      }
    }
    return result
  }

  /// The value without the set's members; what loses everything becomes null.
  static func remove(_ set: FieldSet, from json: JSON, _ form: FieldForm) -> JSON {
    let form = form.resolved(json)
    switch form {
    case .scalar, .untyped: return json
    case .atomic: return json.arrayValue != nil || json.objectValue != nil ? .null : json
    case .fields, .map:
      guard let members = json.objectValue, !members.isEmpty else { return .null }
      var result: [(String, JSON)] = []
      for (key, value) in members {
        let below = set["f:" + key]
        if below?.isMember == true { continue }
        let inner = below.map { remove($0, from: value, form.member(key).form) } ?? value
        result.append((key, inner))
      }
      return result.isEmpty ? .null : .object(JSONObject(entries: result))
    case .set, .list:
      var result: [JSON] = []
      for value in json.arrayValue ?? [] {
        let below = form.elementKey(value).flatMap { set[$0] }
        if below?.isMember == true { continue }
        result.append(below.map { remove($0, from: value, form.element) } ?? value)
      }
      return result.isEmpty ? .null : .array(result)
    }
  }
}
