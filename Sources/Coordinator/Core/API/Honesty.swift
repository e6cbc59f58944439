// What this version says about fields that it knows but does not act on: a Warning that names the field, or a refusal
// by name where
// ignoring it would run the pod wrongly or with more rights. The schema marks the plain cases; here are those that
// depend on a value.

import ClusterProto

struct Honesty {
  private(set) var warnings: [String] = []
  private(set) var errors = FieldErrors()
  /// What the cluster's nodes do with images.
  let images: ImageNodes
  /// And with limits.
  let limits: LimitNodes

  init(images: ImageNodes, limits: LimitNodes = LimitNodes()) {
    self.images = images
    self.limits = limits
  }

  static let notHonoured = "not honoured by this version, ignored"
  static let notSupported = "not supported by this version"
  static let processesText =
    "\(notSupported): the processes of a pod are in a PID namespace of its own, so that none can outlive the pod"
  static let subdomainText =
    "there is no cluster DNS: the pod's full name is in its own /etc/hosts, in containers of images, and others do not "
    + "find it by that"

  /// `tree`: a decoded object before defaults; `final`: the same with defaults.
  static func inspect(
    _ tree: DecodedTree, kind: Kind, final: JSON, images: ImageNodes, limits: LimitNodes = LimitNodes()
  ) -> Honesty {
    var honesty = Honesty(images: images, limits: limits)
    for path in tree.refused { honesty.errors.forbidden(path, notSupported) }
    for path in tree.ignored { honesty.warn(path) }
    KindDescriptor.of(kind).writes.honesty(&honesty, tree, final)
    return honesty
  }

  mutating func warn(_ path: String, _ text: String = Honesty.notHonoured) {
    warnings.append("\(path): \(text)")
  }

  mutating func refuse(_ path: String, _ detail: String = Honesty.notSupported) {
    errors.forbidden(path, detail)
  }

  mutating func job(_ job: JSON) {
    let name = job[path: ["metadata", "name"]]?.stringValue ?? ""
    let problems = Names.labelErrors(name)
    if !problems.isEmpty, Names.subdomainErrors(name).isEmpty {
      warnings.append(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS "
          + "label is "
          + "recommended: [\(problems.joined(separator: ", "))]")
    }
  }

  /// What a Job of a CronJob's template would be told.
  mutating func jobTemplate(_ cron: JSON) {
    let path = "spec.jobTemplate.spec"
    var inner = Honesty(images: images, limits: limits)
    inner.job([
      "metadata": cron["metadata"] ?? .null, "spec": cron[path: ["spec", "jobTemplate", "spec"]] ?? .null,
    ])
    errors.append(inner.errors.moved(from: "spec", to: path))
    warnings += inner.warnings.map { $0.hasPrefix("spec.") ? path + $0.dropFirst(4) : $0 }
    manyIndexes(cron[path: ["spec", "jobTemplate", "spec"]] ?? .null, path)
  }

  /// Kubernetes' warning, word for word. `path`: the Job's spec.
  mutating func manyIndexes(_ spec: JSON, _ path: String) {
    guard spec["completionMode"]?.stringValue == "Indexed", spec["completions"]?.intValue ?? 0 > 100_000,
      spec["parallelism"]?.intValue ?? 0 > 10_000
    else { return }
    warn(
      path,
      "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes "
        + "might not be able to track completedIndexes when a big number of indexes fail")
  }

  mutating func podSpec(_ spec: JSON, _ path: String) {
    security(spec, path)
    if spec["hostPID"]?.boolValue == true { refuse("\(path).hostPID", Self.processesText) }
    if let system = spec[path: ["os", "name"]]?.stringValue, system != "linux" { refuse("\(path).os.name") }
    if let scheduler = spec["schedulerName"]?.stringValue, !["", "default-scheduler"].contains(scheduler) {
      refuse("\(path).schedulerName", "only \"default-scheduler\" is supported by this version")
    }
    for (index, volume) in (spec["volumes"]?.arrayValue ?? []).enumerated() {
      if let host = volume[path: ["hostPath", "path"]]?.stringValue, !host.isEmpty, !PathText.isAbsolute(host) {
        warn(
          "\(path).volumes[\(index)].hostPath.path",
          "not an absolute path; no node will set it up, so the pod will wait")
      }
      if let claim = volume[path: ["ephemeral", "volumeClaimTemplate", "spec"]] {
        self.claim(claim, "\(path).volumes[\(index)].ephemeral.volumeClaimTemplate.spec")
      }
      emptyDirectory(volume["emptyDir"] ?? .null, "\(path).volumes[\(index)].emptyDir")
    }
    if !(spec["hostAliases"]?.arrayValue ?? []).isEmpty, images.on == 0 { warn("\(path).hostAliases") }
    if let grace = spec["terminationGracePeriodSeconds"]?.intValue, grace < 0 {
      warn(
        "\(path).terminationGracePeriodSeconds",
        "must be >= 0; negative values are invalid and will be treated as 1")
    }
    if let name = spec["subdomain"]?.stringValue, !name.isEmpty { warn("\(path).subdomain", Self.subdomainText) }
    if let policy = spec["dnsPolicy"]?.stringValue, policy == "None", images.on == 0 { warn("\(path).dnsPolicy") }
    if spec["dnsConfig"]?.objectValue?.isEmpty == false, images.on == 0 { warn("\(path).dnsConfig") }
    for list in ["initContainers", "containers"] {
      for (index, container) in (spec[list]?.arrayValue ?? []).enumerated() {
        self.container(container, "\(path).\(list)[\(index)]", isConfined: Self.isConfined(spec))
      }
    }
  }

  /// Containers that are added to a pod that is there, by their places among those.
  mutating func ephemeralContainers(_ spec: JSON, _ places: [Int], _ path: String) {
    let all = spec["ephemeralContainers"]?.arrayValue ?? []
    for place in places where all.indices.contains(place) {
      let (container, at) = (all[place], "\(path).ephemeralContainers[\(place)]")
      let confining = SecuritySpec(json: container["securityContext"]).confining
      profiles(container["securityContext"] ?? .null, "\(at).securityContext")
      if ImageReference.isHost(container["image"]?.stringValue ?? "") {
        for name in confining { refuse("\(at).securityContext.\(name)", Self.hostText) }
        if spec["hostUsers"]?.boolValue == false { refuse("\(at).image", Self.hostUsersText) }
      }
      self.container(container, at, isConfined: !confining.isEmpty || Self.isConfined(spec))
    }
  }

  private mutating func emptyDirectory(_ source: JSON, _ path: String) {
    switch source["medium"]?.stringValue ?? "" {
    case "": break
    case VolumeSpec.memory:
      guard images.off > 0 else { return }
      warn(
        "\(path).medium",
        "\(images.off) of \(images.on + images.off) nodes run no images (--images=off): where their agent is not root "
          + "the directory is on the disk")
    default: refuse("\(path).medium", "\(Self.notSupported): only Memory, or nothing for the node's disk")
    }
  }

  private mutating func container(_ container: JSON, _ path: String, isConfined: Bool) {
    image(container, path, isConfined: isConfined)
    resources(container["resources"] ?? .null, "\(path).resources")
    mountPoint(container["terminationMessagePath"], "\(path).terminationMessagePath")
    for (index, mount) in (container["volumeMounts"]?.arrayValue ?? []).enumerated() {
      mountPoint(mount["mountPath"], "\(path).volumeMounts[\(index)].mountPath")
      if let mode = mount["recursiveReadOnly"]?.stringValue, !["", "Disabled"].contains(mode) {
        refuse("\(path).volumeMounts[\(index)].recursiveReadOnly")
      }
    }
  }

  /// What runs is the host's program on a node without images, whatever the manifest names.
  private mutating func image(_ container: JSON, _ path: String, isConfined: Bool) {
    let isHost = ImageReference.isHost(container["image"]?.stringValue ?? "")
    let hasCommand = !(container["command"]?.arrayValue ?? []).isEmpty
    if isHost || images.on == 0 {
      guard !hasCommand else { return }
      let why = isHost ? "the host has no entry point" : "no node here runs images, so there is no entry point"
      warn("\(path).command", "not set; \(why), and the pod will wait with CreateContainerConfigError")
    } else if images.off > 0, !isConfined {
      let what = hasCommand ? "runs a program of the host instead" : "has nothing to run and waits"
      warn(
        "\(path).image",
        "\(images.off) of \(images.on + images.off) nodes run no images (--images=off): there the container \(what)")
    }
  }

  /// Kubernetes takes it, and its runtimes then fail to start the container.
  private mutating func mountPoint(_ json: JSON?, _ path: String) {
    guard let text = json?.stringValue, !text.isEmpty, let problem = PathText.mountProblem(text) else { return }
    refuse(path, "nothing can be mounted on \"\(text)\": \(problem)")
  }

  private mutating func resources(_ resources: JSON, _ path: String) {
    var refusedNames: Set<String> = []
    for group in ["limits", "requests"] {
      for (name, amount) in resources[group]?.objectValue ?? JSONObject() {
        if ["memory", "ephemeral-storage"].contains(name), let text = amount.stringValue,
          let millis = Quantity.thousandths(text), millis % 1000 != 0
        {
          warn(
            "\(path).\(group)[\(name)]",
            "fractional byte value \(JSON.string(text).text) is invalid, must be an integer")
        }
        switch name {
        case "cpu", "memory":
          if group == "limits", let text = limits.warning(of: name) { warn("\(path).limits.\(name)", text) }
        case ResourceAmount.storage: break
        case _ where ResourceAmount.isExtended(name): break
        default:
          // A request for none of it changes nothing.
          if Quantity.parseMillis(amount.stringValue ?? "") == 0 || !refusedNames.insert(name).inserted { continue }
          refuse("\(path).\(group)[\(name)]")
        }
      }
    }
  }

  /// Promise 1 without a bound: such a pod waits for its node for ever.
  mutating func unlimitedToleration(_ spec: JSON, _ path: String) {
    let taint = Taint(key: Taint.unreachable, effect: Taint.noExecute)
    let given = (spec["tolerations"]?.arrayValue ?? []).map { Toleration(json: $0) }.filter { $0.tolerates(taint) }
    guard !given.isEmpty, given.allSatisfy({ $0.seconds == nil }) else { return }
    warn(
      "\(path).tolerations",
      "tolerates node.kubernetes.io/unreachable without a limit: a pod on a lost node is not replaced until a "
        + "person declares "
        + "the node dead")
  }
}
