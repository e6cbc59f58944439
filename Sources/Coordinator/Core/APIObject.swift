// Any stored object as one value, for what treats all kinds alike: store, watches, garbage collector, verbs.

import ClusterProto

/// Names an object of any kind.
struct ObjectReference: Hashable, Comparable, Sendable {
  var kind: Kind
  var key: ObjectKey

  static func < (left: ObjectReference, right: ObjectReference) -> Bool {
    left.kind == right.kind ? left.key < right.key : left.kind < right.kind
  }
}

/// Behind a pointer: changes, rows, watches and their history pass objects on far more often than they look into them.
indirect enum APIObject: Equatable, Sendable {
  case pod(Pod)
  case job(Job)
  case node(Node)
  case other(GenericObject)

  var kind: Kind {
    switch self {
    case .pod: .pods
    case .job: .jobs
    case .node: .nodes
    case .other(let object): object.kind
    }
  }

  var meta: ObjectMeta {
    get {
      switch self {
      case .pod(let pod): pod.meta
      case .job(let job): job.meta
      case .node(let node): node.meta
      case .other(let object): object.meta
      }
    }
    set {
      switch self {
      case .pod(var pod):
        pod.meta = newValue
        self = .pod(pod)
      case .job(var job):
        job.meta = newValue
        self = .job(job)
      case .node(var node):
        node.meta = newValue
        self = .node(node)
      case .other(var object):
        object.meta = newValue
        self = .other(object)
      }
    }
  }

  /// The whole object as the API shows it.
  var json: JSON {
    switch self {
    case .pod(let pod): pod.json
    case .job(let job): job.json
    case .node(let node): node.json
    case .other(let object): object.json
    }
  }

  var reference: ObjectReference { ObjectReference(kind: kind, key: meta.key) }

  /// Reads a validated, defaulted tree. `sharing`: an existing object whose pod spec is kept when equal.
  init(kind: Kind, json: JSON, sharing previous: APIObject? = nil) {
    let meta = ObjectMeta(json: json["metadata"])
    let specification = json["spec"] ?? .object(JSONObject())
    switch kind {
    case .pods:
      var tree = specification
      tree["nodeName"] = nil
      var shared: PodSpec?
      var hostname: String?
      if case .pod(let before)? = previous {
        // The cluster gave it: it stays outside of what the Job's pods share.
        if let own = before.hostname, tree["hostname"]?.stringValue == own {
          hostname = own
          tree["hostname"] = before.spec.json["hostname"]
        }
        if before.spec.json == tree { shared = before.spec }
      }
      let spec = shared ?? PodSpec(json: tree)
      self = .pod(
        Pod(
          meta: meta, spec: spec, nodeName: specification["nodeName"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 },
          hostname: hostname, status: PodStatus(json: json["status"])))
    case .jobs:
      var shared: PodSpec?
      if case .job(let before)? = previous { shared = before.spec.podSpec }
      self = .job(
        Job(meta: meta, spec: JobSpec(json: specification, sharing: shared), status: JobStatus(json: json["status"])))
    case .nodes: self = .node(Node(json: json))
    default: self = .other(GenericObject(kind: kind, json: json))
    }
  }
}
