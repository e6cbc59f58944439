// What the API server fills in for Jobs and pods: SetDefaults of batch/v1 and core/v1, and the admission that completes
// a pod. Works on decoded trees; never overwrites what is there. Other kinds' defaults are their descriptors'.

import ClusterProto

enum Defaults {
  static func set(_ json: inout JSON, _ key: String, _ value: JSON) {
    if json[key] == nil { json[key] = value }
  }

  static func each(_ json: inout JSON, _ key: String, _ change: (inout JSON) -> Void) {
    guard var values = json[key]?.arrayValue else { return }
    for index in values.indices { change(&values[index]) }
    json[key] = .array(values)
  }

  static func within(_ json: inout JSON, _ key: String, _ change: (inout JSON) -> Void) {
    guard var value = json[key], value.objectValue != nil else { return }
    change(&value)
    json[key] = value
  }

  /// SetDefaults_Job with the pod template's.
  static func job(_ spec: inout JSON) {
    if spec["completions"] == nil, spec["parallelism"] == nil { spec["completions"] = 1 }
    set(&spec, "parallelism", 1)
    let perIndex = spec["backoffLimitPerIndex"] != nil
    set(&spec, "backoffLimit", perIndex ? 2_147_483_647 : 6)
    set(&spec, "completionMode", "NonIndexed")
    set(&spec, "suspend", false)
    set(&spec, "manualSelector", false)
    set(&spec, "podReplacementPolicy", spec["podFailurePolicy"] == nil ? "TerminatingOrFailed" : "Failed")
    within(&spec, "podFailurePolicy") { policy in
      each(&policy, "rules") { rule in each(&rule, "onPodConditions") { set(&$0, "status", "True") } }
    }
    if spec["template"] == nil { spec["template"] = .object(JSONObject()) }
    within(&spec, "template") { template in
      if template["metadata"] == nil { template["metadata"] = .object(JSONObject()) }
      if template["spec"] == nil { template["spec"] = .object(JSONObject()) }
      within(&template, "spec", podSpec)
    }
  }

  /// SetDefaults_PodSpec and its containers and volumes: what a template gets as well.
  static func podSpec(_ spec: inout JSON) {
    set(&spec, "dnsPolicy", "ClusterFirst")
    set(&spec, "restartPolicy", "Always")
    set(&spec, "schedulerName", "default-scheduler")
    set(&spec, "securityContext", .object(JSONObject()))
    set(&spec, "terminationGracePeriodSeconds", 30)
    // The old and the new name of one field.
    if let account = spec["serviceAccountName"] { set(&spec, "serviceAccount", account) }
    if let account = spec["serviceAccount"] { set(&spec, "serviceAccountName", account) }
    each(&spec, "volumes", volume)
    each(&spec, "initContainers", container)
    each(&spec, "containers", container)
    each(&spec, "ephemeralContainers", container)
  }

  private static func volume(_ volume: inout JSON) {
    if volume.objectValue?.keys.allSatisfy({ $0 == "name" }) == true { volume["emptyDir"] = .object(JSONObject()) }
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
      within(&volume, source) { set(&$0, "defaultMode", 420) }
    }
    within(&volume, "downwardAPI") { each(&$0, "items", downward) }
    within(&volume, "projected") { projected in
      each(&projected, "sources") { source in
        within(&source, "downwardAPI") { each(&$0, "items", downward) }
        within(&source, "serviceAccountToken") { set(&$0, "expirationSeconds", 3_600) }
      }
    }
    within(&volume, "hostPath") { set(&$0, "type", "") }
    within(&volume, "ephemeral") { ephemeral in
      within(&ephemeral, "volumeClaimTemplate") { template in
        within(&template, "spec") { set(&$0, "volumeMode", "Filesystem") }
      }
    }
  }

  /// An object that has `fieldRef` or `resourceFieldRef`.
  private static func downward(_ source: inout JSON) {
    within(&source, "fieldRef") { set(&$0, "apiVersion", "v1") }
    within(&source, "resourceFieldRef") { set(&$0, "divisor", "0") }
  }

  private static func container(_ container: inout JSON) {
    set(&container, "terminationMessagePath", "/dev/termination-log")
    set(&container, "terminationMessagePolicy", "File")
    set(&container, "resources", .object(JSONObject()))
    let policy = ImageReference.defaultPolicy(of: container["image"]?.stringValue ?? "")
    set(&container, "imagePullPolicy", .string(policy.rawValue))
    each(&container, "ports") { set(&$0, "protocol", "TCP") }
    each(&container, "env") { variable in
      within(&variable, "valueFrom", downward)
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
      within(&container, probe) { probe in
        set(&probe, "timeoutSeconds", 1)
        set(&probe, "periodSeconds", 10)
        set(&probe, "successThreshold", 1)
        set(&probe, "failureThreshold", 3)
        within(&probe, "httpGet", get)
      }
    }
    within(&container, "lifecycle") { lifecycle in
      for hook in ["postStart", "preStop"] { within(&lifecycle, hook) { within(&$0, "httpGet", get) } }
    }
  }

  private static func get(_ get: inout JSON) {
    set(&get, "path", "/")
    set(&get, "scheme", "HTTP")
  }

  /// SetDefaults_Pod: what a pod gets beyond its template.
  static func pod(_ spec: inout JSON) {
    set(&spec, "enableServiceLinks", true)
    for list in ["containers", "initContainers"] {
      each(&spec, list) { container in
        guard let limits = container[path: ["resources", "limits"]]?.objectValue else { return }
        var resources = container["resources"] ?? .object(JSONObject())
        var requests = resources["requests"]?.objectValue ?? JSONObject()
        for (name, amount) in limits where requests[name] == nil { requests[name] = amount }
        resources["requests"] = .object(requests)
        container["resources"] = resources
      }
    }
  }

  /// What admission adds to every pod, the Job controller's included: service account and the tolerations
  /// of
  /// unreachable and not-ready nodes for `tolerationSeconds`. Takes and returns a defaulted pod spec.
  static func admit(podSpec source: JSON, tolerationSeconds: Int64) -> JSON {
    var spec = source
    pod(&spec)
    set(&spec, "serviceAccountName", "default")
    set(&spec, "serviceAccount", spec["serviceAccountName"] ?? "default")
    var tolerations = spec["tolerations"]?.arrayValue ?? []
    let given = tolerations.map { Toleration(json: $0) }
    for key in [Taint.notReady, Taint.unreachable] {
      // Kubernetes' admission looks at key and effect only: any toleration of that taint is the pod's own choice.
      let own = given.contains {
        ($0.key == key || $0.key == nil) && ($0.effect == Taint.noExecute || $0.effect == nil)
      }
      if own { continue }
      tolerations.append([
        "key": .string(key), "operator": "Exists", "effect": .string(Taint.noExecute),
        "tolerationSeconds": .int(tolerationSeconds),
      ])
    }
    if !tolerations.isEmpty { spec["tolerations"] = .array(tolerations) }
    return spec
  }
}
