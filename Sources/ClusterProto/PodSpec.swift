// A pod's spec: the whole JSON tree as the user (and the defaults) wrote it, and beside it the typed part that
// scheduler, agent and keeper read. Immutable and shared: all pods of one Job hold the same instance.
// Reads only; validation (with Kubernetes' messages) happens before, in the coordinator's API layer.

/// What becomes of a container that has ended; of a Job's pods never `always`.
package enum RestartPolicy: String, Sendable { case always = "Always", onFailure = "OnFailure", never = "Never" }

/// One entry of spec.containers, spec.initContainers or spec.ephemeralContainers.
package struct ContainerSpec: Equatable, Sendable {
  /// Where an environment variable's value comes from.
  package enum EnvironmentSource: Equatable, Sendable {
    case value(String)
    case pod(DownwardValue)
    case configMapKey(name: String, key: String, optional: Bool)
    case secretKey(name: String, key: String, optional: Bool)
  }

  /// One `env` entry of a container.
  package struct EnvironmentVariable: Equatable, Sendable {
    /// Its name.
    package var name: String
    /// Where the value comes from.
    package var source: EnvironmentSource
  }

  /// envFrom: every key of a ConfigMap or Secret, each with `prefix` before it.
  package struct EnvironmentImport: Equatable, Sendable {
    /// Name of the ConfigMap; nil for a Secret.
    package var configMap: String?
    /// Name of the Secret; nil for a ConfigMap.
    package var secret: String?
    /// Put before each name.
    package var prefix: String
    /// Whether it may be missing.
    package var optional: Bool
  }

  /// One `volumeMounts` entry of a container.
  package struct VolumeMount: Equatable, Sendable {
    /// Its name.
    package var name: String
    /// Where in the container.
    package var mountPath: String
    /// What below the volume's root; nil: all.
    package var subPath: String?
    /// `subPath` with $(VAR) of the container's environment in it.
    package var subPathExpression: String?
    /// Whether the container may not write there.
    package var readOnly: Bool
  }

  /// Its name.
  package var name: String
  /// The image as written.
  package var image: String
  /// When the image is fetched.
  package var pullPolicy: ImagePullPolicy
  /// The program and its first arguments; empty: the image's.
  package var command: [String]
  /// More arguments.
  package var arguments: [String]
  /// Where the command starts; nil: the image's or /.
  package var workingDirectory: String?
  /// Variables, in their order.
  package var environment: [EnvironmentVariable]
  /// Variables of whole ConfigMaps and Secrets, in their order.
  package var environmentImports: [EnvironmentImport]
  /// Volumes, in their order.
  package var mounts: [VolumeMount]
  /// resources.requests; a missing request falls back to the limit, as Kubernetes defaults it.
  package var cpuMillicores: Int64
  /// Requested memory in bytes.
  package var memoryBytes: Int64
  /// Requested room on the node's disk in bytes.
  package var storageBytes: Int64
  /// resources.limits of what a cgroup can hold it to.
  package var limits: ContainerLimits
  /// Requests of extended resources, sorted by name.
  package var extendedResources: [ResourceAmount]
  /// True for an init container with `restartPolicy: Always` (a sidecar).
  package var isSidecar: Bool
  /// The file whose text becomes the termination message.
  package var terminationMessagePath: String
  /// terminationMessagePolicy FallbackToLogsOnError: without a message of its own a failed run shows its log's end.
  package var fallsBackToLogs: Bool
  /// Its own securityContext.
  package var security: SecuritySpec
  /// lifecycle.stopSignal; nil: the image's.
  package var stopSignal: String?
  /// Its probes and hooks.
  package var care: ContainerCare
  /// Its ports that have a name, by that.
  package var namedPorts: [String: Int64]
  /// Of a container that was added: the one whose processes it sees; nil: none.
  package var target: String?
  /// stdin, stdinOnce and tty.
  package var input: ContainerInput

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON) {
    name = json["name"]?.stringValue ?? ""
    image = json["image"]?.stringValue ?? ""
    pullPolicy =
      json["imagePullPolicy"]?.stringValue.flatMap { ImagePullPolicy(rawValue: $0) }
      ?? ImageReference.defaultPolicy(of: image)
    command = Self.strings(json["command"])
    arguments = Self.strings(json["args"])
    workingDirectory = json["workingDir"]?.stringValue
    environment = (json["env"]?.arrayValue ?? []).map(Self.environmentVariable)
    environmentImports = (json["envFrom"]?.arrayValue ?? []).map { entry in
      let reference = entry["configMapRef"] ?? entry["secretRef"]
      return EnvironmentImport(
        configMap: entry[path: ["configMapRef", "name"]]?.stringValue,
        secret: entry[path: ["secretRef", "name"]]?.stringValue,
        prefix: entry["prefix"]?.stringValue ?? "", optional: reference?["optional"]?.boolValue ?? false)
    }
    mounts = (json["volumeMounts"]?.arrayValue ?? []).map { entry in
      VolumeMount(
        name: entry["name"]?.stringValue ?? "", mountPath: entry["mountPath"]?.stringValue ?? "",
        subPath: entry["subPath"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 },
        subPathExpression: entry["subPathExpr"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 },
        readOnly: entry["readOnly"]?.boolValue ?? false)
    }
    func amount(_ resource: String) -> String? {
      let value = json[path: ["resources", "requests", resource]] ?? json[path: ["resources", "limits", resource]]
      return value?.stringValue ?? value?.text
    }
    cpuMillicores = max(0, amount("cpu").flatMap { Quantity.parseMillis($0) } ?? 0)
    memoryBytes = max(0, amount("memory").flatMap { Quantity.parseBytes($0) } ?? 0)
    storageBytes = max(0, amount("ephemeral-storage").flatMap { Quantity.parseBytes($0) } ?? 0)
    limits = ContainerLimits(json: json[path: ["resources", "limits"]])
    let extended = ResourceAmount.list(json[path: ["resources", "requests"]])
    extendedResources = extended.isEmpty ? ResourceAmount.list(json[path: ["resources", "limits"]]) : extended
    isSidecar = json["restartPolicy"]?.stringValue == RestartPolicy.always.rawValue
    terminationMessagePath = json["terminationMessagePath"]?.stringValue ?? "/dev/termination-log"
    fallsBackToLogs = json["terminationMessagePolicy"]?.stringValue == "FallbackToLogsOnError"
    security = SecuritySpec(json: json["securityContext"])
    stopSignal = json[path: ["lifecycle", "stopSignal"]]?.stringValue
    care = ContainerCare(json: json)
    target = json["targetContainerName"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
    input = ContainerInput(json: json)
    namedPorts = [:]
    for port in json["ports"]?.arrayValue ?? [] {
      guard let name = port["name"]?.stringValue, let number = port["containerPort"]?.intValue else { continue }
      if namedPorts[name] == nil { namedPorts[name] = number }
    }
  }

  private static func strings(_ json: JSON?) -> [String] { (json?.arrayValue ?? []).compactMap(\.stringValue) }

  private static func environmentVariable(_ json: JSON) -> EnvironmentVariable {
    let name = json["name"]?.stringValue ?? ""
    guard let from = json["valueFrom"] else {
      return EnvironmentVariable(name: name, source: .value(json["value"]?.stringValue ?? ""))
    }
    func key(_ reference: JSON) -> (String, String, Bool) {
      (
        reference["name"]?.stringValue ?? "", reference["key"]?.stringValue ?? "",
        reference["optional"]?.boolValue ?? false
      )
    }
    let source: EnvironmentSource
    if let reference = from["configMapKeyRef"] {
      let (map, entry, optional) = key(reference)
      source = .configMapKey(name: map, key: entry, optional: optional)
    } else if let reference = from["secretKeyRef"] {
      let (secret, entry, optional) = key(reference)
      source = .secretKey(name: secret, key: entry, optional: optional)
    } else {
      source = .pod(DownwardValue(json: from))
    }
    return EnvironmentVariable(name: name, source: source)
  }
}

/// One entry of spec.tolerations. `seconds` nil means without limit.
package struct Toleration: Equatable, Hashable, Sendable {
  /// The taint's key; nil: every taint.
  package var key: String?
  /// Whether any value is tolerated.
  package var exists: Bool
  /// The value that is tolerated.
  package var value: String
  /// The effect that is tolerated; nil: every one.
  package var effect: String?
  /// For how many seconds a NoExecute taint is tolerated; nil: for ever.
  package var seconds: Int64?

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(key: String?, exists: Bool, value: String = "", effect: String?, seconds: Int64? = nil) {
    self.key = key
    self.exists = exists
    self.value = value
    self.effect = effect
    self.seconds = seconds
  }

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON) {
    key = json["key"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
    exists = json["operator"]?.stringValue == "Exists"
    value = json["value"]?.stringValue ?? ""
    effect = json["effect"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
    seconds = json["tolerationSeconds"]?.intValue
  }

  /// Kubernetes' `ToleratesTaint`: an empty key with Exists tolerates everything, an empty effect any effect.
  package func tolerates(_ taint: Taint) -> Bool {
    if let effect, effect != taint.effect { return false }
    guard let key else { return exists }
    return key == taint.key && (exists || value == taint.value)
  }
}

/// The typed view of a pod spec together with its whole tree.
package final class PodSpec: Sendable, Equatable {
  /// The spec with defaults, without `nodeName` (that is the pod's own).
  package let json: JSON
  /// SHA-256 of `json`'s text: the spec's identity wherever it is shared.
  package let digest: String
  /// When ended containers are started again.
  package let restartPolicy: RestartPolicy
  /// Run one after the other before the containers.
  package let initContainers: [ContainerSpec]
  /// Run beside each other.
  package let containers: [ContainerSpec]
  /// Added to the pod when it was there. The pod asks for nothing for them, and does not wait for them.
  package let ephemeralContainers: [ContainerSpec]
  /// What containers may mount.
  package let volumes: [VolumeSpec]
  /// Those of them that are claims.
  package let claims: [VolumeSpec]
  /// Which taints it bears.
  package let tolerations: [Toleration]
  /// Labels that its node must have.
  package let nodeSelector: StringMap
  /// From SIGTERM to SIGKILL, in seconds.
  package let terminationGracePeriodSeconds: Int64
  /// The pod fails after so many seconds; nil: never.
  package let activeDeadlineSeconds: Int64?
  /// The host name that it asks for; nil: its own name.
  package let hostname: String?
  /// The account that its pods run as.
  package let serviceAccountName: String
  /// Names of the Secrets with credentials for its images' registries, in their order.
  package let imagePullSecrets: [String]
  /// The pod's own securityContext.
  package let security: SecuritySpec
  /// Its containers see each other's processes.
  package let sharesProcesses: Bool
  /// Its containers use the host's System V IPC.
  package let hostIPC: Bool
  /// `hostUsers: false`: its containers have users of their own, whom the host does not know.
  package let hasOwnUsers: Bool
  /// Where it may run.
  package let scheduling: SchedulingSpec
  /// Effective scheduling request: max(sum of containers and sidecars, each init container beside the sidecars before
  /// it).
  package let cpuMillicores: Int64
  /// Requested memory in bytes.
  package let memoryBytes: Int64
  /// Requested room on the node's disk in bytes.
  package let storageBytes: Int64

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json source: JSON) {
    var json = source
    json["nodeName"] = nil
    self.json = json
    digest = SHA256.hex(of: json.bytes)
    restartPolicy = json["restartPolicy"]?.stringValue.flatMap { RestartPolicy(rawValue: $0) } ?? .always
    let initContainers = (json["initContainers"]?.arrayValue ?? []).map { ContainerSpec(json: $0) }
    let containers = (json["containers"]?.arrayValue ?? []).map { ContainerSpec(json: $0) }
    self.initContainers = initContainers
    self.containers = containers
    ephemeralContainers = (json["ephemeralContainers"]?.arrayValue ?? []).map { ContainerSpec(json: $0) }
    let volumes = (json["volumes"]?.arrayValue ?? []).map { VolumeSpec(json: $0) }
    self.volumes = volumes
    claims = volumes.filter(\.isClaim)
    tolerations = (json["tolerations"]?.arrayValue ?? []).map { Toleration(json: $0) }
    nodeSelector = StringMap(json: json["nodeSelector"])
    // Kubernetes: a negative grace means one second.
    let grace = json["terminationGracePeriodSeconds"]?.intValue ?? 30
    terminationGracePeriodSeconds = grace < 0 ? 1 : grace
    activeDeadlineSeconds = json["activeDeadlineSeconds"]?.intValue
    hostname = json["hostname"]?.stringValue
    serviceAccountName = json["serviceAccountName"]?.stringValue ?? "default"
    imagePullSecrets = (json["imagePullSecrets"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    security = SecuritySpec(json: json["securityContext"])
    sharesProcesses = (json["shareProcessNamespace"]?.boolValue ?? false) || (json["hostPID"]?.boolValue ?? false)
    hostIPC = json["hostIPC"]?.boolValue ?? false
    hasOwnUsers = json["hostUsers"]?.boolValue == false
    var scheduling = SchedulingSpec(json: json)
    storageBytes = Self.effective(initContainers, containers, \.storageBytes)
    let storage = storageBytes > 0 ? [ResourceAmount(name: ResourceAmount.storage, amount: storageBytes)] : []
    scheduling.resources =
      storage + Self.extendedResources(initContainers, containers) + HostPort.amounts(ofSpec: json)
    let contexts = [security] + (initContainers + containers).map(\.security)
    scheduling.isConfined = hasOwnUsers || contexts.contains { !$0.confining.isEmpty }
    scheduling.asksForRights = contexts.contains(where: \.asksForRights)
    self.scheduling = scheduling
    cpuMillicores = Self.effective(initContainers, containers, \.cpuMillicores)
    memoryBytes = Self.effective(initContainers, containers, \.memoryBytes)
  }

  package static func == (left: PodSpec, right: PodSpec) -> Bool { left === right || left.json == right.json }

  /// tolerationSeconds for `node.kubernetes.io/unreachable` in milliseconds; nil: without limit (never replaced without
  /// a person). Without a matching toleration the pod has none: zero.
  package var unreachableTolerationMilliseconds: Int64? {
    let taint = Taint(key: Taint.unreachable, value: "", effect: Taint.noExecute)
    let matching = tolerations.filter { $0.tolerates(taint) }
    if matching.isEmpty { return 0 }
    // Kubernetes' getMinTolerationTime: the smallest limit counts; one without a limit means no limit of its own.
    let limits = matching.compactMap(\.seconds)
    return limits.min().map { max(0, min($0, Int64(Int32.max))) * 1000 }
  }

  /// Whether some container names an image, where images are run.
  package var namesImages: Bool {
    [initContainers, containers, ephemeralContainers].contains { list in
      list.contains { !ImageReference.isHost($0.image) }
    }
  }

  /// Higher goes first.
  package var priority: Int64 { scheduling.priority }

  private static func extendedResources(
    _ initContainers: [ContainerSpec], _ containers: [ContainerSpec]
  ) -> [ResourceAmount] {
    var names: Set<String> = []
    for container in initContainers + containers { names.formUnion(container.extendedResources.map(\.name)) }
    return names.sorted().map { name in
      let amount = effective(initContainers, containers) { container in
        container.extendedResources.first { $0.name == name }?.amount ?? 0
      }
      return ResourceAmount(name: name, amount: amount)
    }.filter { $0.amount > 0 }
  }

  private static func effective(
    _ initContainers: [ContainerSpec], _ containers: [ContainerSpec], _ amount: (ContainerSpec) -> Int64
  ) -> Int64 {
    var sidecars: Int64 = 0
    var largestInit: Int64 = 0
    for container in initContainers {
      if container.isSidecar { sidecars = sidecars.addingSaturated(amount(container)) }
      largestInit = max(largestInit, container.isSidecar ? sidecars : sidecars.addingSaturated(amount(container)))
    }
    return max(largestInit, containers.reduce(sidecars) { $0.addingSaturated(amount($1)) })
  }
}
