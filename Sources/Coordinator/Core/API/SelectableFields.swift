// Field selectors: whether a field can be selected by, its text in an object, and Kubernetes' refusals for the others.
// Which fields a kind has beside name and namespace is its descriptor's.

import ClusterProto

extension SelectableField {
  /// The text at a path of an object of a kind without a type of its own; empty where there is none.
  init(path name: String) {
    let path = name.split(separator: ".").map(String.init)
    self.init(name: name) { object in
      guard case .other(let other) = object else { return "" }
      return JSON.object(other.body)[path: path]?.stringValue ?? ""
    }
  }
}

enum SelectableFields {
  static func check(_ field: String, kind: Kind) throws(APIFailure) {
    if ["metadata.name", "metadata.namespace"].contains(field) { return }
    let selection = KindDescriptor.of(kind).selection
    if selection.fields.contains(where: { $0.name == field }) { return }
    throw .badRequest(
      selection.fields.isEmpty
        ? "\"\(field)\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        : selection.refusal(field))
  }

  /// The text that a selector compares; nil where the kind has no such field.
  static func value(_ field: String, of object: APIObject) -> String? {
    switch field {
    case "metadata.name": object.meta.name
    case "metadata.namespace": object.meta.namespace
    default: KindDescriptor.of(object.kind).selection.fields.first { $0.name == field }?.value(object)
    }
  }

  /// Whether a change can matter to any selector: then a watch needs to know how the object was before.
  static func differ(_ before: APIObject, _ after: APIObject) -> Bool {
    before.meta.labels != after.meta.labels
      || KindDescriptor.of(after.kind).selection.fields.contains { $0.value(before) != $0.value(after) }
  }
}
