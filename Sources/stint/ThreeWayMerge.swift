// Owns: the three-way comparison of `apply`: last applied manifest, live object, new manifest; it gives a merge patch.
// It must not know kinds: lists are matched by Kubernetes' strategic merge keys, which go by the list's name.

import ClusterProto

/// Computes what `apply` has to change.
enum ThreeWayMerge {
  /// Where the manifest applied last is kept, as kubectl keeps it.
  static let annotation = "kubectl.kubernetes.io/last-applied-configuration"

  /// Keys by which elements of these lists are the same one (the patchMergeKey of Kubernetes' types). Other lists are
  /// taken whole.
  private static let mergeKeys: [String: String] = [
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "volumes": "name", "env": "name",
    "volumeMounts": "mountPath", "volumeDevices": "devicePath", "ports": "containerPort", "imagePullSecrets": "name",
    "hostAliases": "ip", "topologySpreadConstraints": "topologyKey", "ownerReferences": "uid", "conditions": "type",
    "secrets": "name", "taints": "key", "addresses": "type",
  ]

  /// Bytes that all annotations of an object may have, as in Kubernetes.
  private static let annotationBytes = 256 * 1024

  /// The manifest with itself as last-applied annotation, as it is sent; without, where that would be too long.
  static func annotated(_ manifest: JSON) -> JSON {
    var bare = manifest
    bare[path: ["metadata", "annotations", annotation]] = nil
    if bare[path: ["metadata", "annotations"]]?.objectValue == nil {
      bare[path: ["metadata", "annotations"]] = .object(JSONObject())
    }
    var result = manifest
    let text = goText(of: bare)
    if text.utf8.count > annotationBytes - annotation.utf8.count { return manifest }
    result[path: ["metadata", "annotations", annotation]] = .string(text)
    return result
  }

  /// As kubectl writes it, byte for byte: Go escapes what HTML would read. Else `stint apply` and `kubectl apply` in
  /// turn would each find the other's text and change the object for ever.
  private static func goText(of manifest: JSON) -> String {
    // Outside of strings JSON has none of these.
    manifest.text.replacing("<", with: "\\u003c").replacing(">", with: "\\u003e").replacing("&", with: "\\u0026") + "\n"
  }

  /// The manifest that was applied last, nil when `live` was not made by apply.
  static func lastApplied(_ live: JSON) -> JSON? {
    live[path: ["metadata", "annotations", annotation]]?.stringValue.flatMap { try? JSON(parsing: $0) }
  }

  /// The merge patch that takes `live` to what the manifest wants; nil when there is nothing to do.
  static func patch(last: JSON?, live: JSON, new: JSON) -> JSON? {
    difference(from: live, to: merged(last: last, live: live, new: new, name: ""))
  }

  /// `live` with what `last` had and `new` has not removed, and with `new` laid over it.
  static func merged(last: JSON?, live: JSON?, new: JSON, name: String) -> JSON {
    switch (live, new) {
    case (.object(let old)?, .object(let wanted)):
      var result = old
      for (key, value) in wanted {
        result[key] = value.isNull ? nil : merged(last: last?[key], live: old[key], new: value, name: key)
      }
      for (key, _) in last?.objectValue ?? JSONObject() where !wanted.contains(key) { result[key] = nil }
      return .object(result)
    case (.array(let old)?, .array(let wanted)):
      if let key = mergeKeys[name], let list = byKey(key, last?.arrayValue ?? [], old, wanted, name) {
        return .array(list)
      }
      return inPlace(last?.arrayValue ?? [], old, wanted)
    case (_, .object(let wanted)):
      var result = JSONObject()
      for (key, value) in wanted where !value.isNull {
        result[key] = merged(last: nil, live: nil, new: value, name: key)
      }
      return .object(result)
    default:
      return new
    }
  }

  /// Merges lists element by element; nil when an element has no key, or two have the same. The live order stays
  /// where the manifest does not change it, so that what others added does not make a change of its own.
  private static func byKey(_ key: String, _ last: [JSON], _ live: [JSON], _ new: [JSON], _ name: String) -> [JSON]? {
    guard let before = index(last, key), let present = index(live, key), let wanted = index(new, key) else {
      return nil
    }
    func merge(_ identity: JSON) -> JSON? {
      wanted[identity].map {
        merged(
          last: before[identity].map { last[$0] }, live: present[identity].map { live[$0] }, new: new[$0], name: "")
      }
    }
    let identities = new.compactMap { $0[key] }
    let kept = live.compactMap { $0[key] }.filter { wanted[$0] != nil || before[$0] == nil }
    let common = kept.filter { wanted[$0] != nil }
    if common == identities.filter({ present[$0] != nil }) {
      return kept.map { identity in merge(identity) ?? live[present[identity] ?? 0] }
        + identities.filter { present[$0] == nil }.compactMap(merge)
    }
    return identities.compactMap(merge) + kept.filter { wanted[$0] == nil }.map { live[present[$0] ?? 0] }
  }

  private static func index(_ list: [JSON], _ key: String) -> [JSON: Int]? {
    var result: [JSON: Int] = [:]
    for (position, element) in list.enumerated() {
      guard let identity = element[key], result.updateValue(position, forKey: identity) == nil else { return nil }
    }
    return result
  }

  /// A list without keys is replaced, unless what the coordinator filled in is all that differs.
  private static func inPlace(_ last: [JSON], _ live: [JSON], _ new: [JSON]) -> JSON {
    if live.count == new.count {
      let filled = new.indices.map { position in
        merged(last: last.count == new.count ? last[position] : nil, live: live[position], new: new[position], name: "")
      }
      if filled == live { return .array(live) }
    }
    return .array(new)
  }

  /// The JSON merge patch (RFC 7386) between two values; nil when they are equal.
  static func difference(from old: JSON, to new: JSON) -> JSON? {
    guard case .object(let before) = old, case .object(let after) = new else { return old == new ? nil : new }
    var patch = JSONObject()
    for (key, value) in after {
      if let present = before[key] { patch[key] = difference(from: present, to: value) } else { patch[key] = value }
    }
    for (key, _) in before where !after.contains(key) { patch[key] = .null }
    return patch.isEmpty ? nil : .object(patch)
  }
}
