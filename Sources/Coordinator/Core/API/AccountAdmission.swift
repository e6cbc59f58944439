// Owns: what a pod has of its ServiceAccount, as Kubernetes' admission has it: the account must be there, its token is
// mounted at the usual place unless pod or account say no, its pull secrets are the pod's. It must
// not know what tokens say or how they reach a node.

import ClusterProto

/// The volume that admission adds to pods, and its mounts.
enum TokenMount {

  static func isMounted(in spec: JSON) -> Bool {
    spec["volumes"]?.arrayValue?.contains { $0["name"]?.stringValue == PodToken.usualVolume } ?? false
  }

  /// Adds the volume, and its mount to each container that has nothing at its place.
  static func add(to spec: inout JSON) {
    guard !isMounted(in: spec) else { return }
    var isUsed = false
    for list in ["initContainers", "containers"] {
      guard var containers = spec[list]?.arrayValue else { continue }
      for index in containers.indices {
        var mounts = containers[index]["volumeMounts"]?.arrayValue ?? []
        guard !mounts.contains(where: { $0["mountPath"]?.stringValue == PodToken.usualPath }) else { continue }
        mounts.append([
          "name": .string(PodToken.usualVolume), "readOnly": true, "mountPath": .string(PodToken.usualPath),
        ])
        containers[index]["volumeMounts"] = .array(mounts)
        isUsed = true
      }
      spec[list] = .array(containers)
    }
    guard isUsed else { return }
    spec["volumes"] = .array((spec["volumes"]?.arrayValue ?? []) + [PodToken.usualVolumeSpec])
  }
}

extension CoordinatorCore {
  /// Made again in every namespace when it is deleted: pods need not wait for it.
  private static let usual = "default"

  /// Whether the account of a pod of that spec is there; else Kubernetes' sentence.
  func accountProblem(of account: String, namespace: String) -> String? {
    guard account != Self.usual, !account.isEmpty,
      state.other(.serviceaccounts, ObjectKey(namespace: namespace, name: account)) == nil
    else { return nil }
    return "error looking up service account \(namespace)/\(account): serviceaccount "
      + "\(JSON.string(account).text) not found"
  }

  /// Whether a pod of that spec gets its account's token: as the pod says, else the account, else yes; but only where
  /// there is an API to show it to.
  func mountsToken(_ spec: JSON, namespace: String) -> Bool {
    guard apiAddress != nil else { return false }
    if let own = spec["automountServiceAccountToken"]?.boolValue { return own }
    let name = spec["serviceAccountName"]?.stringValue ?? Self.usual
    let account = state.other(.serviceaccounts, ObjectKey(namespace: namespace, name: name))
    return account?.body["automountServiceAccountToken"]?.boolValue ?? true
  }

  /// The names of Secrets for pulling images that a pod has: its own, else its account's; nil: none.
  func pullSecrets(_ spec: JSON, namespace: String) -> JSON? {
    if let own = spec["imagePullSecrets"]?.arrayValue, !own.isEmpty { return .array(own) }
    let name = spec["serviceAccountName"]?.stringValue ?? Self.usual
    let account = state.other(.serviceaccounts, ObjectKey(namespace: namespace, name: name))
    guard let given = account?.body["imagePullSecrets"]?.arrayValue, !given.isEmpty else {
      return spec["imagePullSecrets"]
    }
    return .array(given.map { ["name": $0["name"] ?? ""] })
  }

  /// The admission of a new pod that a client creates.
  func admitAccount(_ json: inout JSON) throws(APIFailure) {
    guard var spec = json["spec"] else { return }
    let namespace = json[path: ["metadata", "namespace"]]?.stringValue ?? ""
    let account = spec["serviceAccountName"]?.stringValue ?? Self.usual
    if let problem = accountProblem(of: account, namespace: namespace) {
      throw .forbidden(.pods, json[path: ["metadata", "name"]]?.stringValue ?? "", problem)
    }
    spec["imagePullSecrets"] = pullSecrets(spec, namespace: namespace)
    if mountsToken(spec, namespace: namespace) { TokenMount.add(to: &spec) }
    json["spec"] = spec
  }
}
