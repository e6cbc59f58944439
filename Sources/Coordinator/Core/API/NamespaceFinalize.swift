// namespaces/NAME/finalize: whoever holds a namespace by spec.finalizers takes its name away there. The cluster's own
// finalizer stands for the content: it stays until nothing is left, since pods without a namespace would run unseen.

import ClusterProto

extension CoordinatorCore {
  /// The namespace with the finalizers of `json`; its status is the stored one's.
  func finalize(_ json: JSON, over before: APIObject) throws(APIFailure) -> APIObject {
    guard case .other(var namespace) = before else { throw .noSuchResource }
    let name = namespace.meta.name
    var errors = FieldErrors()
    MetaValidation.finalizers(json[path: ["spec", "finalizers"]], "spec.finalizers", into: &errors)
    if !errors.isEmpty { throw .invalid(.namespaces, name, errors.all) }
    let old = Self.finalizers(ofSpec: namespace.body)
    let given = json[path: ["spec", "finalizers"]]
    let isLetGo =
      old.contains(Self.namespaceFinalizer)
      && given?.arrayValue?.contains(.string(Self.namespaceFinalizer)) != true
    if isLetGo, namespace.meta.deletionTimestamp != nil, let left = whatRemains(in: name) {
      throw .conflict(
        .namespaces, name,
        "the finalizer \"\(Self.namespaceFinalizer)\" goes when the namespace is empty, and some resources are "
          + "remaining: \(left)")
    }
    var spec = namespace.body["spec"] ?? .object(JSONObject())
    spec["finalizers"] = given
    namespace.body["spec"] = spec
    return .other(namespace)
  }
}
