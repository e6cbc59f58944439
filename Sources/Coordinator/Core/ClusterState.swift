// The one in-memory state of API objects and the indexes that keep every step's cost with the work, not with the size.
// Changed only through CoordinatorCore+Changes.swift. Knows nothing of sessions, verbs or time.

import ClusterProto

struct ClusterState: Sendable {
  private(set) var pods = ObjectTable<Pod>()
  private(set) var jobs = ObjectTable<Job>()
  private(set) var nodes = ObjectTable<Node>()
  private var others: [Kind: ObjectTable<GenericObject>] = [:]

  /// Every object by uid.
  private(set) var references: [String: ObjectReference] = [:]
  private(set) var owners = OwnerIndex()
  /// Pods that are bound to a node and not Succeeded or Failed, by node name.
  private(set) var boundPods: [String: InsertionSet<ObjectKey>] = [:]
  /// Pod specs by digest with the number of pods that hold each, and the metadata of the first of these pods.
  private(set) var specs: [String: (spec: PodSpec, pods: Int, first: ObjectMeta)] = [:]
  /// Change number of the last write; every write gets the next.
  var resourceVersion: Int64 = 0
  /// The change number of the latest deletion of each kind.
  var deletions: [Kind: Int64] = [:]

  subscript(reference: ObjectReference) -> APIObject? {
    switch reference.kind {
    case .pods: pods[reference.key].map { .pod($0) }
    case .jobs: jobs[reference.key].map { .job($0) }
    case .nodes: nodes[reference.key].map { .node($0) }
    default: others[reference.kind]?[reference.key].map { .other($0) }
    }
  }

  /// The change number of an object's creation.
  func created(_ reference: ObjectReference) -> Int64? {
    switch reference.kind {
    case .pods: pods.created(reference.key)
    case .jobs: jobs.created(reference.key)
    case .nodes: nodes.created(reference.key)
    default: others[reference.kind]?.created(reference.key)
    }
  }

  func other(_ kind: Kind, _ key: ObjectKey) -> GenericObject? { others[kind]?[key] }

  func object(uid: String) -> APIObject? { references[uid].flatMap { self[$0] } }

  /// The dependent of an owner that was looked at longest ago; it goes behind the others.
  mutating func nextDependent(of uid: String) -> ObjectReference? { owners.nextDependent(of: uid) }

  func count(of kind: Kind) -> Int {
    switch kind {
    case .pods: pods.count
    case .jobs: jobs.count
    case .nodes: nodes.count
    default: others[kind]?.count ?? 0
    }
  }

  /// Keys of a kind in list order; an empty namespace means all.
  mutating func keys(of kind: Kind, in namespace: String = "") -> ArraySlice<ObjectKey> {
    switch kind {
    case .pods: pods.keys(in: namespace)
    case .jobs: jobs.keys(in: namespace)
    case .nodes: nodes.keys(in: namespace)
    default: others[kind]?.keys(in: namespace) ?? []
    }
  }

  /// The pod with the instances that pods of one Job share: its spec, and of its metadata what is equal. A digest finds
  /// the candidate, the comparison decides (it costs nothing where both are one instance, as in a Job's pods).
  func sharing(_ pod: Pod) -> Pod {
    guard let (spec, _, first) = specs[pod.spec.digest], spec == pod.spec else { return pod }
    var pod = pod
    pod.spec = spec
    if pod.meta.labels == first.labels { pod.meta.labels = first.labels }
    if pod.meta.annotations == first.annotations { pod.meta.annotations = first.annotations }
    if pod.meta.ownerReferences == first.ownerReferences { pod.meta.ownerReferences = first.ownerReferences }
    if pod.meta.finalizers == first.finalizers { pod.meta.finalizers = first.finalizers }
    if pod.meta.generateName == first.generateName { pod.meta.generateName = first.generateName }
    if pod.meta.namespace == first.namespace { pod.meta.namespace = first.namespace }
    return pod
  }

  /// Makes room for so many objects.
  mutating func reserve(pods: Int) {
    self.pods.reserve(pods)
    references.reserveCapacity(pods)
  }

  /// Puts `after` in the place of `before` (nil: none) and keeps the indexes. Both have the same reference and uid.
  /// `created`: the change number of a new object's creation, by default its own.
  /// Returns the digest of a pod spec that came into use, and of one that went out of use.
  mutating func replace(_ before: APIObject?, with after: APIObject?, created: Int64? = nil)
    -> (specAdded: String?, specRemoved: String?)
  {
    var added: String?
    var removed: String?
    if case .pod(let pod)? = after { added = retain(pod) }
    if case .pod(let pod)? = before { removed = release(pod.spec) }
    unindex(before, unless: after)
    index(after, unless: before)
    owners.change(before, after)
    if let after { store(after, created ?? after.meta.resourceVersion) } else if let before { drop(before.reference) }
    return (added == removed ? nil : added, added == removed ? nil : removed)
  }

  private mutating func store(_ object: APIObject, _ created: Int64) {
    let key = object.meta.key
    switch object {
    case .pod(let pod): pods.set(pod, for: key, created: created)
    case .job(let job): jobs.set(job, for: key, created: created)
    case .node(let node): nodes.set(node, for: key, created: created)
    case .other(let other): others[other.kind, default: ObjectTable()].set(other, for: key, created: created)
    }
  }

  private mutating func drop(_ reference: ObjectReference) {
    switch reference.kind {
    case .pods: pods.remove(reference.key)
    case .jobs: jobs.remove(reference.key)
    case .nodes: nodes.remove(reference.key)
    default: others[reference.kind]?.remove(reference.key)
    }
  }

  private mutating func retain(_ pod: Pod) -> String? {
    let digest = pod.spec.digest
    let isNew = specs[digest] == nil
    specs[digest, default: (pod.spec, 0, pod.meta)].pods += 1
    return isNew ? digest : nil
  }

  private mutating func release(_ spec: PodSpec) -> String? {
    guard let entry = specs[spec.digest] else { return nil }
    if entry.pods > 1 {
      specs[spec.digest]?.pods -= 1
      return nil
    }
    specs[spec.digest] = nil
    return spec.digest
  }

  private func boundNode(_ object: APIObject?) -> String? {
    guard case .pod(let pod)? = object, !pod.status.phase.isTerminal else { return nil }
    return pod.nodeName
  }

  private mutating func index(_ object: APIObject?, unless before: APIObject?) {
    guard let object else { return }
    let meta = object.meta
    if before?.meta.uid != meta.uid { references[meta.uid] = object.reference }
    if let node = boundNode(object), boundNode(before) != node {
      boundPods[node, default: InsertionSet()].insert(meta.key)
    }
  }

  private mutating func unindex(_ object: APIObject?, unless after: APIObject?) {
    guard let object else { return }
    let meta = object.meta
    if after?.meta.uid != meta.uid, references[meta.uid] == object.reference { references[meta.uid] = nil }
    if let node = boundNode(object), boundNode(after) != node {
      boundPods[node]?.remove(meta.key)
      if boundPods[node]?.isEmpty == true { boundPods[node] = nil }
    }
  }
}
