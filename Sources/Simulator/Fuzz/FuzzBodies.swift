// Objects that have a value in each field that holds a number, an amount or a time: what the fuzzer mutates. Data only.

import ClusterProto

enum FuzzBodies {
  private static let podSpec = #"""
    {"restartPolicy":"OnFailure","terminationGracePeriodSeconds":3,"activeDeadlineSeconds":50,"priority":5,
    "nodeSelector":{"d":"s"},"securityContext":{"runAsUser":5,"runAsGroup":6,"supplementalGroups":[7]},
    "tolerations":[{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute",
    "tolerationSeconds":3}],"volumes":[{"name":"v","configMap":{"name":"m","defaultMode":420,
    "items":[{"key":"a","path":"b","mode":420}]}},{"name":"w","emptyDir":{"sizeLimit":"1Gi"}}],
    "initContainers":[{"name":"i","image":"i","command":["true"],"restartPolicy":"Always",
    "resources":{"requests":{"cpu":"10m","memory":"1Mi"}}}],
    "containers":[{"name":"main","image":"busybox","command":["sh"],"ports":[{"containerPort":80,"hostPort":81}],
    "env":[{"name":"L","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}}],
    "resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"cpu":"1","memory":"65Mi"}},
    "volumeMounts":[{"name":"v","mountPath":"/q"}],"readinessProbe":{"initialDelaySeconds":1,"periodSeconds":2,
    "timeoutSeconds":3,"successThreshold":1,"failureThreshold":4,"httpGet":{"path":"/","port":80}}},
    {"name":"two","image":"b","command":["true"]}]}
    """#

  private static let conditions = #"""
    [{"type":"Ready","status":"True","reason":"r","message":"m","lastTransitionTime":"2026-11-23T10:00:00Z",
    "lastProbeTime":"2026-11-23T10:00:00Z"}]
    """#

  private static let podStatus = #"""
    {"phase":"Running","startTime":"2026-11-23T10:00:00Z","conditions":\#(conditions),"containerStatuses":[
    {"name":"main","image":"busybox","imageID":"","ready":true,"started":true,"restartCount":3,
    "state":{"running":{"startedAt":"2026-11-23T10:00:00Z"}},"lastState":{"terminated":{"exitCode":1,"signal":9,
    "reason":"Error","startedAt":"2026-11-23T10:00:00Z","finishedAt":"2026-11-23T10:00:00Z"}}},
    {"name":"two","image":"b","imageID":"","ready":false,"restartCount":2,"state":{"terminated":{"exitCode":1,
    "signal":9,
    "reason":"Error","startedAt":"2026-11-23T10:00:00Z","finishedAt":"2026-11-23T10:00:00Z"}}}],
    "initContainerStatuses":[{"name":"i","image":"i","imageID":"","ready":true,"restartCount":1,
    "state":{"running":{"startedAt":"2026-11-23T10:00:00Z"}}}]}
    """#

  private static let meta = #"""
    "metadata":{"name":"NAME","labels":{"a":"1"},"generation":4,"resourceVersion":"","deletionGracePeriodSeconds":30,
    "creationTimestamp":"2026-11-23T10:00:00Z","managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1",
    "time":"2026-11-23T10:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{}}}]}
    """#

  private static let job = #"""
    "spec":{"completions":6,"parallelism":4,"backoffLimit":3,"ttlSecondsAfterFinished":5,
    "activeDeadlineSeconds":900,"backoffLimitPerIndex":null,"template":{"metadata":{"labels":{"q":"r"}},
    "spec":\#(podSpec)}},"status":{"active":1,"succeeded":1,"failed":1,"ready":1,"terminating":1,
    "startTime":"2026-11-23T10:00:00Z","completionTime":"2026-11-23T10:00:00Z","conditions":\#(conditions)}
    """#

  private static let node = #"""
    "spec":{"unschedulable":false,"taints":[{"key":"k","value":"1","effect":"PreferNoSchedule",
    "timeAdded":"2026-11-23T10:00:00Z"}]},"status":{"capacity":{"cpu":"4","memory":"8Gi","pods":"110"},
    "allocatable":{"cpu":"4","memory":"8Gi","pods":"110"},"conditions":\#(conditions),
    "addresses":[{"type":"InternalIP","address":"127.0.0.1"}],"nodeInfo":{"machineID":"m"}}
    """#

  private static let rests: [Kind: String] = [
    .jobs: job, .pods: #""spec":\#(podSpec),"status":\#(podStatus)"#, .nodes: node,
    .configmaps: #""data":{"a":"1"},"binaryData":{"b":"AAAA"}"#, .secrets: #""data":{"a":"AAAA"}"#,
    .leases: #"""
    "spec":{"holderIdentity":"h","leaseDurationSeconds":40,"leaseTransitions":3,
    "renewTime":"2026-11-23T10:00:00.000000Z","acquireTime":"2026-11-23T10:00:00.000000Z"}
    """#,
    .poddisruptionbudgets:
      #""spec":{"minAvailable":1,"selector":{"matchLabels":{"a":"b"}}},"status":{"expectedPods":3}"#,
    .queues: #""spec":{"priority":5,"limits":{"jobs":"5","cpu":"9","example.com/a":"3"},"weights":{"default":3}}"#,
    .resourcequotas: #""spec":{"hard":{"pods":"50","requests.cpu":"90","count/jobs.batch":"70"}}"#,
    .limitranges: #""spec":{"limits":[{"type":"Container","default":{"cpu":"500m"},"max":{"cpu":"2"}}]}"#,
    .persistentvolumes: #"""
    "spec":{"capacity":{"storage":"5Gi"},"accessModes":["ReadWriteOnce"],"storageClassName":"s",
    "hostPath":{"path":"/srv"}}
    """#,
    .persistentvolumeclaims:
      #""spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}},"storageClassName":"s"}"#,
    .storageclasses: #""provisioner":"kubernetes.io/no-provisioner","volumeBindingMode":"Immediate""#,
    .priorityclasses: #""value":5,"globalDefault":false"#,
    .services: #""spec":{"ports":[{"port":80,"targetPort":81,"nodePort":0,"protocol":"TCP"}]}"#,
    .events: #"""
    "involvedObject":{"kind":"Pod","namespace":"default","name":"p","uid":"u"},"reason":"r","message":"m","count":3,
    "firstTimestamp":"2026-11-23T10:00:00Z","lastTimestamp":"2026-11-23T10:00:00Z",
    "eventTime":"2026-11-23T10:00:00.000000Z","series":{"count":4,"lastObservedTime":"2026-11-23T10:00:00.000000Z"},
    "type":"Normal"
    """#,
    .roles: rules, .clusterroles: rules, .rolebindings: binding, .clusterrolebindings: binding,
  ]

  private static let rules = #""rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]}]"#
  private static let binding = #"""
    "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},
    "subjects":[{"kind":"User","name":"alice"}]
    """#

  /// Each kind's object, its name still NAME.
  static let objects: [Kind: JSON] = {
    var result: [Kind: JSON] = [:]
    for kind in Kind.allCases {
      let rest = rests[kind].map { ",\($0)" } ?? ""
      let text = #"{"apiVersion":"\#(kind.apiVersion)","kind":"\#(kind.name)",\#(meta)\#(rest)}"#
      result[kind] = parse(text.replacing("\n", with: " "))
    }
    return result
  }()

  /// Values of a Job's status that may be taken.
  static let jobStatus: [(String, [JSON])] = [
    ("active", [0, 1, 9]), ("ready", [0, 1]), ("terminating", [0, 2]), ("succeeded", [0, 1, 2, 3, 9, 2_147_483_647]),
    ("failed", [0, 1, 3, 2_147_483_647]), ("completedIndexes", ["", "0", "0-2", "1,3", "0-9", .null]),
    ("failedIndexes", ["", "0", "1,3", .null]), ("startTime", ["2026-11-23T10:00:00Z", .null]),
    ("completionTime", ["2026-11-23T10:00:00Z", "9999-12-31T23:59:59Z", .null]),
  ]

  /// Makes an Indexed Job of it.
  static func addIndexes(to job: inout JSON) {
    job[path: ["spec", "completionMode"]] = "Indexed"
    job[path: ["spec", "backoffLimitPerIndex"]] = 1
    job[path: ["spec", "template", "spec", "restartPolicy"]] = "Never"
    job[path: ["status", "completedIndexes"]] = "0,2"
    job[path: ["status", "failedIndexes"]] = "1"
  }

  static let status = parse(podStatus)
  static let spec = parse(podSpec)

  static func registration(_ node: String, keeper: String) -> JSON {
    AgentMessage.register(
      Registration(
        node: node, machineID: "machine-\(node)", bootID: "boot", keeper: keeper, sweptKeepers: ["other"],
        capacity: NodeCapacity(cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 110), labels: ["zone": "1"],
        address: "127.0.0.1", info: ["machineID": "m", "architecture": "arm64"], conditions: [], fencesFully: true,
        highestIncarnation: 0, highestAttempt: 0)
    ).json
  }

  /// The body of an attempt.
  static func assignment(_ attempt: AttemptNumber, keeper: String, session: String) -> JSON {
    // Of a pod that has got another container.
    var grown = spec
    grown["ephemeralContainers"] = [
      ["name": "debug-0", "image": "busybox", "command": ["sh"], "targetContainerName": "main"]
    ]
    return Assignment(
      attempt: attempt, keeper: keeper, session: session, namespace: "default", podName: "p-\(attempt)",
      podUID: "uid-\(attempt)", labels: ["a": "1"], annotations: [:], spec: PodSpec(json: grown),
      references: JSONObject(), tolerationMilliseconds: 10_000
    ).json
  }

  private static func parse(_ text: String) -> JSON {
    (try? JSON(parsing: Array(text.utf8))) ?? .null
  }
}
