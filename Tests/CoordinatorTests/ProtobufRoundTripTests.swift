// What typed clients in Go do all day: read an object, keep what their types know, and send the whole of it back in
// protobuf, zeros and all. For each kind that is a change of what the client changed, and of nothing else.

import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Protobuf, there and back")
struct ProtobufRoundTripTests {
  private typealias Wire = ProtobufWriter

  private struct Sample {
    var path: String
    var apiVersion: String
    var body: JSON
    var hasStatus = false
    var kind: String
    var name: String { body[path: ["metadata", "name"]]?.stringValue ?? "" }
  }

  private static let container: JSON = [
    "name": "c", "image": "busybox", "command": ["sleep", "100"],
    "env": [
      ["name": "A", "value": "a"], ["name": "B", "valueFrom": ["resourceFieldRef": ["resource": "limits.cpu"]]],
    ], "resources": ["requests": ["cpu": "10m"]],
    "resizePolicy": [["resourceName": "cpu", "restartPolicy": "NotRequired"]],
    "ports": [["containerPort": 80]],
    "readinessProbe": ["httpGet": ["port": "web", "httpHeaders": [["name": "X", "value": ""]]]],
    "volumeMounts": [["name": "e", "mountPath": "/data"]],
  ]

  private static let podSpec: JSON = [
    "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container],
    "tolerations": [["key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0]],
    "volumes": [["name": "e", "emptyDir": ["sizeLimit": "1Gi"]]],
  ]

  private static func sample(
    _ path: String, _ apiVersion: String, _ kind: String, hasStatus: Bool = false, _ body: JSON
  ) -> Sample {
    var whole = body
    whole[path: ["metadata", "name"]] = "sample"
    return Sample(path: path, apiVersion: apiVersion, body: whole, hasStatus: hasStatus, kind: kind)
  }

  private static let samples: [Sample] = [
    sample(
      "/api/v1/nodes", "v1", "Node", hasStatus: true,
      ["spec": ["unschedulable": true, "taints": [["key": "a", "effect": "NoSchedule"]]]]),
    sample("/api/v1/namespaces", "v1", "Namespace", hasStatus: true, ["metadata": ["labels": ["a": ""]]]),
    sample("/api/v1/namespaces/default/pods", "v1", "Pod", hasStatus: true, ["spec": podSpec]),
    sample(
      "/apis/batch/v1/namespaces/default/jobs", "batch/v1", "Job", hasStatus: true,
      [
        "spec": [
          "completions": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 0, "maxFailedIndexes": 0,
          "suspend": true, "successPolicy": ["rules": [["succeededIndexes": "0"]]],
          "podFailurePolicy": ["rules": [["action": "Ignore", "onExitCodes": ["operator": "In", "values": [137]]]]],
          "template": ["spec": podSpec],
        ]
      ]),
    sample(
      "/apis/batch/v1/namespaces/default/cronjobs", "batch/v1", "CronJob", hasStatus: true,
      ["spec": ["schedule": "0 0 1 1 *", "jobTemplate": ["spec": ["template": ["spec": podSpec]]]]]),
    sample(
      "/apis/policy/v1/namespaces/default/poddisruptionbudgets", "policy/v1", "PodDisruptionBudget", hasStatus: true,
      ["spec": ["minAvailable": "1%", "selector": ["matchLabels": ["a": "b"]]]]),
    sample(
      "/api/v1/namespaces/default/resourcequotas", "v1", "ResourceQuota", hasStatus: true,
      [
        "spec": [
          "hard": ["pods": "900", "requests.cpu": "1k"],
          "scopeSelector": ["matchExpressions": [["scopeName": "PriorityClass", "operator": "In", "values": ["a"]]]],
        ]
      ]),
    sample(
      "/api/v1/namespaces/default/limitranges", "v1", "LimitRange",
      ["spec": ["limits": [["type": "Container", "default": ["example.com/none": "1"]]]]]),
    sample(
      "/api/v1/persistentvolumes", "v1", "PersistentVolume",
      [
        "spec": [
          "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteMany"], "mountOptions": ["soft"],
          "storageClassName": "", "nfs": ["server": "s", "path": "/p", "readOnly": true],
          "nodeAffinity": [
            "required": [
              "nodeSelectorTerms": [["matchExpressions": [["key": "a", "operator": "In", "values": ["b"]]]]]
            ]
          ],
        ]
      ]),
    sample(
      "/api/v1/namespaces/default/persistentvolumeclaims", "v1", "PersistentVolumeClaim",
      [
        "spec": [
          "accessModes": ["ReadWriteOnce"], "storageClassName": "", "selector": ["matchLabels": ["a": "b"]],
          "resources": ["requests": ["storage": "1Gi"]],
        ]
      ]),
    sample(
      "/apis/storage.k8s.io/v1/storageclasses", "storage.k8s.io/v1", "StorageClass",
      ["provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"]),
    sample(
      "/apis/scheduling.k8s.io/v1/priorityclasses", "scheduling.k8s.io/v1", "PriorityClass", ["value": 0]),
    sample(
      "/apis/coordination.k8s.io/v1/namespaces/default/leases", "coordination.k8s.io/v1", "Lease",
      ["spec": ["holderIdentity": "", "leaseTransitions": 0, "renewTime": "2026-01-01T00:00:00.000001Z"]]),
    sample(
      "/api/v1/namespaces/default/configmaps", "v1", "ConfigMap", ["binaryData": ["b": "AAE="], "data": ["a": ""]]),
    sample("/api/v1/namespaces/default/secrets", "v1", "Secret", ["data": ["a": "AAE="]]),
    sample(
      "/api/v1/namespaces/default/serviceaccounts", "v1", "ServiceAccount", ["automountServiceAccountToken": false]),
    sample("/api/v1/namespaces/default/services", "v1", "Service", ["spec": ["ports": [["port": 80]]]]),
    sample(
      "/api/v1/namespaces/default/events", "v1", "Event",
      ["involvedObject": ["namespace": "default"], "reason": "Why", "type": "Normal"]),
    sample(
      "/apis/rbac.authorization.k8s.io/v1/clusterroles", "rbac.authorization.k8s.io/v1", "ClusterRole",
      ["rules": [["apiGroups": [""], "resources": ["pods"], "verbs": ["get"]]]]),
    sample(
      "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", "rbac.authorization.k8s.io/v1",
      "RoleBinding",
      [
        "subjects": [["kind": "ServiceAccount", "name": "default", "namespace": "default"]],
        "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"],
      ]),
  ]

  @Test("what was read of a kind and is written back changes nothing, not even the version")
  func writtenBack() throws {
    try LiveAPI.with { api in
      for sample in Self.samples {
        let made = try api.ask("POST", sample.path, body: sample.body)
        #expect(made.code == 201, "\(sample.kind): \(made.text)")
        for part in sample.hasStatus ? ["", "/status"] : [""] {
          let place = "\(sample.path)/\(sample.name)"
          let before = try api.ask("GET", place).json
          let body = Wire.typed(sample.apiVersion, sample.kind, before)
          let answer = try api.send(
            HTTPTestClient.request("PUT", place + part, type: HTTPMedia.protobuf, body: body))
          #expect(answer.code == 200, "\(sample.kind)\(part): \(answer.text)")
          #expect(answer.json == before, "\(sample.kind)\(part)")
        }
      }
    }
  }

  @Test("a status with parts of seconds that is written back as it was read is no change")
  func partsOfSeconds() throws {
    try LiveAPI.with { api in
      let jobs = "/apis/batch/v1/namespaces/default/jobs"
      var body: JSON = ["metadata": ["name": "done"], "spec": ["completions": 0]]
      body[path: ["spec", "template", "spec"]] = Self.podSpec
      #expect(try api.ask("POST", jobs, body: body).code == 201)
      var read: JSON = .null
      try api.live.wait("it is complete") {
        read = (try? api.ask("GET", "\(jobs)/done").json) ?? .null
        return read[path: ["status", "completionTime"]] != nil
      }
      #expect(try api.ask("PUT", "\(jobs)/done/status", body: read).json == read)
    }
  }

  @Test("zeros that the JSON of a kind always has are there, whoever leaves them out")
  func requiredZeros() throws {
    try LiveAPI.with { api in
      let classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
      let none = try api.ask("POST", classes, body: ["metadata": ["name": "none"]])
      #expect(none.json["value"] == 0, "\(none.text)")
      let zero = Wire.typed("scheduling.k8s.io/v1", "PriorityClass", ["metadata": ["name": "zero"], "value": 0])
      let sent = try api.send(HTTPTestClient.request("POST", classes, type: HTTPMedia.protobuf, body: zero))
      #expect(sent.json["value"] == 0, "\(sent.text)")
      let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
      let budget: JSON = [
        "metadata": ["name": "b"], "spec": ["minAvailable": 1, "selector": ["matchLabels": ["a": "b"]]],
      ]
      #expect(try api.ask("POST", budgets, body: budget).code == 201)
      let patch: JSON = [
        "status": ["currentHealthy": .null, "disruptedPods": ["p": "2026-01-01T00:00:00Z"], "expectedPods": .null]
      ]
      let status = try api.ask(
        "PATCH", "\(budgets)/b/status", type: "application/merge-patch+json", body: patch
      ).json["status"]
      #expect(status?["currentHealthy"] == 0 && status?["expectedPods"] == 0)
      #expect(status?["disruptedPods"] == ["p": "2026-01-01T00:00:00Z"])
    }
  }

  @Test("every field that is served has its number")
  func fields() {
    // Kubernetes' types of these are not in the schema, or Kubernetes does not have them: what a client writes there is
    // kept as it came, in JSON only, or never set.
    let untyped: Set = [
      "JobSpec.scheduling", "NodeSpec.configSource", "NodeStatus.config", "NodeStatus.runtimeHandlers",
      "NodeStatus.features", "NodeStatus.declaredFeatures", "ContainerStatus.resources", "ContainerStatus.user",
      "ContainerStatus.volumeMounts", "ContainerStatus.allocatedResourcesStatus",
      "PodStatus.extendedResourceClaimStatus",
      "PodStatus.resourceClaimStatuses", "PodStatus.fencingToken",
      "PersistentVolumeClaimStatus.modifyVolumeStatus",
    ]
    var seen: Set<String> = []
    var lacking: Set<String> = []
    func name(_ type: SchemaType) -> String? {
      switch type {
      case .named(let name): name
      case .list(let element), .map(let element): name(element)
      default: nil
      }
    }
    func sendable(_ message: String) -> [String: ProtobufType] {
      var result: [String: ProtobufType] = [:]
      for field in (Protobuf.messages[message] ?? [:]).values {
        if case .named(let inner) = field.type, field.name.isEmpty {
          result.merge(sendable(inner)) { $1 }
        } else {
          result[field.name] = field.type
        }
      }
      return result
    }
    func check(_ type: String) {
      guard seen.insert(type).inserted, let known = Schema.structs[type] else { return }
      let sent = sendable(type)
      for field in known.fieldNames where !["apiVersion", "kind"].contains(field) || sent[field] != nil {
        guard let facts = known[field], facts.honour != .refused else { continue }
        if sent[field] == nil || sent[field] == .unserved { lacking.insert("\(type).\(field)") }
        if let inner = name(facts.type) { check(inner) }
      }
    }
    for kind in Kind.allCases where kind != .queues { check(kind.name) }
    #expect(seen.isSuperset(of: ["Node", "Pod", "CronJob", "PodDisruptionBudget", "ClusterRole", "Service"]))
    #expect(lacking.subtracting(untyped).sorted() == [])
  }
}

extension ProtobufWriter {
  /// An object as Go's typed clients send it: fields in the order of their numbers, zeros of all but pointers included,
  /// what the types do not know left out.
  static func typed(_ apiVersion: String, _ kind: String, _ json: JSON) -> [UInt8] {
    body(apiVersion, kind, fields(kind, json))
  }

  private static func fields(_ name: String, _ json: JSON) -> [UInt8] {
    (Protobuf.messages[name] ?? [:]).sorted { $0.key < $1.key }.flatMap { number, field -> [UInt8] in
      if field.name.isEmpty, case .named(let inner) = field.type { return bytes(number, fields(inner, json)) }
      let value = json[field.name]
      switch field.type {
      case .list(let element): return (value?.arrayValue ?? []).flatMap { one(number, element, $0) }
      case .map(let element):
        return (value?.objectValue ?? JSONObject()).flatMap { entry(number, $0.key, one(2, element, $0.value)) }
      default:
        guard let value else { return field.isPointer ? [] : zero(number, field.type) }
        return one(number, field.type, value)
      }
    }
  }

  private static func zero(_ number: UInt64, _ type: ProtobufType) -> [UInt8] {
    switch type {
    case .string: text(number, "")
    case .int32, .int64, .bool: int(number, 0)
    default: []
    }
  }

  private static func one(_ number: UInt64, _ type: ProtobufType, _ value: JSON) -> [UInt8] {
    let string = value.stringValue ?? ""
    switch type {
    case .string: return text(number, string)
    case .int32, .int64: return int(number, value.intValue ?? 0)
    case .bool: return int(number, value.boolValue == true ? 1 : 0)
    case .bytes: return bytes(number, Base64.decode(string) ?? [])
    case .quantity: return message(number, text(1, string))
    case .time, .microTime:
      guard let time = WallTime(rfc3339: string) else { return message(number) }
      return message(number, int(1, time.seconds), int(2, time.nanoseconds - time.seconds * 1_000_000_000))
    case .intOrString:
      let isNumber = value.intValue != nil
      return message(number, int(1, isNumber ? 0 : 1), int(2, value.intValue ?? 0), text(3, string))
    case .fieldsV1: return message(number, bytes(1, value.bytes))
    case .named(let inner): return bytes(number, fields(inner, value))
    case .unserved, .list, .map: return []
    }
  }
}
