// Owns: what the command line does differently for a kind: how it is described, which events are its own, what of it
// runs. One value a kind. It must not lay anything out: that is Describer's.

import ClusterProto

/// What is different about one kind for whoever reads it.
struct KindPresentation: Sendable {
  /// How events name an object of the kind.
  enum EventsLink: Sendable { case uid, name }
  /// What has logs, and causes for not running: the object itself or pods of its own.
  enum Running: Sendable { case itself, pods }

  /// Adds the description of an object; may ask the cluster for what belongs to it.
  var describe: @Sendable (inout Describer, JSON, Cluster) throws -> Void = { describer, object, _ in
    describer.other(object)
  }
  /// Nil: its description shows no events.
  var events: EventsLink? = .uid
  /// Nil: nothing of it runs.
  var running: Running?

  /// Complete by the compiler: a kind without a presentation does not build.
  static func of(_ kind: Kind) -> KindPresentation {
    switch kind {
    case .jobs: job
    case .cronjobs: KindPresentation(describe: { describer, cron, _ in describer.cronJob(cron) })
    case .pods: KindPresentation(describe: { describer, pod, _ in describer.pod(pod) }, running: .itself)
    // Nodes are known to those who report on them by name, not by uid.
    case .nodes: KindPresentation(describe: describeNode, events: .name)
    case .configmaps: KindPresentation(describe: { describer, map, _ in describer.configMap(map) })
    case .secrets: KindPresentation(describe: { describer, secret, _ in describer.secret(secret) }, events: nil)
    case .events: KindPresentation(events: nil)
    case .roles, .clusterroles: KindPresentation(describe: { describer, role, _ in describer.role(role) }, events: nil)
    case .rolebindings, .clusterrolebindings:
      KindPresentation(describe: { describer, binding, _ in describer.roleBinding(binding) }, events: nil)
    case .queues: KindPresentation(describe: { describer, queue, _ in describer.queue(queue) })
    case .namespaces, .serviceaccounts, .services, .leases, .priorityclasses, .poddisruptionbudgets,
      .resourcequotas, .limitranges, .persistentvolumes, .persistentvolumeclaims, .storageclasses:
      KindPresentation()
    }
  }

  /// What `all` stands for: what runs, in the order in which Kubernetes lists kinds.
  static let all = Kind.allCases.filter { of($0).running != nil }
    .sorted { ($0.group, $0.plural) < ($1.group, $1.plural) }

  private static let job = KindPresentation(
    describe: { describer, job, cluster in
      let isComplete = WaitGoal.end(of: job)?.succeeded ?? false
      describer.job(job, problems: isComplete ? [] : Causes.ofPods(try cluster.pods(ofJob: job)))
    }, running: .pods)

  @Sendable private static func describeNode(_ describer: inout Describer, _ node: JSON, _ cluster: Cluster) throws {
    let name = node[path: ["metadata", "name"]]?.stringValue ?? ""
    let fields = "spec.nodeName=\(name),status.phase!=Succeeded,status.phase!=Failed"
    let pods = try cluster.list(.pods, "", fields: fields)["items"]?.arrayValue ?? []
    describer.node(node, pods: pods, lease: try cluster.find(.leases, "kube-node-lease", name))
  }
}
