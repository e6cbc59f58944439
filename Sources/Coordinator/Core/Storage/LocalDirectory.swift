// Owns: the class whose volumes are directories on nodes: what every cluster has of it, the volume that is made for a
// claim when its first pod gets a node, and which node holds it. It must not know how a directory is made.

import ClusterProto

/// A volume that is a directory in the data directory of a node's agent.
struct LocalDirectory: Equatable, Sendable {
  /// The volume's own name is that of the directory.
  var node: String
  /// A pod has run with it: where it is missing, something is lost.
  var isMade: Bool

  static let provisioner = "stint.dev/local-path"
  static let className = "local-path"
  static let provisionedBy = "pv.kubernetes.io/provisioned-by"
  static let madeAnnotation = "stint.dev/directory-made"
  /// Below an agent's data directory.
  static let place = "claims"

  init?(_ object: GenericObject) {
    guard object.meta.annotations[Self.provisionedBy] == Self.provisioner, let spec = object.body["spec"],
      spec["local"] != nil,
      let term = spec[path: ["nodeAffinity", "required", "nodeSelectorTerms"]]?.arrayValue?.first,
      let rule = term["matchExpressions"]?.arrayValue?.first, rule["key"]?.stringValue == NodeLabels.hostname,
      let node = rule["values"]?.arrayValue?.first?.stringValue
    else { return nil }
    self.node = node
    isMade = object.meta.annotations[Self.madeAnnotation] != nil
  }
}

/// Labels of nodes.
enum NodeLabels {
  static let hostname = "kubernetes.io/hostname"
}

extension CoordinatorCore {
  /// The class that every cluster has; deleted it comes again with the next start.
  mutating func beginStorage() {
    // Rows come in any order: what pods wait for is known when all are there.
    for pod in storage.needs.keys.sorted() { storage.restless.add(pod) }
    let key = ObjectKey(namespace: "", name: LocalDirectory.className)
    guard state.other(.storageclasses, key) == nil else { return }
    var meta = ObjectMeta()
    meta.name = key.name
    // Another one that is for all stays so.
    if storage.defaultClass == nil { meta.annotations = [StorageClassFacts.defaultAnnotation: "true"] }
    insert(
      .other(
        GenericObject(
          kind: .storageclasses, meta: meta,
          body: [
            "provisioner": .string(LocalDirectory.provisioner), "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
          ])))
  }

  /// The volume of a claim whose first pod runs on that node.
  mutating func makeVolume(for claim: ClaimFacts, on node: String, _ rules: StorageClassFacts) -> String? {
    guard let object = state.other(.persistentvolumeclaims, claim.key) else { return nil }
    let name = "pvc-\(claim.uid)"
    let key = ObjectKey(namespace: "", name: name)
    guard state.other(.persistentvolumes, key) == nil else { return nil }
    var meta = ObjectMeta()
    meta.name = name
    meta.annotations = [LocalDirectory.provisionedBy: LocalDirectory.provisioner]
    meta.finalizers = [Protection.volume, Protection.directory]
    let spec: JSON = [
      "capacity": ["storage": object.body["spec"]?[path: ["resources", "requests", "storage"]] ?? "0"],
      "accessModes": object.body["spec"]?["accessModes"] ?? [], "volumeMode": "Filesystem",
      "persistentVolumeReclaimPolicy": .string(rules.policy), "storageClassName": .string(claim.className),
      "claimRef": Self.reference(to: object), "local": ["path": .string("\(LocalDirectory.place)/\(name)")],
      "nodeAffinity": [
        "required": [
          "nodeSelectorTerms": [
            ["matchExpressions": [["key": .string(NodeLabels.hostname), "operator": "In", "values": [.string(node)]]]]
          ]
        ]
      ],
    ]
    insert(
      .other(
        GenericObject(
          kind: .persistentvolumes, meta: meta, body: ["spec": spec, "status": ["phase": "Bound"]])))
    recordEvent(
      on: .other(object), type: .normal, reason: "ProvisioningSucceeded",
      message: "Successfully provisioned volume \(name)", component: LocalDirectory.provisioner)
    return name
  }

  /// A pod has started: the directories of its claims are there from now on. Returns how many objects it touched.
  mutating func noteMade(by pod: ObjectKey) -> Int {
    guard let pod = state.pods[pod] else { return 1 }
    var touched = 1
    for (key, _) in claims(of: pod) {
      guard let name = claim(key)?.volumeName, let directory = volume(name)?.directory, !directory.isMade,
        directory.node == pod.nodeName
      else { continue }
      touched += 1
      change(.persistentvolumes, ObjectKey(namespace: "", name: name)) { object in
        object.meta.annotations[LocalDirectory.madeAnnotation] = "true"
      }
    }
    return touched
  }
}
