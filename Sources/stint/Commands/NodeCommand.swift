// Owns: `cordon`, `uncordon`, `drain`, `node declare-dead` and `node revoke`. It must not know how pods are
// scheduled or replaced.

import ClusterIO
import ClusterProto

/// Commands for nodes.
enum NodeCommand {
  @Sendable static func cordon(_ context: Context) throws -> Int32 { try setUnschedulable(context, true, "cordoned") }

  @Sendable static func uncordon(_ context: Context) throws -> Int32 {
    try setUnschedulable(context, false, "uncordoned")
  }

  private static func setUnschedulable(_ context: Context, _ wanted: Bool, _ word: String) throws -> Int32 {
    let names = try Target.names(context.arguments.words, of: .nodes)
    let cluster = try context.cluster()
    return try PatchCommand.each(names, context.console) { try setUnschedulable(cluster, $0, wanted, word) }
  }

  private static func setUnschedulable(
    _ cluster: Cluster, _ name: String, _ wanted: Bool, _ word: String
  ) throws -> String {
    let node = try cluster.get(.nodes, "", name)
    if (node[path: ["spec", "unschedulable"]]?.boolValue ?? false) == wanted { return "node/\(name) already \(word)" }
    _ = try cluster.patch(.nodes, "", name, ["spec": ["unschedulable": wanted ? true : .null]])
    return "node/\(name) \(word)"
  }

  /// `stint node declare-dead NODE…`, `stint node revoke NODE…`.
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let word = context.arguments.words.first ?? ""
    guard ["declare-dead", "revoke"].contains(word) else {
      throw context.arguments.problem(
        "\"\(word)\" is neither declare-dead nor revoke; nodes are listed by `stint get nodes`")
    }
    let names = try Target.names(Array(context.arguments.words.dropFirst()), of: .nodes)
    let cluster = try context.cluster()
    return try PatchCommand.each(names, context.console) { name in
      if word == "declare-dead" { return try declareDead(cluster, name) }
      return try cluster.ask { .joining(id: $0, .revokeNode(name)) }["message"]?.stringValue ?? ""
    }
  }

  private static func declareDead(_ cluster: Cluster, _ name: String) throws -> String {
    let node = try cluster.get(.nodes, "", name)
    let isReady = (node[path: ["status", "conditions"]]?.arrayValue ?? []).contains {
      $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
    }
    if isReady {
      throw PatchCommand.Refusal(
        message: "error: node/\(name) is Ready: its agent answers, so it is not dead. To empty it: stint drain \(name)")
    }
    let taints = node[path: ["spec", "taints"]]?.arrayValue ?? []
    if taints.contains(where: { $0["key"]?.stringValue == Taint.outOfService }) {
      return "node/\(name) already declared dead"
    }
    let taint: JSON = ["key": .string(Taint.outOfService), "value": "nodeshutdown", "effect": "NoExecute"]
    // The version: a node that is back by now, or whose taints changed, is looked at again by the person.
    let version = node[path: ["metadata", "resourceVersion"]] ?? .null
    _ = try cluster.patch(
      .nodes, "", name, ["metadata": ["resourceVersion": version], "spec": ["taints": .array(taints + [taint])]])
    return
      "node/\(name) declared dead; its pods' work starts elsewhere. If the machine comes back, end what still runs "
      + "there, then: kubectl taint node \(name) \(Taint.outOfService)-"
  }

  @Sendable static func drain(_ context: Context) throws -> Int32 {
    let names = try Target.names(context.arguments.words, of: .nodes)
    let cluster = try context.cluster()
    let deadline = context.deadline()
    for name in names { context.console.line(try setUnschedulable(cluster, name, true, "cordoned")) }
    for name in names { try drain(name, cluster, context, deadline) }
    return 0
  }

  private static func drain(_ name: String, _ cluster: Cluster, _ context: Context, _ deadline: Int64?) throws {
    let fields = "spec.nodeName=\(name),status.phase!=Succeeded,status.phase!=Failed"
    let pods = try cluster.list(.pods, "", fields: fields)["items"]?.arrayValue ?? []
    let bare = pods.filter { ($0[path: ["metadata", "ownerReferences"]]?.arrayValue ?? []).isEmpty }
    if !bare.isEmpty, !context.arguments.isOn("force") {
      throw CommandError(
        "error: unable to drain node \"\(name)\": "
          + "cannot delete pods that no Job will replace (use --force to override): "
          + bare.map { "\(text($0, "namespace"))/\(text($0, "name"))" }.joined(separator: ", "))
    }
    for pod in pods {
      context.console.line("evicting pod \(text(pod, "namespace"))/\(text(pod, "name"))")
      var request = APIRequest(
        verb: .delete, kind: .pods, namespace: text(pod, "namespace"), name: text(pod, "name"))
      request.options.gracePeriodSeconds = context.arguments.grace
      request.options.preconditionUID = text(pod, "uid")
      do {
        _ = try cluster.send(request)
      } catch let error as StatusError where error.isNotFound || error.isConflict {
        continue
      }
    }
    for pod in pods {
      let isGone = try cluster.waitUntilGone(
        .pods, text(pod, "namespace"), text(pod, "name"), uid: text(pod, "uid"), deadline: deadline)
      guard isGone else {
        throw CommandError(
          "error: unable to drain node \"\(name)\": pod \(text(pod, "name")) is still there; the time is up")
      }
      context.console.line("pod/\(text(pod, "name")) evicted")
    }
    context.console.line("node/\(name) drained")
  }

  private static func text(_ object: JSON, _ member: String) -> String {
    object[path: ["metadata", member]]?.stringValue ?? ""
  }
}
