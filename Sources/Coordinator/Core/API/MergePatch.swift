// RFC 7386 merge patches on trees. Knows nothing of kinds.

import ClusterProto

enum MergePatch {
  /// null removes, objects merge, everything else replaces.
  static func apply(_ patch: JSON, to target: JSON) -> JSON {
    guard case .object(let members) = patch else { return patch }
    return .object(
      (target.objectValue ?? JSONObject()).merging(members) { _, old, value in
        if value.isNull { return nil }
        return apply(value, to: old ?? .null)
      })
  }
}
