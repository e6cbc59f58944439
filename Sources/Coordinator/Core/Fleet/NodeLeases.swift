// The Lease objects of nodes (kube-node-lease/NODE), for readers: `kubectl describe node` shows them. They are written
// where the Node's status is, never for a heartbeat; a reader gets the time of the last heartbeat filled in. Nothing is
// decided from them: the leases that fence are FleetState's.

import ClusterProto

extension CoordinatorCore {
  private static let leaseNamespace = "kube-node-lease"

  /// Whether the node's Lease is there. One look-up, for each heartbeat.
  func hasNodeLease(_ name: String) -> Bool {
    state.other(.leases, ObjectKey(namespace: Self.leaseNamespace, name: name)) != nil
  }

  /// Makes the node's Lease, or writes down when the node was heard last.
  mutating func writeNodeLease(_ name: String) {
    guard let heard = fleet.nodes[name]?.lastHeartbeat, let node = state.nodes[ObjectKey(namespace: "", name: name)],
      state.other(.namespaces, ObjectKey(namespace: "", name: Self.leaseNamespace)) != nil,
      !isTerminating(namespace: Self.leaseNamespace)
    else { return }
    let reference = ObjectReference(kind: .leases, key: ObjectKey(namespace: Self.leaseNamespace, name: name))
    var meta = ObjectMeta()
    meta.namespace = reference.key.namespace
    meta.name = name
    if case .other(let before)? = state[reference] { meta = before.meta }
    meta.ownerReferences = [
      OwnerReference(
        apiVersion: Kind.nodes.apiVersion, kind: Kind.nodes.name, name: name, uid: node.meta.uid, controller: nil,
        blockOwnerDeletion: nil)
    ]
    let lease = GenericObject(
      kind: .leases, meta: meta,
      body: [
        "spec": [
          "holderIdentity": .string(name), "leaseDurationSeconds": .int((fleet.lease + 999) / 1000),
          "renewTime": .string(wallTime(of: heard).rfc3339Micro),
        ]
      ])
    if state[reference] == nil { insert(.other(lease)) } else { update(reference) { $0 = .other(lease) } }
  }

  /// The object as a reader gets it: the Lease of a node that is heard bears the time of its last heartbeat, a Job that
  /// waits in a queue its place.
  mutating func asRead(_ object: APIObject) -> APIObject {
    if case .job(let job) = object, job.isWaiting { return .job(withPlace(job)) }
    guard case .other(var lease) = object, lease.kind == .leases, lease.meta.namespace == Self.leaseNamespace,
      let record = fleet.nodes[lease.meta.name], record.isReachable, var spec = lease.body["spec"],
      spec["holderIdentity"]?.stringValue == lease.meta.name
    else { return object }
    spec["renewTime"] = .string(wallTime(of: record.lastHeartbeat).rfc3339Micro)
    lease.body["spec"] = spec
    return .other(lease)
  }

  private func wallTime(of boot: BootTime) -> WallTime { now.wall.adding(milliseconds: boot - now.boot) }
}
