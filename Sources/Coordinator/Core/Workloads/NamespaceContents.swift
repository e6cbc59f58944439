// What every namespace has from the start and gets again when it is deleted: ServiceAccount `default`, ConfigMap
// `kube-root-ca.crt`, in `default` the Service `kubernetes`; and the namespaces that every cluster has. Clients wait
// for these and look for them. Driven by changes: a namespace is looked at when it, or one of these objects, changes.

import ClusterProto

extension CoordinatorCore {
  /// The namespaces that every cluster has.
  static let standardNamespaces = ["default", "kube-node-lease", "kube-public", "kube-system"]
  private static let serviceAccount = "default"
  private static let authorityMap = "kube-root-ca.crt"
  private static let service = ObjectReference(
    kind: .services, key: ObjectKey(namespace: "default", name: "kubernetes"))
  /// What is looked after: everywhere or in one namespace, only while it is gone or whenever it changes.
  private static let furniture: [(kind: Kind, name: String, namespace: String?, isRestored: Bool)] = [
    (.serviceaccounts, serviceAccount, nil, false), (.configmaps, authorityMap, nil, true),
    (service.kind, service.key.name, service.key.namespace, true),
  ]

  /// Queues the namespace of what changed, when it may lack something now.
  mutating func observeFurniture(_ change: ObjectChange, of subject: APIObject) {
    let meta = subject.meta
    if subject.kind == .namespaces {
      let isMissed = change.after == nil && Self.standardNamespaces.contains(meta.name)
      if change.before == nil || isMissed { workloads.unfurnished.add(meta.name) }
      return
    }
    if change.before == nil { return }
    let place = Self.furniture.first { $0.kind == subject.kind && $0.name == meta.name }
    guard let place, place.namespace == nil || place.namespace == meta.namespace else { return }
    if change.after == nil || place.isRestored { workloads.unfurnished.add(meta.namespace) }
  }

  /// The Kubernetes API is served there from now on: what tells clients so is made or changed.
  mutating func serveAPI(_ endpoint: APIEndpoint) {
    workloads.apiEndpoint = endpoint
    for key in state.keys(of: .namespaces) { workloads.unfurnished.add(key.name) }
  }

  /// Where clients find the Kubernetes API; nil: it is not served.
  var apiAddress: APIAddress? {
    workloads.apiEndpoint.map { APIAddress(host: $0.host, port: $0.port, native: $0.native) }
  }

  /// Makes what namespaces lack; returns how many it looked at.
  mutating func furnishNamespaces(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let name = workloads.unfurnished.next() {
      touched += 1
      furnish(name)
    }
    return touched
  }

  private mutating func furnish(_ name: String) {
    if state.other(.namespaces, ObjectKey(namespace: "", name: name)) == nil {
      guard Self.standardNamespaces.contains(name) else { return }
      var meta = ObjectMeta()
      meta.name = name
      meta.labels = ["kubernetes.io/metadata.name": name]
      // Its insertion queues the name again, for what it holds.
      insert(
        .other(
          GenericObject(
            kind: .namespaces, meta: meta,
            body: ["spec": ["finalizers": ["kubernetes"]], "status": ["phase": "Active"]])))
      return
    }
    guard !isTerminating(namespace: name) else { return }
    ensure(ObjectReference(kind: .serviceaccounts, key: ObjectKey(namespace: name, name: Self.serviceAccount)))
    guard let endpoint = workloads.apiEndpoint else { return }
    ensure(
      ObjectReference(kind: .configmaps, key: ObjectKey(namespace: name, name: Self.authorityMap)),
      annotations: ["kubernetes.io/description": Self.authorityDescription],
      body: ["data": ["ca.crt": .string(endpoint.authority)]])
    if name == Self.service.key.namespace {
      ensure(
        Self.service, labels: ["component": "apiserver", "provider": "kubernetes"],
        body: ["spec": Self.serviceSpec(endpoint), "status": ["loadBalancer": .object(JSONObject())]])
    }
  }

  private static let authorityDescription =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    + "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    + "clusters."

  /// There is no network of the cluster's own: the cluster address is the one that the API listens on.
  private static func serviceSpec(_ endpoint: APIEndpoint) -> JSON {
    [
      "clusterIP": .string(endpoint.host), "clusterIPs": [.string(endpoint.host)],
      "internalTrafficPolicy": "Cluster", "ipFamilies": [endpoint.host.contains(":") ? "IPv6" : "IPv4"],
      "ipFamilyPolicy": "SingleStack",
      "ports": [
        ["name": "https", "port": .int(endpoint.port), "protocol": "TCP", "targetPort": .int(endpoint.port)]
      ],
      "sessionAffinity": "None", "type": "ClusterIP",
    ]
  }

  /// Makes the object, or gives it the members of `body` again.
  private mutating func ensure(
    _ reference: ObjectReference, labels: StringMap = StringMap(), annotations: StringMap = StringMap(),
    body: JSONObject = JSONObject()
  ) {
    guard state[reference] == nil else {
      update(reference) { object in
        guard case .other(var other) = object else { return }
        for (member, value) in body where other.body[member] != value { other.body[member] = value }
        object = .other(other)
      }
      return
    }
    var meta = ObjectMeta()
    meta.name = reference.key.name
    meta.namespace = reference.key.namespace
    meta.labels = labels
    meta.annotations = annotations
    insert(.other(GenericObject(kind: reference.kind, meta: meta, body: body)))
  }
}
