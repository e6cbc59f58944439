// metrics.k8s.io: what pods and nodes use, in the shape that metrics-server gives it. Objects are made when they are
// read and never kept; lists are those of pods and nodes, each shown as its metrics. Knows nothing of how it is
// measured.

import ClusterProto

/// The group's names.
package enum MetricsGroup {
  /// The group.
  package static let name = "metrics.k8s.io"
  /// Its only version.
  package static let version = "v1beta1"
  /// By which `stint` asks for it: as for a part of the object.
  package static let part = "metrics"
  static let apiVersion = "\(name)/\(version)"

  /// What discovery shows of it.
  static let resources: [ServedResource] = [
    resource("nodes", "NodeMetrics", isNamespaced: false), resource("pods", "PodMetrics", isNamespaced: true),
  ]

  /// Whether what its objects use is served.
  package static func measures(_ kind: Kind) -> Bool { resources.contains { $0.plural == kind.plural } }

  private static func resource(_ plural: String, _ kind: String, isNamespaced: Bool) -> ServedResource {
    var resource = ServedResource(
      group: name, plural: plural, singular: "", kind: kind, schema: "", isNamespaced: isNamespaced,
      verbs: ["get", "list"], tier: isNamespaced ? .everyday : .visible)
    resource.version = version
    return resource
  }

  static func kind(_ kind: Kind) -> String { kind == .nodes ? "NodeMetrics" : "PodMetrics" }

  /// As metrics-server writes amounts.
  static func amounts(_ usage: Usage) -> JSON {
    ["cpu": .string("\(usage.cpu)n"), "memory": .string("\(usage.memory / 1_024)Ki")]
  }

  static func failure(_ kind: Kind, _ name: String) -> APIFailure {
    let resource = kind == .nodes ? "nodemetrics" : "podmetrics"
    return APIFailure(
      code: 404, reason: "NotFound", message: "\(resource).\(Self.name) \"\(name)\" not found",
      details: ["name": .string(name), "group": .string(Self.name), "kind": .string(resource)])
  }
}

extension APIRequest {
  /// Whether it asks for what is used, not for the objects.
  var isAboutUsage: Bool { group == MetricsGroup.name }
}

extension CoordinatorCore {
  /// Answers at once when all nodes have told lately; else when they have, or when that takes too long.
  mutating func metrics(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    guard [.get, .list].contains(request.verb), MetricsGroup.measures(request.kind) else {
      throw .methodNotAllowed("the server does not allow this method on the requested resource")
    }
    askForUsage()
    if isUsageKnown { return try answerMetrics(request, id) }
    awaitUsage(id, request)
    api.timers.set(WatchTimer(id: id, purpose: .usage), at: now.boot + FleetUsage.patience)
  }

  /// Answers those who wait, as the nodes have told or the time is over.
  mutating func answerMetrics(waiting ids: [RequestID]) {
    for id in ids {
      guard let request = takeAwaiting(id) else { continue }
      api.timers.cancel(WatchTimer(id: id, purpose: .usage))
      do throws(APIFailure) {
        try answerMetrics(request, id)
      } catch {
        answer(id, failure: error, request)
      }
    }
  }

  private mutating func answerMetrics(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    if request.verb == .list { return try list(request, id) }
    let object = try existing(request)
    guard let metrics = metrics(of: object, request.form) else {
      let name = request.namespace.isEmpty ? request.name : "\(request.namespace)/\(request.name)"
      throw MetricsGroup.failure(request.kind, name)
    }
    var shown = metrics
    if request.form == .table {
      shown = MetricsGroup.frame(request, ["resourceVersion": ""])
      shown["rows"] = [metrics]
    }
    reply(id, .done(code: 200, object: shown, warnings: []))
  }

  /// An object's metrics in the form that was asked for; nil: nothing is known of it.
  func metrics(of object: APIObject, _ form: AnswerForm) -> JSON? {
    var body: JSON
    var total = Usage(cpu: 0, memory: 0)
    let sample: FleetUsage.Sample
    switch object {
    case .node(let node):
      guard let known = usage(ofNode: node.meta.name) else { return nil }
      sample = known
      total = known.report.node
      body = ["usage": MetricsGroup.amounts(total)]
    case .pod(let pod):
      guard pod.status.phase == .running, let (known, containers) = usage(of: pod) else { return nil }
      sample = known
      var list: [JSON] = []
      for container in pod.spec.initContainers + pod.spec.containers + pod.spec.ephemeralContainers {
        guard let usage = containers[container.name] else { continue }
        total = Usage(
          cpu: total.cpu.addingSaturated(usage.cpu), memory: total.memory.addingSaturated(usage.memory))
        list.append(["name": .string(container.name), "usage": MetricsGroup.amounts(usage)])
      }
      if list.isEmpty { return nil }
      body = ["containers": .array(list)]
    default: return nil
    }
    let meta = object.meta
    var metadata: JSON = ["name": .string(meta.name), "creationTimestamp": .string(now.wall.rfc3339)]
    if !meta.namespace.isEmpty { metadata["namespace"] = .string(meta.namespace) }
    if !meta.labels.isEmpty { metadata["labels"] = meta.labels.json }
    let window = DurationText.format(milliseconds: sample.report.windowMilliseconds)
    switch form {
    case .metadata: return ["kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata]
    case .table:
      let cells: JSON = [
        .string(meta.name), .string("\(total.cpu)n"), .string("\(total.memory / 1_024)Ki"), .string(window),
      ]
      return [
        "cells": cells,
        "object": ["kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata],
      ]
    case .object:
      body["kind"] = .string(MetricsGroup.kind(object.kind))
      body["apiVersion"] = .string(MetricsGroup.apiVersion)
      body["metadata"] = metadata
      body["timestamp"] = .string(sample.wall.rfc3339)
      body["window"] = .string(window)
      return body
    }
  }
}

extension MetricsGroup {
  /// A list without its items.
  static func frame(_ request: APIRequest, _ meta: JSON) -> JSON {
    switch request.form {
    case .metadata: return ["kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta]
    case .object:
      return ["kind": .string(kind(request.kind) + "List"), "apiVersion": .string(apiVersion), "metadata": meta]
    case .table:
      let columns = [TableColumn.name] + ["CPU", "Memory", "Window"].map { TableColumn($0, "As measured last.") }
      return [
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
        "columnDefinitions": .array(columns.map(\.json)),
      ]
    }
  }
}
